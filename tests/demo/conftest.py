"""A screen that keeps what the demo shows, and a frozen fake of the language model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from tiny_project import TOML, write_project

SMALL = """
[tiers.small]
model = "llama:fake"
price = { usd_per_hour = 0.085, source = "made up" }
"""


@pytest.fixture
def with_small(tmp_path: Path) -> Path:
    """The tiny project (synthetic rows) with a tier `small`, whose model a test puts in."""
    text = TOML.replace("[tiers.frontier]", SMALL + "\n[tiers.frontier]")
    return write_project(tmp_path / "tiny", text.replace('["expert", "', '["small", "'))
