"""A table with broken rows is read to its end, and each broken row is named with its line."""

from pathlib import Path

import pytest

from stepdown.adapters.tables.lenient import Broken, read_leniently
from stepdown.errors import DataError


def found(path: Path, content: bytes, **more: str) -> list[tuple[int, object]]:
    path.write_bytes(content)
    return [
        (n, row.why if isinstance(row, Broken) else row) for n, row in read_leniently(path, **more)
    ]


def test_a_broken_line_of_json_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    rows = found(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n{"a": \n[1]\n{"a": 2}')
    assert [n for n, _ in rows] == [1, 3, 4, 5]
    assert rows[0][1] == {"a": 1}
    assert rows[3][1] == {"a": 2}
    assert str(rows[1][1]).startswith("not a JSON object")
    assert str(rows[2][1]).startswith("not a JSON object")


def test_a_line_in_another_encoding_is_named_and_can_be_read_when_it_is_said(
    tmp_path: Path,
) -> None:
    line = '{"a": "café"}\n'.encode("cp1252")
    assert "UTF-8" in str(found(tmp_path / "a.jsonl", line)[0][1])
    assert found(tmp_path / "a.jsonl", line, encoding="cp1252") == [(1, {"a": "café"})]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_utf_16_is_recognised_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"UTF-16.*--encoding utf-16"):
        found(tmp_path / name, "a,b\n1,2\n".encode("utf-16"))


def test_csv_in_utf_16_is_read_when_it_is_said(tmp_path: Path) -> None:
    rows = found(tmp_path / "a.csv", "a,b\n1,2\n".encode("utf-16"), encoding="utf-16")
    assert rows == [(2, {"a": "1", "b": "2"})]


def test_a_csv_row_of_the_wrong_length_is_named_by_the_line_where_it_begins(tmp_path: Path) -> None:
    rows = found(tmp_path / "a.csv", b'a,b\n"one\ntwo",2\nx\n3,4\n')
    assert rows == [
        (2, {"a": "one\ntwo", "b": "2"}),
        (4, "1 cells, and the header has 2"),
        (5, {"a": "3", "b": "4"}),
    ]


def test_an_open_quote_at_the_end_is_a_broken_row_not_the_end_of_the_reading(
    tmp_path: Path,
) -> None:
    rows = found(tmp_path / "a.csv", b'a,b\n1,2\n"open,3\n4,5\n')
    assert rows[0] == (2, {"a": "1", "b": "2"})
    assert str(rows[1][1]).startswith("broken CSV")


def test_bytes_that_are_no_utf_8_break_their_row_only(tmp_path: Path) -> None:
    rows = found(tmp_path / "a.csv", b"a,b\ncaf\xe9,2\n3,4\n")
    assert rows == [(2, "not UTF-8"), (3, {"a": "3", "b": "4"})]


def test_a_column_that_stands_twice_ends_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: the column 'a' stands there twice"):
        found(tmp_path / "a.csv", b"a,a\n1,2\n")


def test_an_unknown_encoding_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no encoding 'utf8000'"):
        found(tmp_path / "a.csv", b"a,b\n1,2\n", encoding="utf8000")
