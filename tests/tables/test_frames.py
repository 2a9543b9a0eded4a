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
