"""Vectors kept by their text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stepdown.adapters.tables.vector_files import VectorFiles
from stepdown.errors import DataError

ONE, TWO = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)


def test_kept_vectors_come_back_to_the_bit_and_only_for_their_embedder(tmp_path: Path) -> None:
    files = VectorFiles(tmp_path / "v")
    files.keep("sha256:aa", {"a": ONE, "b": TWO})
    found = VectorFiles(tmp_path / "v").known("sha256:aa", ["b", "c", "a"])
    assert {text: row.tolist() for text, row in found.items()} == {"a": [1, 2], "b": [3, 4]}
    assert files.known("sha256:bb", ["a"]) == {}


def test_a_record_that_a_kill_tore_is_cut_off_and_the_next_is_whole(tmp_path: Path) -> None:
    files = VectorFiles(tmp_path)
    files.keep("sha256:aa", {"a": ONE})
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"torn")
    assert set(files.known("sha256:aa", ["a"])) == {"a"}
    files.keep("sha256:aa", {"b": TWO})
    assert files.known("sha256:aa", ["b"])["b"].tolist() == [3, 4]


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="could not be written"):
        VectorFiles(tmp_path / "file").keep("sha256:aa", {"a": ONE})


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    VectorFiles(tmp_path).keep("sha256:aa", {"a": ONE})
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0
