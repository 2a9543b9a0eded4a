"""The tiny project of this room (synthetic rows, see tiny_project.py), plain and certified."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from tiny_project import certified_once, copy_of, write_project


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The tiny project before anything was trained."""
    return write_project(tmp_path / "tiny")


@pytest.fixture
def certified(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny project, trained and certified."""
    once = certified_once(tmp_path_factory.getbasetemp() / "certified-once")
    return copy_of(once, tmp_path / "tiny")
