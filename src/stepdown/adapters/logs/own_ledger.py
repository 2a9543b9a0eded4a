"""Our own ledger (`.stepdown/ledger/ledger.sqlite`): one call for each attempt of a trace.

Follows docs/ledger.md and the DDL beside it (versions 1 and 2). A call's model is its tier's name,
because the ledger knows tiers. What still waits in the spool is not read, nor are shadow runs,
which gave nobody an answer. Content is there as far as the task's `store` allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, mapping, word
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.sqlite_log import (
    BATCH_CHARS,
    LEFT_OUT,
    application_of,
    columns_in,
    is_sqlite,
    opened,
    rows_in,
    texts_sql,
    too_long_sql,
)
from stepdown.core.call_columns import Batch
from stepdown.core.request import Message
from stepdown.core.usage_log import Content
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

APPLICATION = 0x53544550  # "STEP"
RECORDED = "attempts that a recording answered (their cost is that of the model recorded)"
ATTEMPT = (
    "trace_id",
    "id",
    "tier",
    "started_at",
    "latency_s",
    "first_token_s",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "tokens_estimated",
    "failure",
    "recorded",
)
TRACE = ("task", "step", "message_id", "session")
AMOUNTS = ("latency_s", "first_token_s", "cost_usd")
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class OwnLedger:
    """Read a ledger; `step` names every call (the user's flag)."""

    name = "Stepdown ledger (docs/ledger.md, versions 1 and 2)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether the first bytes are those of a ledger."""
        return is_sqlite(head) and application_of(head) == APPLICATION

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the attempts in batches, in the order of the traces.

        Raises:
            DataError: it cannot be opened, or has no table of attempts.
        """
        log = Source.of(log)
        reading = Reading(log, self.name, unpack)
        held = 0
        with opened(log) as db:
            tables = columns_in(db)
            if not {"traces", "attempts"} <= set(tables):
                raise DataError(f"{log}: a ledger without attempts.", "Serve some requests first.")
            for row in rows_in(db, _query(tables["traces"], tables["attempts"]), reading):
                told = dict(row)
                try:
                    reading.add([(self._call(told, reading), _raw(told))])
                except ValueError as error:
                    reading.refuse(str(error), str(told["id"]).encode())
                held += len(told["payload"] or "")
                if held >= BATCH_CHARS or reading.is_full(batch_rows):
                    yield reading.batch()
                    held = 0
            yield from reading.rest()

    def _call(self, told: Mapping[str, Any], reading: Reading) -> Row:
        row = Row(
            id=f"{told['trace_id']}/{told['id']}",
            trace=word(told["trace_id"]),
            session=word(told["message_id"]) or word(told.get("session")),
            model=word(told["tier"]),
            asked_model=word(told["tier"]),
            at_s=moment(word(told["started_at"])),
            estimated=1.0 if told["tokens_estimated"] else None,
        )
        for name in AMOUNTS:
            setattr(row, name, amount(name, told.get(name)))
        for name in COUNTS:
            setattr(row, name, count(name, told[name]))
        if told["failure"] is not None:
            row.status, row.error = "error", word(told["failure"])
        if told["recorded"]:
            reading.note(RECORDED)
        if told["too_long"]:
            reading.note(LEFT_OUT)
        self._named(row, told)
        return row

    def _named(self, row: Row, told: Mapping[str, Any]) -> None:
        name_row(row, self.step)
        if row.step is None:
            found = word(told["step"])
            row.step = found or word(told["task"])
            row.step_rule = "ledger step" if found else "ledger task"


def unpack(raw: tuple[str, str]) -> Content:
    """Return what a trace says of one of its attempts."""
    payload, attempt = raw
    trace = mapping(msgspec.json.decode(payload))
    mine = [
        mapping(one) for one in trace.get("attempts") or [] if mapping(one).get("id") == attempt
    ]
    asked = word(trace.get("input"))
    return Content(
        messages=None if asked is None else (Message("user", asked),),
        answer=word(mine[0].get("answer")) if mine else None,
    )


def _raw(told: Mapping[str, Any]) -> tuple[str, str]:
    return told["payload"] or "{}", str(told["id"])


def _query(traces: frozenset[str], attempts: frozenset[str]) -> str:
    mine = ", ".join(f"a.{name}" for name in ATTEMPT if name in attempts)
    its = ", ".join(f"t.{name}" for name in TRACE if name in traces)
    return (
        f"SELECT {mine}, {its}, {texts_sql('t', ['payload'])}, {too_long_sql('t', ['payload'])} "  # noqa: S608 - names of this module
        "FROM attempts a JOIN traces t ON t.id = a.trace_id"
    )
