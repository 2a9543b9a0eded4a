"""Where the tests look for model files that a user pulled earlier."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_cache() -> Path:
    home = os.environ.get("STEPDOWN_HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stepdown"
    return Path(home) if home else base
