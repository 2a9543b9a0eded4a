"""Amazon Bedrock's model invocation logs, as S3 and CloudWatch hold them.

Follows "Monitor model invocation using CloudWatch Logs and Amazon S3" and the Converse reference
(Amazon Bedrock user guide), as of November 2026. Traps: the step's name is in `requestMetadata`;
the bodies' shape depends on InvokeModel or Converse; input tokens exclude the cache's;
a body over 100 kB is a file of its own (its content is unknown then). Latency is told by Converse
only. Not verified: the cache counts beside `inputTokenCount`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, mapping, word
from stepdown.adapters.logs.moments import moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.records import first_objects
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import first, offered, processed
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

SURE = {"modelId", "operation"}


class Bedrock:
    """Read invocation logs; `step` names every call (the user's flag)."""

    name = "Amazon Bedrock model invocation logs (user guide, November 2026)"
    by_line = True

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is the log of an invocation."""
        return any(
            found.get("schemaType") == "ModelInvocationLog" or set(found) >= SURE
            for found in first_objects(head)
        )

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken value is refused with its line."""
        return read_values(
            Source.of(log), self._parse, form=self.name, unpack=unpack, batch_rows=batch_rows
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = msgspec.json.decode(value)
        if not isinstance(told, dict) or "modelId" not in told:
            raise ValueError("no modelId: not the log of an invocation")
        return [(self._call(told), value)]

    def _call(self, told: Mapping[str, Any]) -> Row:
        asked, answered = bodies(told)
        model = str(told["modelId"]).rpartition("/")[2]  # an ARN ends in the model
        row = Row(
            id=word(told.get("requestId")),
            at_s=moment(told.get("timestamp")),
            provider="aws",
            model=model,
            asked_model=model,
            kind="chat",
            processing=processed(_tier(told, asked, answered)),
        )
        _tokens(row, told, answered)
        latency = mapping(answered.get("metrics")).get("latencyMs")
        ms = amount("latencyMs", latency)
        row.latency_s = None if ms is None else ms / 1000
        settings = mapping(asked.get("inferenceConfig"))
        limit = first(asked.get("max_tokens"), settings.get("maxTokens"))
        row.max_tokens = count("max_tokens", limit)
        warm = first(asked.get("temperature"), settings.get("temperature"))
        row.temperature = amount("temperature", warm)
        row.finish = word(first(answered.get("stop_reason"), answered.get("stopReason")))
        tools = first(asked.get("tools"), mapping(asked.get("toolConfig")).get("tools"))
        offered(row, msgspec.json.encode(tools) if isinstance(tools, list) else b"")
        if told.get("errorCode"):
            row.status, row.error = "error", str(told["errorCode"])
        metadata = mapping(told.get("requestMetadata")) or mapping(asked.get("requestMetadata"))
        name_row(row, self.step, (metadata,))
        return row


def bodies(told: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the bodies of a request and its answer; one that stands elsewhere is empty."""
    asked = unpacked(mapping(told.get("input")).get("inputBodyJson"))
    answered = unpacked(mapping(told.get("output")).get("outputBodyJson"))
    return mapping(asked), mapping(answered)


def unpack(value: bytes) -> Content:
    """Return what an invocation says."""
    told = msgspec.json.decode(value)
    asked, answered = bodies(told)
    return content_of(asked or None, answered or None, mapping(told.get("requestMetadata")))


def _tier(
    told: Mapping[str, Any], asked: Mapping[str, Any], answered: Mapping[str, Any]
) -> str | None:
    tier = first(answered.get("serviceTier"), asked.get("serviceTier"), told.get("serviceTier"))
    return word(mapping(tier).get("type")) or word(tier)


def _tokens(row: Row, told: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
    read, wrote = mapping(told.get("input")), mapping(told.get("output"))
    usage = mapping(answered.get("usage"))
    plain = first(read.get("inputTokenCount"), usage.get("inputTokens"), usage.get("input_tokens"))
    cached = first(
        read.get("cacheReadInputTokenCount"),
        usage.get("cacheReadInputTokens"),
        usage.get("cache_read_input_tokens"),
    )
    written = first(
        read.get("cacheWriteInputTokenCount"),
        usage.get("cacheWriteInputTokens"),
        usage.get("cache_creation_input_tokens"),
    )
    row.cached_tokens = count("cached tokens", cached)
    row.cache_write_tokens = count("written tokens", written)
    fresh = count("inputTokenCount", plain)
    if fresh is not None:
        row.input_tokens = fresh + (row.cached_tokens or 0) + (row.cache_write_tokens or 0)
    out = first(
        wrote.get("outputTokenCount"), usage.get("outputTokens"), usage.get("output_tokens")
    )
    row.output_tokens = count("outputTokenCount", out)
