"""Rows are read one by one, and a broken line is named."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from stepdown.adapters.tables.rows import read_rows
from stepdown.errors import DataError


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_lines_come_with_their_line_numbers_past_blank_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '\ufeff{"a": 1}\n\n{"a": {"b": null}}')
    assert list(read_rows(path)) == [(1, {"a": 1}), (3, {"a": {"b": None}})]


def test_csv_comes_with_quoted_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '\ufeffid,text\n1,"two\nlines, and a comma"\n2,x\n')
    rows = list(read_rows(path))
    assert rows == [
        (3, {"id": "1", "text": "two\nlines, and a comma"}),
        (4, {"id": "2", "text": "x"}),
    ]


def test_parquet_rows_are_counted_from_1(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2], "b": ["x", None]}), path)
    assert list(read_rows(path)) == [(1, {"a": 1, "b": "x"}), (2, {"a": 2, "b": None})]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl, line 2: not a JSON object"),
        ("a.jsonl", "[1]\n", "a.jsonl, line 1: not a JSON object"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl, line 1"),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv, line 3: the number of cells"),
        ("a.csv", "a,b\n1,2,3\n", "a.csv, line 2: the number of cells"),
        ("a.csv", 'a,b\n1,"open\n', "broken CSV"),
        ("a.csv", "a,a\n1,2\n", "the column 'a' stands there twice"),
        ("a.csv", b"a\n\xff\n", "is not UTF-8"),
        ("a.parquet", "nonsense", "broken Parquet"),
        ("a.xlsx", "x", "Use .jsonl, .csv or .parquet"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    with pytest.raises(DataError) as refused:
        list(read_rows(written(tmp_path / name, text)))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_rows_before_a_broken_line_are_read_without_reading_on(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path / "a.jsonl", '{"a": 1}\nbroken\n'))
    assert next(rows) == (1, {"a": 1})


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_file_in_utf_16_is_named_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"id": "1"}\n', encoding="utf-16")
    with pytest.raises(DataError, match=r"is in UTF-16"):
        list(read_rows(tmp_path / name))
