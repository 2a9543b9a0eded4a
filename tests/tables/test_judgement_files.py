"""Labels on disk: nothing that somebody said is lost."""

from pathlib import Path

import pytest

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.core.judgement import Judgement
from stepdown.errors import DataError


def one(query: str = "q") -> Judgement:
    return Judgement(query_id=query, by="ann", at="2026-11-22T10:00:00Z", right=("a",))


def test_what_was_said_is_read_back_in_order(tmp_path: Path) -> None:
    file = JudgementFile(tmp_path / "labels", "intent/a")
    file.append(one("q1"))
    file.append(one("q2"))
    assert [said.query_id for said in file.read()] == ["q1", "q2"]
    assert file.path.parent == tmp_path / "labels"


def test_a_task_without_labels_has_none(tmp_path: Path) -> None:
    assert JudgementFile(tmp_path, "intent").read() == ()


def test_a_torn_line_is_named_and_the_next_label_does_not_join_it(tmp_path: Path) -> None:
    file = JudgementFile(tmp_path, "intent")
    file.append(one("q1"))
    file.path.write_bytes(file.path.read_bytes()[:-5])
    file.append(one("q2"))
    with pytest.raises(DataError, match="line 1: not a judgement"):
        file.read()
    assert len(file.path.read_bytes().splitlines()) == 2


def test_a_folder_that_cannot_be_written_is_an_error_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        JudgementFile(tmp_path / "labels", "intent").append(one())
