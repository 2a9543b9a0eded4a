"""Session files of Claude Code (`~/.claude/projects/*/*.jsonl`): one event a line.

There is no published document of this format: the shape is written down as known in November
2026 and was checked against no document, so every field counts as not verified. An `assistant`
event holds a message of the Anthropic API with its usage. Trap: one answer is written as several
events, one for each content block, with one message id and the same usage again: it is counted
once. Costs are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import mapping, word
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import WireResponse, processed
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

# An answer's events follow each other closely; ids further back are forgotten.
REMEMBERED = 1024


class ClaudeCode:
    """Read session files; `step` names every call (the user's flag)."""

    name = "Claude Code session files (no published format; seen in November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is an event of a session."""
        return any("sessionId" in found and "type" in found for found in first_objects(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken line is refused with its place."""
        seen: dict[str, None] = {}

        def parse(value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
            return self._parse(value, reading, seen)

        return read_values(
            Source.of(log), parse, form=self.name, unpack=unpack, batch_rows=batch_rows
        )

    def _parse(
        self, value: bytes, reading: Reading, seen: dict[str, None]
    ) -> list[tuple[Row, Any]]:
        told = msgspec.json.decode(value)
        message = mapping(mapping(told).get("message"))
        if mapping(told).get("type") != "assistant" or "usage" not in message:
            return []
        call = str(message.get("id") or told.get("requestId") or told.get("uuid"))
        if call in seen:
            reading.note("further events of an answer that was counted already")
            return []
        seen[call] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        if message.get("model") == "<synthetic>":
            return []
        return [(self._call(told, message, call), value)]

    def _call(self, told: Mapping[str, Any], message: Mapping[str, Any], call: str) -> Row:
        answered = msgspec.convert(message, WireResponse)
        row = Row(
            id=call,
            at_s=moment(word(told.get("timestamp"))),
            provider="anthropic",
            session=word(told.get("sessionId")),
            parent=word(told.get("parentUuid")),
        )
        answered.into(row)
        row.kind, row.processing = "chat", processed(answered.tier)
        if told.get("isApiErrorMessage"):
            row.status, row.error = "error", "api error"
        agent = "sidechain" if told.get("isSidechain") else "main"
        name_row(row, self.step, names={"run_name": f"claude-code {agent}"})
        return row


def unpack(value: bytes) -> Content:
    """Return what an event says: the answer; what was asked stands in other events."""
    return content_of(None, msgspec.json.decode(value)["message"])
