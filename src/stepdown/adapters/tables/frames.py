"""Rows of a data frame, whoever made it: pandas, polars, pyarrow, DuckDB, or a list of objects.

It imports none of these libraries. A frame hands itself over by the Arrow PyCapsule interface
(`__arrow_c_stream__`), by the DataFrame interchange protocol (`__dataframe__`) or as records
(`to_dict`); the specifications are those of Apache Arrow 23 and of the DataFrame API, 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepdown.errors import DataError

Row = tuple[int, dict[str, Any]]
BATCH_ROWS = 4096
INDEX = "__index_level_"  # how pandas names an index without a name


class FrameRows:
    """The rows of a frame, numbered from 1; they can be read more than once."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame if _is_records(frame) else _arrow(frame)

    def __iter__(self) -> Iterator[Row]:
        """Yield (number, row)."""
        if _is_records(self._frame):
            yield from ((n, _plain(row)) for n, row in enumerate(self._frame, 1))
            return
        number = 0
        for batch in self._frame.to_batches(max_chunksize=BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, {k: v for k, v in row.items() if not k.startswith(INDEX)}


def _is_records(frame: Any) -> bool:
    return isinstance(frame, list | tuple)


def _arrow(frame: Any) -> Any:
    """Return the frame as an Arrow table, or as a list of records where that says more."""
    import pyarrow

    try:
        found = _as_table(frame)
    except (pyarrow.ArrowException, TypeError, NotImplementedError) as error:
        if hasattr(frame, "to_dict"):
            return _records(frame.to_dict("records"))
        raise DataError(
            f"The frame cannot be read: {error}.", "A column should hold values of one type."
        ) from error
    if found is not None and not (_merges_objects(frame, found) and hasattr(frame, "to_dict")):
        return found
    if hasattr(frame, "to_dict"):
        return _records(frame.to_dict("records"))
    raise DataError(
        f"{type(frame).__name__} is no frame that can be read.",
        "Give a pandas, polars or pyarrow frame, a list of objects, or the path of a file.",
    )


def _as_table(frame: Any) -> Any:
    import pyarrow

    if hasattr(frame, "__arrow_c_stream__"):
        return pyarrow.table(frame)
    if hasattr(frame, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        return from_dataframe(frame)
    return None


def _merges_objects(frame: Any, table: Any) -> bool:
    """Say whether Arrow gave objects of one column the keys of each other, as nulls.

    A frame that already has a type for its objects (polars, Arrow) is left as it is; pandas has
    none, and its objects may differ from row to row.
    """
    import pyarrow

    if not hasattr(frame, "dtypes"):
        return False
    return any(pyarrow.types.is_nested(field.type) for field in table.schema)


def _records(found: Any) -> Sequence[Any]:
    if not isinstance(found, list):
        raise DataError(f"The frame's records are {type(found).__name__}, not a list of objects.")
    return found


def _plain(row: Any) -> dict[str, Any]:
    """Return a record with plain values, those that are unknown (NaN, NaT) as None."""
    if not isinstance(row, Mapping):
        raise DataError(f"A record is {type(row).__name__}, not an object.")
    return {str(name): _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    if type(plain).__name__ in ("NaTType", "NAType"):
        return None
    return None if isinstance(plain, float) and plain != plain else plain  # noqa: PLR0124 - NaN
