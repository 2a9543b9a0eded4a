"""Request/response pairs; fixtures follow the OpenAI API reference (chat completions, Nov 2026)."""

import gzip
import json
from pathlib import Path
from typing import Any

from stepdown.adapters.logs import OpenAIPairs, detect
from stepdown.core.usage_log import LoggedCall, Refused

PAIR: dict[str, Any] = {
    "id": "call-1",
    "timestamp": "2026-11-01T10:00:00+02:00",
    "provider": "openai",
    "metadata": {"step": "intent", "message_id": "m1"},
    "latency_ms": 1250,
    "request": {
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": "Label it."},
            {"role": "user", "content": [{"type": "text", "text": "Where is my parcel?"}]},
        ],
        "max_completion_tokens": 20,
        "tools": [{"type": "function", "function": {"name": "look_up"}}],
    },
    "response": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1761991200,
        "model": "gpt-4.1-2025-04-14",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "late"},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 2,
            "total_tokens": 32,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "service_tier": "default",
    },
}


def changed(**top: Any) -> dict[str, Any]:
    return {**PAIR, **top}


def write(path: Path, rows: list[Any]) -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(path: Path, **options: Any) -> tuple[list[LoggedCall], list[Refused]]:
    batches = list(OpenAIPairs(**options).read(path))
    calls = [call for batch in batches for call in batch.calls()]
    return calls, [row for batch in batches for row in batch.refused]


def one(tmp_path: Path, row: Any, **options: Any) -> LoggedCall:
    calls, refused = read(write(tmp_path / "log.jsonl", [row]), **options)
    assert refused == []
    (call,) = calls
    return call


def test_a_pair_is_read_field_by_field(tmp_path: Path) -> None:
    call = one(tmp_path, PAIR)
    assert (call.id, call.at, call.provider) == ("call-1", "2026-11-01T08:00:00Z", "openai")
    assert call.model == "gpt-4.1-2025-04-14"
    assert (call.step, call.step_rule, call.session) == ("intent", "metadata step", "m1")
    assert call.messages is not None
    assert [message.text for message in call.messages] == ["Label it.", "Where is my parcel?"]
    assert call.answer == "late"
    assert (call.usage.input_tokens, call.usage.output_tokens) == (30, 2)
    assert (call.usage.cached_tokens, call.usage.reasoning_tokens) == (8, 0)
    assert (call.latency_s, call.cost_usd) == (1.25, None)
    assert (call.status, call.tools, call.max_tokens) == ("ok", 1, 20)
    assert call.source == "log.jsonl:1"


def test_what_a_pair_does_not_say_is_unknown_and_not_zero(tmp_path: Path) -> None:
    bare = {"request": {"model": "m", "messages": []}, "response": {"choices": []}}
    call = one(tmp_path, bare)
    assert call.usage.input_tokens is None
    assert (call.at, call.latency_s, call.cost_usd, call.answer) == (None, None, None, None)
    assert (call.step, call.step_rule, call.session) == (None, None, None)


def test_the_users_flag_names_every_step(tmp_path: Path) -> None:
    call = one(tmp_path, PAIR, step="triage")
    assert (call.step, call.step_rule) == ("triage", "flag")


def test_a_header_names_the_step_when_the_metadata_does_not(tmp_path: Path) -> None:
    call = one(tmp_path, changed(metadata={}, headers={"X-Stepdown-Step": "urgency"}))
    assert (call.step, call.step_rule) == ("urgency", "metadata stepdown_step")


def test_the_requests_own_metadata_names_the_step(tmp_path: Path) -> None:
    request = {**PAIR["request"], "metadata": {"task": "draft"}}
    call = one(tmp_path, changed(metadata=None, request=request))
    assert (call.step, call.step_rule) == ("draft", "metadata task")


def test_a_prompt_name_comes_after_a_step_and_before_a_tag(tmp_path: Path) -> None:
    row = changed(metadata={"prompt_name": "intent-v3", "name": "Ann"}, tags=["step:other"])
    assert one(tmp_path, row).step == "intent-v3"
    assert one(tmp_path, changed(metadata={"name": "Ann"}, tags=["step:other"])).step == "other"


