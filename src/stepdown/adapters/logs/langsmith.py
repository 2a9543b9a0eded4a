"""LangSmith's runs, as its bulk export, SDK (`list_runs`) and API write them.

Follows "Run (span) data format" (LangSmith documentation), as of November 2026. Traps: only runs of
type `llm` are calls; `session_id` is the project, and users' sessions stand in the metadata
(`session_id`, `thread_id`, `conversation_id`); times have no zone and are UTC; the model is in
`extra.metadata`. Not verified: the shape of `prompt_token_details`, and whether it is always there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.adapters.logs.cells import amount, count, mapping, word
from stepdown.adapters.logs.csv_rows import cut_by, first_rows
from stepdown.adapters.logs.moments import between, moment
from stepdown.adapters.logs.names import name_row
from stepdown.adapters.logs.reading import BATCH_ROWS, Reading, read_values
from stepdown.adapters.logs.rows import Row
from stepdown.adapters.logs.said import content_of, unpacked
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.wire import first, offered, processed
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content
from stepdown.ports.log_reader import Log

SURE = {"run_type", "inputs", "start_time"}
# Names that integrations give to every call.
USUAL = frozenset(("chatopenai", "chatanthropic", "chatbedrock", "azurechatopenai", "llm"))


class LangSmith:
    """Read runs; `step` names every call (the user's flag)."""

    name = "LangSmith runs (run data format, November 2026)"

    def __init__(self, step: str | None = None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        """Tell whether a value near the start is a run."""
        return any(set(found) >= SURE for found in first_rows(head))

    def read(self, log: Log | Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Yield the calls in batches; a broken value is refused with its line."""
        log = Source.of(log)
        return read_values(
            log,
            self._parse,
            form=self.name,
            unpack=unpack,
            batch_rows=batch_rows,
            cut=cut_by(log.head()),
        )

    def _parse(self, value: bytes, reading: Reading) -> list[tuple[Row, Any]]:
        told = msgspec.json.decode(value)
        if not isinstance(told, dict) or "run_type" not in told:
            raise ValueError("no run_type: not a run of LangSmith")
        if told["run_type"] not in ("llm", "embedding"):
            reading.note("runs that are no call of a model")
            return []
        return [(self._call(told, reading), value)]

    def _call(self, told: Mapping[str, Any], reading: Reading) -> Row:
        extra = mapping(unpacked(told.get("extra")))
        metadata = mapping(extra.get("metadata"))
        parameters = mapping(extra.get("invocation_params"))
        row = Row(
            id=word(told.get("id")),
            trace=word(told.get("trace_id")),
            parent=word(told.get("parent_run_id")),
            provider=word(metadata.get("ls_provider")),
            model=_model(metadata, parameters),
            kind="chat" if told["run_type"] == "llm" else "embeddings",
            cost_usd=amount("total_cost", told.get("total_cost")) or None,
            temperature=amount("temperature", metadata.get("ls_temperature")),
            max_tokens=count("max_tokens", metadata.get("ls_max_tokens")),
            processing=processed(word(parameters.get("service_tier"))),
        )
        row.asked_model = row.model
        _tokens(row, told)
        _times(row, told, reading)
        tools = parameters.get("tools")
        offered(row, msgspec.json.encode(tools) if isinstance(tools, list) else b"")
        if told.get("error"):
            row.status, row.error = "error", str(told["error"]).partition("\n")[0][:80]
        self._named(row, told, metadata)
        return row

    def _named(self, row: Row, told: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        name = word(told.get("name"))
        own = None if name is None or name.lower() in USUAL else name
        named = {"prompt_name": metadata.get("lc_hub_repo"), "run_name": own}
        tags = unpacked(told.get("tags"))
        name_row(
            row,
            self.step,
            (metadata,),
            names={key: value for key, value in named.items() if value},
            tags=tags if isinstance(tags, list) else (),
        )
        row.session = row.session or row.trace


def unpack(value: bytes) -> Content:
    """Return what a run says."""
    told = msgspec.json.decode(value)
    extra = mapping(unpacked(told.get("extra")))
    asked = dict(mapping(unpacked(told.get("inputs"))))
    said = asked.get("messages")
    if isinstance(said, list) and said and isinstance(said[0], list):
        asked["messages"] = said[0]  # a batch of conversations, of which a run holds one
    parameters = mapping(extra.get("invocation_params"))
    return content_of({**parameters, **asked}, told.get("outputs"), mapping(extra.get("metadata")))


def _model(metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    names = (parameters.get("model"), parameters.get("model_name"), metadata.get("ls_model_name"))
    return next((str(name) for name in names if name), None)


def _tokens(row: Row, told: Mapping[str, Any]) -> None:
    usage = _usage_in(mapping(unpacked(told.get("outputs"))))
    read = mapping(unpacked(told.get("prompt_token_details"))) or mapping(
        usage.get("input_token_details")
    )
    wrote = mapping(unpacked(told.get("completion_token_details"))) or mapping(
        usage.get("output_token_details")
    )
    tokens_in = first(told.get("prompt_tokens"), usage.get("input_tokens"))
    tokens_out = first(told.get("completion_tokens"), usage.get("output_tokens"))
    row.input_tokens = count("prompt_tokens", tokens_in)
    row.output_tokens = count("completion_tokens", tokens_out)
    row.cached_tokens = count("cache_read", read.get("cache_read"))
    row.cache_write_tokens = count("cache_creation", read.get("cache_creation"))
    row.reasoning_tokens = count("reasoning", wrote.get("reasoning"))


def _usage_in(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `usage_metadata` of the outputs, or of their first message."""
    if "usage_metadata" in outputs:
        return mapping(outputs["usage_metadata"])
    found: Any = outputs.get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    message = mapping(mapping(found).get("message"))
    return mapping(mapping(message.get("kwargs", message)).get("usage_metadata"))


def _times(row: Row, told: Mapping[str, Any], reading: Reading) -> None:
    start, end = moment(told.get("start_time")), moment(told.get("end_time"))
    row.at_s, row.latency_s = start, between(start, end)
    row.first_token_s = between(start, moment(told.get("first_token_time")))
    if start is not None and end is not None and end < start:
        reading.note("calls that ended before they began (their latency is unknown)")
