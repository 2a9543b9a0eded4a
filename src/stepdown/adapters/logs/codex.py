"""Session files of Codex (`~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl`): one event a line.

There is no published document of this format. It follows `RolloutLine`, `TurnContextItem`,
`TokenUsage` and `TokenUsageInfo` in the sources of openai/codex (codex-rs/protocol, 0.149, August
2026), which say `{timestamp, type, payload}` a line. A call is a `token_count` event, whose
`info.last_token_usage` is that of one answer; `input_tokens` hold the cached ones. Traps: `info` is
null where only rate limits are told; the same event is written again at the start of a turn, with
the same running total: it is counted once. The model stands in the last `turn_context` before. What
was asked and answered is not read, there is no cost, and times of calls are those of their ends, so
latency is unknown. Not verified: `model_provider`, `effort`; files of before September 2025 have no
envelope and are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import count, mapping, word
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.source import Source
from stepdown.core.call_columns import Batch
from stepdown.ports.log_reader import Log

EVENTS = ("session_meta", "turn_context", "response_item", "event_msg")
AGAIN = "usage that a session tells again (counted once)"
SURE = {"timestamp", "type", "payload"}


class Codex:
    """Read session files; `step` names every call (the user's flag)."""

    name = "Codex session files (sources of openai/codex, August 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is an event of a session."""
        return any(
            set(found) >= SURE and found["type"] in EVENTS and isinstance(found["payload"], dict)
            for found in first_objects(head)
        )

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken line is refused with its place."""
        session = _Session(self.step)
        return read_values(
            Source.of(log), session.parse, form=self.name, unpack=None, batch_rows=batch_rows
        )


class _Session:
    """What the events of a session have said so far."""

    def __init__(self, step: str | None) -> None:
        self.step = step
        self.id: str | None = None
        self.provider: str | None = None
        self.turn: Mapping[str, Any] = {}
        self.total: Any = None

    def parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        """Return the call that an event tells, if it does."""
        told = msgspec.json.decode(value)
        if not isinstance(told, dict) or "type" not in told:
            raise ValueError("no type: not an event of a session")
        payload = mapping(told.get("payload"))
        if told["type"] == "session_meta":
            self.id = word(payload.get("id"))
            self.provider = word(payload.get("model_provider"))
        elif told["type"] == "turn_context":
            self.turn = payload
        elif told["type"] == "event_msg" and payload.get("type") == "token_count":
            return self._counted(told, mapping(payload.get("info")), reading)
        return []

    def _counted(
        self, told: Mapping[str, Any], info: Mapping[str, Any], reading: Reading
    ) -> list[tuple[Row, Any]]:
        usage, total = mapping(info.get("last_token_usage")), info.get("total_token_usage")
        if not usage:
            return []
        if total is not None and total == self.total:
            reading.note(AGAIN)
            return []
        self.total = total
        return [(self._call(told, usage), None)]

    def _call(self, told: Mapping[str, Any], usage: Mapping[str, Any]) -> Row:
        model = word(self.turn.get("model"))
        row = Row(
            at_s=moment(word(told.get("timestamp"))),
            session=self.id,
            provider=self.provider,
            model=model,
            asked_model=model,
            kind="chat",
            effort=word(self.turn.get("effort")),
            input_tokens=count("input_tokens", usage.get("input_tokens")),
            output_tokens=count("output_tokens", usage.get("output_tokens")),
            cached_tokens=count("cached_input_tokens", usage.get("cached_input_tokens")),
            reasoning_tokens=count("reasoning", usage.get("reasoning_output_tokens")),
        )
        name_row(row, self.step, names={"run_name": "codex"})
        return row