def test_a_reported_cost_is_kept(tmp_path: Path) -> None:
    assert one(tmp_path, changed(cost_usd=0.0021)).cost_usd == 0.0021


def test_times_in_seconds_milliseconds_and_text_without_a_zone_are_the_same(tmp_path: Path) -> None:
    stamps: list[Any] = [1793527200, 1793527200000, "2026-11-01T10:00:00", "1793527200"]
    times = {one(tmp_path, changed(timestamp=stamp)).at for stamp in stamps}
    assert times == {"2026-11-01T10:00:00Z"}


def test_a_failed_call_is_an_error(tmp_path: Path) -> None:
    assert one(tmp_path, changed(response={"error": {"message": "no"}})).status == "error"
    assert one(tmp_path, changed(status=429)).status == "error"
    assert one(tmp_path, {key: PAIR[key] for key in ("id", "request")}).status == "error"


def test_a_call_of_another_service_tier_is_not_named_like_a_standard_one(tmp_path: Path) -> None:
    response = {**PAIR["response"], "service_tier": "flex"}
    call = one(tmp_path, changed(response=response))
    assert (call.model, call.processing) == ("gpt-4.1-2025-04-14", "flex")


def test_tool_calls_without_text_are_the_answer_as_json(tmp_path: Path) -> None:
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    response = {**PAIR["response"], "choices": [{"message": said}]}
    answer = one(tmp_path, changed(response=response)).answer
    assert answer == '{"tool_calls":[{"id":"c1","name":"f","arguments":"{}"}]}'


def test_a_stored_completion_is_read(tmp_path: Path) -> None:
    stored = {
        **PAIR["response"],
        "messages": PAIR["request"]["messages"],
        "metadata": {"step": "a"},
    }
    call = one(tmp_path, stored)
    assert (call.id, call.step, call.answer) == ("chatcmpl-1", "a", "late")
    assert call.latency_s is None


def test_broken_lines_are_refused_with_line_and_reason_and_the_rest_stands(tmp_path: Path) -> None:
    negative = {**PAIR["response"], "usage": {"prompt_tokens": -5}}
    rows = [
        PAIR,
        '{"request": {"model": ',
        changed(response=negative),
        [1],
        {"custom_id": "a", "response": {}},
        changed(timestamp="yesterday"),
        changed(id="call-2"),
    ]
    calls, refused = read(write(tmp_path / "log.jsonl", rows))
    assert [call.id for call in calls] == ["call-1", "call-2"]
    assert [row.line for row in refused] == [2, 3, 4, 5, 6]
    assert refused[0].why.startswith("not JSON")
    assert "prompt_tokens" in refused[1].why
    assert "Batch API" in refused[3].why
    assert "not a time: 'yesterday'" in refused[4].why
    assert refused[0].excerpt == '{"request": {"model":'


def test_a_gzip_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(PAIR).encode() + b"\n"))
    assert isinstance(detect(path), OpenAIPairs)
    assert [call.id for call in read(path)[0]] == ["call-1"]


def test_a_gzip_file_that_ends_early_keeps_what_could_be_read(tmp_path: Path) -> None:
    lines = b"".join(json.dumps(changed(id=f"c{i}")).encode() + b"\n" for i in range(3000))
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(lines)[:-2000])
    calls, refused = read(path)
    assert 0 < len(calls) < 3000
    assert "ends early" in refused[-1].why


def test_bytes_that_are_no_utf_8_refuse_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    bad = json.dumps(PAIR).encode().replace(b"late", b"l\xff\xfete")
    path.write_bytes(bad + b"\n" + json.dumps(PAIR).encode() + b"\n")
    calls, refused = read(path)
    assert (len(calls), [row.line for row in refused]) == (1, [1])


def test_rows_come_in_batches_and_none_is_lost(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [changed(id=f"c{i}") for i in range(25)])
    batches = list(OpenAIPairs().read(path, batch_rows=10))
    assert [len(batch) for batch in batches] == [10, 10, 5]


def test_unknown_fields_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [changed(colour="red")])
    (batch,) = OpenAIPairs().read(path)
    assert batch.unknown_fields == {"colour": 1}
