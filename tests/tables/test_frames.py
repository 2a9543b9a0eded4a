"""Frames of real libraries give the same rows, whichever way they hand themselves over."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from stepdown.adapters.tables.frames import FrameRows
from stepdown.errors import DataError

ROWS = [{"text": "one", "label": "a"}, {"text": "two", "label": None}]


class Interchanged:
    """A frame that only speaks the DataFrame interchange protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, *args: Any, **more: Any) -> Any:
        return self._table.__dataframe__(*args, **more)


class OnlyRecords:
    """A frame of a library that knows no Arrow: it has `to_dict`, and NaN for what is unknown."""

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"text": "one", "label": "a"}, {"text": "two", "label": float("nan")}]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, index=["x", "y"]),
        pa.Table.from_pylist(ROWS),
        Interchanged(pa.Table.from_pylist(ROWS)),
        OnlyRecords(),
        ROWS,
    ],
    ids=["pandas", "pandas with an index", "pyarrow", "interchange", "records", "list"],
)
def test_a_frame_gives_its_rows_again_and_again_with_unknown_as_none(frame: Any) -> None:
    rows = FrameRows(frame)
    assert list(rows) == [(1, ROWS[0]), (2, ROWS[1])]
    assert list(rows) == list(rows)


def test_a_stream_that_can_be_read_once_is_kept() -> None:
    rows = FrameRows(pa.Table.from_pylist(ROWS).to_reader())
    assert [row for _, row in rows] == [row for _, row in rows] == ROWS


@pytest.mark.parametrize("frame", [3, object(), {"text": ["one"]}])
def test_what_is_no_frame_is_said(frame: Any) -> None:
    with pytest.raises(DataError, match="no frame that can be read"):
        FrameRows(frame)


def test_a_record_that_is_no_object_is_said() -> None:
    with pytest.raises(DataError, match="A record is int"):
        list(FrameRows([1]))


def test_objects_of_pandas_keep_their_own_keys() -> None:
    """Arrow would give every object of a column the keys of all of them."""
    objects = [
        {"tool": {"city": "text"}},
        {"tool": {"days": 3, "unit": ["c", "f"]}},
        {"tool": None},
    ]
    assert [row for _, row in FrameRows(pd.DataFrame(objects))] == objects


def test_objects_of_pandas_that_no_type_fits_are_read_all_the_same() -> None:
    objects = [{"default": {"value": True}}, {"default": {"value": "false"}}, {"default": [1]}]
    assert [row for _, row in FrameRows(pd.DataFrame(objects))] == objects


def test_numbers_and_times_of_numpy_and_pandas_become_plain() -> None:
    frame = pd.DataFrame(
        {"n": [1, 2], "at": pd.to_datetime(["2026-11-28", None]), "x": [{}, {"a": 1}]}
    )
    (_, first), (_, second) = FrameRows(frame)
    assert (first["n"], type(first["n"])) == (1, int)
    assert first["at"].isoformat() == "2026-11-28T00:00:00"
    assert second["at"] is None
