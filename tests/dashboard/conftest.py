"""A certified project with a pool and a SYNTHETIC ledger, served to a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from shown_project import shown_once
from tiny_project import copy_of


@pytest.fixture
def shown(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    return copy_of(shown_once(tmp_path_factory.getbasetemp() / "shown-once"), tmp_path / "shown")
