"""Tables, LiteLLM payloads and OpenTelemetry spans, small and by hand.

LiteLLM: "StandardLoggingPayload Specification", documentation as of November 2026 (the fields
`stream` and `custom_llm_provider` are not in that table and could not be verified there).
OpenTelemetry: "Semantic conventions for generative client AI spans", as of November 2026, and 1.36.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stepdown.adapters.logs import LiteLLM, OTelSpans, Table, detect
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import DataError
from stepdown.ports.log_reader import LogReader

LITELLM: dict[str, Any] = {
    "id": "chatcmpl-1",
    "trace_id": "t1",
    "call_type": "acompletion",
    "response_cost": 0.0042,
    "status": "success",
    "total_tokens": 32,
    "prompt_tokens": 30,
    "completion_tokens": 2,
    "startTime": 1793527200.0,
    "endTime": 1793527202.5,
    "completionStartTime": 1793527200.5,
    "response_time": 0.5,
    "stream": True,
    "custom_llm_provider": "openai",
    "model": "gpt-4.1",
    "metadata": {"requester_metadata": {"step": "intent", "session_id": "s1"}},
    "request_tags": ["step:other"],
    "messages": [{"role": "user", "content": "Where?"}],
    "response": {
        "choices": [{"message": {"role": "assistant", "content": "late"}}],
        "usage": {"prompt_tokens": 30, "prompt_tokens_details": {"cached_tokens": 10}},
    },
    "model_parameters": {"max_tokens": 20, "tools": [{}, {}]},
}
NEW_SPAN: dict[str, Any] = {
    "name": "chat gpt-4.1",
    "spanId": "b1",
    "traceId": "t1",
    "startTimeUnixNano": "1793527200000000000",
    "endTimeUnixNano": "1793527201500000000",
    "attributes": [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4.1"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "30"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "2"}},
        {"key": "gen_ai.usage.cache_read.input_tokens", "value": {"intValue": "10"}},
        {
            "key": "gen_ai.input.messages",
            "value": {
                "stringValue": json.dumps(
                    [{"role": "user", "parts": [{"type": "text", "content": "Where?"}]}]
                )
            },
        },
        {
            "key": "gen_ai.output.messages",
            "value": {
                "stringValue": json.dumps(
                    [{"role": "assistant", "parts": [{"type": "text", "content": "late"}]}]
                )
            },
        },
    ],
}
OLD_SPAN: dict[str, Any] = {
    "name": "label the intent",
    "span_id": "b2",
    "start_time": "2026-11-01T10:00:00Z",
    "end_time": "2026-11-01T10:00:01.5Z",
    "attributes": {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4.1",
        "gen_ai.usage.prompt_tokens": 30,
        "gen_ai.usage.completion_tokens": 2,
    },
}


def calls_of(reader: LogReader, path: Path) -> list[LoggedCall]:
    batches = list(reader.read(path))
    assert [row for batch in batches for row in batch.refused] == []
    return [call for batch in batches for call in batch.calls()]


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_csv_json_lines_and_parquet_give_the_same_calls(tmp_path: Path) -> None:
    row = {"step": "a", "model": "m", "prompt_tokens": 30, "tokens_out": 2, "cost": 0.5}
    csv = tmp_path / "log.csv"
    csv.write_text("step,model,prompt_tokens,tokens_out,cost\na,m,30,2,0.5\n")
    pq.write_table(pa.table({k: [v] for k, v in row.items()}), tmp_path / "log.parquet")
    paths = [csv, lines(tmp_path / "log.jsonl", row), tmp_path / "log.parquet"]
    found = [calls_of(detect(path), path)[0] for path in paths]
    told = {
        (c.step, c.model, c.usage.input_tokens, c.usage.output_tokens, c.cost_usd) for c in found
    }
    assert told == {("a", "m", 30, 2, 0.5)}


def test_empty_cells_are_unknown_and_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,model,input_tokens,output_tokens,cost_usd,latency_ms\na,m,,,,\n")
    (call,) = calls_of(Table(), path)
    assert (call.usage.input_tokens, call.cost_usd, call.latency_s) == (None, None, None)


def test_a_cell_that_is_no_number_refuses_its_row_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("model,input_tokens\nm,5\nm,many\nm,-1\nm,7\n")
    (batch,) = Table().read(path)
    assert [call.usage.input_tokens for call in batch.calls()] == [5, 7]
    assert [(row.line, row.why) for row in batch.refused] == [
        (3, "input_tokens is no number: 'many'"),
        (4, "input_tokens must not be negative or endless: '-1'"),
    ]


def test_the_user_maps_columns_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("wer,was,wieviel\na,m,30\n")
    reader = Table(columns={"step": "wer", "model": "was", "input_tokens": "wieviel"})
    assert reader.accepts(path.read_bytes())
    (call,) = calls_of(reader, path)
    assert (call.step, call.model, call.usage.input_tokens) == ("a", "m", 30)


def test_a_mapping_of_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="colour"):
        Table(columns={"colour": "x"})


def test_a_litellm_payload_is_read_and_its_latency_is_end_minus_start(tmp_path: Path) -> None:
    (call,) = calls_of(LiteLLM(), lines(tmp_path / "log", LITELLM))
    assert (call.step, call.session, call.model) == ("intent", "s1", "gpt-4.1")
    assert (call.latency_s, call.first_token_s, call.cost_usd) == (2.5, 0.5, 0.0042)
    assert (call.usage.input_tokens, call.usage.output_tokens) == (30, 2)
    assert (call.usage.cached_tokens, call.answer, call.tools) == (10, "late", 2)
    assert (call.at, call.max_tokens) == ("2026-11-01T10:00:00Z", 20)


def test_a_litellm_cost_of_zero_for_tokens_is_unknown(tmp_path: Path) -> None:
    (call,) = calls_of(LiteLLM(), lines(tmp_path / "log", {**LITELLM, "response_cost": 0}))
    assert call.cost_usd is None


def test_a_litellm_payload_without_content_still_has_its_cost(tmp_path: Path) -> None:
    bare = {**LITELLM, "messages": None, "response": None, "metadata": None}
    (call,) = calls_of(LiteLLM(), lines(tmp_path / "log", bare))
    assert (call.messages, call.answer, call.cost_usd) == (None, None, 0.0042)
    assert (call.step, call.step_rule, call.session) == ("other", "tag", "t1")


def test_metadata_and_tags_may_be_json_inside_a_string(tmp_path: Path) -> None:
    row = {**LITELLM, "metadata": '{"task": "draft"}', "request_tags": '["x"]'}
    (call,) = calls_of(LiteLLM(), lines(tmp_path / "log", row))
    assert call.step == "draft"


def test_a_span_with_the_present_names_is_read(tmp_path: Path) -> None:
    (call,) = calls_of(OTelSpans(), lines(tmp_path / "log", NEW_SPAN))
    assert (call.provider, call.model, call.session) == ("openai", "gpt-4.1", "t1")
    assert (call.usage.input_tokens, call.usage.output_tokens) == (30, 2)
    assert (call.usage.cached_tokens, call.latency_s) == (10, 1.5)
    assert call.answer == "late"
    assert call.messages is not None
    assert call.messages[0].text == "Where?"
    assert call.step is None


def test_a_span_with_the_old_names_is_read_and_its_own_name_is_the_step(tmp_path: Path) -> None:
    (call,) = calls_of(OTelSpans(), lines(tmp_path / "log", OLD_SPAN))
    assert (call.provider, call.model, call.latency_s) == ("openai", "gpt-4.1", 1.5)
    assert (call.usage.input_tokens, call.usage.output_tokens) == (30, 2)
    assert (call.step, call.step_rule) == ("label the intent", "name span_name")


def test_an_otlp_export_of_many_spans_on_a_line_is_read(tmp_path: Path) -> None:
    other = {"name": "GET /", "attributes": []}
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [NEW_SPAN, other, NEW_SPAN]}]}]}
    assert len(calls_of(OTelSpans(), lines(tmp_path / "log", export))) == 2


def test_a_span_of_an_unknown_shape_is_refused_and_not_fatal(tmp_path: Path) -> None:
    bad = {
        "name": "x",
        "attributes": {"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": "x"},
    }
    (batch,) = OTelSpans().read(lines(tmp_path / "log", bad, OLD_SPAN))
    assert (len(batch), [row.line for row in batch.refused]) == (1, [1])
