"""The database of `llm` (`llm logs path`): its table `responses`, one row a call.

Follows "Logging to SQLite" (llm documentation, "SQL schema", November 2026) with the columns of
the node tree, and the older ones without token counts. A fragment is put before the prompt, as
`llm` sends it. What earlier turns said is not read, so `input_tokens` of a long conversation are
more than its content. There is no cost, and a call that failed is not logged. Not verified: the
shape of `token_details` (OpenAI's usage without zeros is read), and `fragment_type` (`prompt`,
`system`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, mapping, word
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.sqlite_log import (
    BATCH_CHARS,
    LEFT_OUT,
    Columns,
    columns_in,
    is_sqlite,
    opened,
    rows_in,
    texts_sql,
    too_long_sql,
)
from stepdown.adapters.logs.wire import Details, first
from stepdown.core.call_columns import Batch
from stepdown.core.request import Message
from stepdown.core.usage_log import Content
from stepdown.errors import DataError
from stepdown.ports.log_reader import Log

TABLE = "responses"
NEEDED = frozenset(("id", "model", "prompt", "response", "datetime_utc"))
TEXTS = ("prompt", "system", "response")
PLAIN = (
    "id",
    "model",
    "resolved_model",
    "conversation_id",
    "duration_ms",
    "datetime_utc",
    "input_tokens",
    "output_tokens",
    "token_details",
    "options_json",
)
# Where each generation of the schema keeps what stands before a prompt, and the tools offered.
FRAGMENTS = {
    "prompt": (("response_fragments", "fragment_type = 'prompt'"), ("prompt_fragments", "1")),
    "system": (("response_fragments", "fragment_type = 'system'"), ("system_fragments", "1")),
}
TOOLS = ("response_tools", "tool_responses")

Said = Mapping[str, str | None]


class LlmDatabase:
    """Read the database of `llm`; `step` names every call (the user's flag)."""

    name = "llm's SQLite database (documentation, November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether the first bytes are those of a database (its tables are looked at later)."""
        return is_sqlite(head)

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches.

        Raises:
            DataError: it cannot be opened, or has no such table.
        """
        log = Source.of(log)
        reading = Reading(log, self.name, _content)
        with opened(log) as db:
            tables = columns_in(db)
            if not tables.get(TABLE, frozenset()) >= NEEDED:
                raise DataError(
                    f"{log}: a SQLite database without a table of calls that is known.",
                    "Known: the database of llm (responses), a ledger of Stepdown.",
                )
            yield from self._batches(db, tables, reading, batch_rows)

    def _batches(
        self, db: sqlite3.Connection, tables: Columns, reading: Reading, batch_rows: int
    ) -> Iterator[Batch]:
        held, before = 0, _Before(db, tables)
        for row in rows_in(db, _query(tables[TABLE]), reading):
            told = dict(row)
            try:
                said = before.said(told)
                reading.add([(self._call(told, before.tools(told["id"])), said)])
            except ValueError as error:
                reading.refuse(str(error), str(told.get("id")).encode())
                continue
            if told["too_long"]:
                reading.note(LEFT_OUT)
            held += sum(len(text or "") for text in said.values())
            if held >= BATCH_CHARS or reading.is_full(batch_rows):
                yield reading.batch()
                held = 0
        yield from reading.rest()

    def _call(self, told: Mapping[str, Any], tools: list[str]) -> Row:
        options = mapping(unpacked(told.get("options_json")))
        took_ms = amount("duration_ms", told.get("duration_ms"))
        asked = word(told["model"])
        row = Row(
            id=word(told["id"]),
            at_s=moment(word(told["datetime_utc"])),
            session=word(told.get("conversation_id")),
            model=word(told.get("resolved_model")) or asked,
            asked_model=asked,
            kind="chat",
            latency_s=None if took_ms is None else took_ms / 1000,
            max_tokens=count("max_tokens", options.get("max_tokens")),
            temperature=amount("temperature", options.get("temperature")),
            effort=word(options.get("reasoning_effort")),
            tools=float(len(tools)) if tools else None,
            tool_names=",".join(tools) or None,
            input_tokens=count("input_tokens", told.get("input_tokens")),
            output_tokens=count("output_tokens", told.get("output_tokens")),
        )
        _details(row, mapping(unpacked(told.get("token_details"))))
        name_row(row, self.step)
        return row


class _Before:
    """What stands in other tables: fragments before a prompt, tools that were offered."""

    def __init__(self, db: sqlite3.Connection, tables: Columns) -> None:
        self._db = db
        self._fragments = {
            side: [
                "SELECT f.content FROM fragments f JOIN "  # noqa: S608 - names of this module
                f"{table} l ON f.id = l.fragment_id WHERE l.response_id = ? AND {which} "
                'ORDER BY l."order" LIMIT 100'
                for table, which in places
                if table in tables and "fragments" in tables
            ][:1]
            for side, places in FRAGMENTS.items()
        }
        self._tools = [
            f"SELECT t.name FROM tools t JOIN {table} l ON t.id = l.tool_id "  # noqa: S608
            "WHERE l.response_id = ? ORDER BY t.name LIMIT 1000"
            for table in TOOLS
            if table in tables and "tools" in tables
        ][:1]

    def said(self, told: Mapping[str, Any]) -> Said:
        """Return what a row says, with its fragments before."""
        return {
            "prompt": self._joined(told, "prompt", "\n"),
            "system": self._joined(told, "system", "\n\n"),
            "response": told.get("response"),
        }

    def tools(self, response: Any) -> list[str]:
        """Return the names of the functions that a call offered."""
        return self._column(self._tools, response)

    def _joined(self, told: Mapping[str, Any], side: str, between: str) -> str | None:
        before = self._column(self._fragments[side], told["id"])
        own = told.get(side)
        parts = [*before, *([own] if own else [])]
        return between.join(parts) if parts else own

    def _column(self, queries: list[str], response: Any) -> list[str]:
        return [str(row[0]) for query in queries for row in self._db.execute(query, (response,))]


def _query(has: frozenset[str]) -> str:
    plain = ", ".join(f"r.{name}" for name in PLAIN if name in has)
    texts = [name for name in TEXTS if name in has]
    return f"SELECT {plain}, {texts_sql('r', texts)}, {too_long_sql('r', texts)} FROM {TABLE} r"  # noqa: S608 - names of this module


def _details(row: Row, told: Mapping[str, Any]) -> None:
    read = _convert(told.get("prompt_tokens_details") or told.get("input_tokens_details"))
    wrote = _convert(told.get("completion_tokens_details") or told.get("output_tokens_details"))
    row.cached_tokens = first(
        read.cached_tokens, count("cache", told.get("cache_read_input_tokens"))
    )
    row.cache_write_tokens = count("cache", told.get("cache_creation_input_tokens"))
    row.reasoning_tokens = wrote.reasoning_tokens


def _convert(value: Any) -> Details:
    try:
        return msgspec.convert(mapping(value), Details)
    except msgspec.ValidationError:
        return Details()


def _content(said: Said) -> Content:
    system, prompt = said.get("system"), said.get("prompt")
    messages = (
        *([Message("system", system)] if system else []),
        *([Message("user", prompt)] if prompt else []),
    )
    return Content(messages=messages or None, answer=said.get("response") or None)
