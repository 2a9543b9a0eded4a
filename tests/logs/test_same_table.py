"""One pipeline, written in every format, is one table; what a format cannot carry is unknown."""

import gzip
import json
import math
import random
from datetime import date
from pathlib import Path

import pytest
from tests.logs import known_pipeline as known

from stepdown.adapters.logs import BatchFiles, detect, read_logs
from stepdown.adapters.prices.book import Book
from stepdown.audit import AuditReport, audit
from stepdown.core.call_columns import Batch

N = 240
NUMBERS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "max_tokens",
    "tools",
    "first_token_s",
    "latency_s",
    "at_s",
)


def audited(batches: list[Batch]) -> AuditReport:
    return audit(batches, Book(date(2026, 11, 22)))


def read(tmp_path: Path, form: str, n: int = N) -> list[Batch]:
    path = tmp_path / "log"
    path.write_bytes(b"".join(known.written(form, n)))
    batches = list(read_logs([path]))
    assert [row for batch in batches for row in batch.refused] == []
    return batches


def told(form: str) -> dict[str, list[float]]:
    """What each call of the pipeline tells; a format's missing fields are NaN."""
    lacks = known.LACKS.get(form, frozenset())
    found: dict[str, list[float]] = {name: [] for name in NUMBERS}
    for call in known.calls(N):
        step = call.step
        values = {
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "cached_tokens": 0 if call.failed else step.cached,
            "cache_write_tokens": 0 if call.failed else step.written,
            "reasoning_tokens": 0 if call.failed else step.reasoning,
            "max_tokens": 500,
            "tools": len(step.tools),
            "first_token_s": call.first_token_s,
            "latency_s": call.latency_s,
            "at_s": call.at_s,
        }
        for name in NUMBERS:
            found[name].append(math.nan if name in lacks else values[name])
    return found


@pytest.mark.parametrize("form", list(known.FORMATS))
def test_every_format_tells_each_call_alike_and_invents_nothing(tmp_path: Path, form: str) -> None:
    batches = read(tmp_path, form)
    for name, wanted in told(form).items():
        got = [value for batch in batches for value in batch.numbers(name).tolist()]
        for mine, theirs in zip(got, wanted, strict=True):
            # Zero of what a call does not use may be left out by a format.
            if math.isnan(mine) and theirs == 0:
                continue
            assert mine == pytest.approx(theirs, abs=2e-3, nan_ok=True), name


@pytest.mark.parametrize("form", list(known.FORMATS))
def test_every_format_names_steps_sessions_and_ends_alike(tmp_path: Path, form: str) -> None:
    lacks = known.LACKS.get(form, frozenset())
    rows = [call for batch in read(tmp_path, form) for call in batch.calls()]
    for row, call in zip(rows, known.calls(N), strict=True):
        assert (row.step, row.session, row.model) == (
            call.step.name,
            call.session,
            call.step.model,
        )
        assert row.status == ("error" if call.failed else "ok")
        way = "batch" if call.step.batch else "standard"
        wanted = None if "processing" in lacks else way
        assert row.processing == wanted or (row.processing is None and way == "standard")
        if "content" in lacks:
            assert (row.messages, row.answer) == (None, None)
        else:
            assert row.messages is not None
            assert [message.text for message in row.messages] == [call.step.system, call.text]
            assert row.answer == call.answer


@pytest.mark.parametrize("form", [form for form in known.FORMATS if form != "litellm spend logs"])
def test_every_format_that_carries_the_tokens_gives_the_same_bill_to_the_cent(
    tmp_path: Path, form: str
) -> None:
    (tmp_path / "pairs").mkdir()
    wanted, got = audited(read(tmp_path / "pairs", "pairs")), audited(read(tmp_path, form))
    assert {step.name: round(step.cost.usd or -1, 6) for step in got.steps} == {
        step.name: round(step.cost.usd or -1, 6) for step in wanted.steps
    }
    assert {step.name: (step.calls, step.errors) for step in got.steps} == {
        step.name: (step.calls, step.errors) for step in wanted.steps
    }


@pytest.mark.parametrize("form", ["langfuse", "litellm spend logs", "table"])
def test_an_export_as_csv_tells_what_its_json_tells(tmp_path: Path, form: str) -> None:
    rows = [known.FORMATS[form](call) for call in known.calls(60)]
    (tmp_path / "log.csv").write_text(known.as_csv(rows), encoding="utf-8")
    by_csv = [call for batch in read_logs([tmp_path / "log.csv"]) for call in batch.calls()]
    by_json = [call for batch in read(tmp_path, form, 60) for call in batch.calls()]
    keep = ("id", "step", "session", "model", "usage", "latency_s", "status", "processing")
    assert [[getattr(row, name) for name in keep] for row in by_csv] == [
        [getattr(row, name) for name in keep] for row in by_json
    ]


@pytest.mark.parametrize("form", ["pairs", "langfuse", "otel"])
def test_lines_an_array_a_pretty_document_and_a_wrapped_list_tell_the_same(
    tmp_path: Path, form: str
) -> None:
    rows = [known.FORMATS[form](call) for call in known.calls(60)]
    wanted = [call.usage for batch in read(tmp_path, form, 60) for call in batch.calls()]
    texts = {
        "array": json.dumps(rows),
        "pretty": json.dumps(rows, indent=2),
        "wrapped": json.dumps({"data": rows, "meta": {"page": 1, "items": [{"a": 1}]}}),
        "wrapped pretty": json.dumps({"meta": {"page": 1}, "data": rows}, indent=1),
        "several": "\n".join(json.dumps(row, indent=2) for row in rows),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        batches = list(detect(tmp_path / name).read(tmp_path / name))
        assert [row for batch in batches for row in batch.refused] == [], name
        assert [c.usage for b in batches for c in b.calls()] == wanted, name


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_batch_joins_its_input_in_another_file_out_of_order(tmp_path: Path) -> None:
    asked = list(known.calls(N, batch=True))
    answered = list(asked)
    random.Random(3).shuffle(answered)
    first = jsonl(tmp_path / "output.jsonl", [known.batch_output(call) for call in answered])
    second = jsonl(tmp_path / "z-input.jsonl", [known.batch_input(call) for call in asked])
    rows = [call for batch in read_logs([first, second]) for call in batch.calls()]
    assert [row.id for row in rows] == [call.id for call in answered]
    assert {(row.step, row.processing, row.max_tokens) for row in rows} == {
        ("nightly", "batch", 500)
    }
    assert rows[0].messages is not None
    assert rows[0].messages[-1].text == answered[0].text
    (step,) = audited([Batch.of(rows)]).steps
    (wanted,) = audited(
        [Batch.of([c for b in read(tmp_path, "pairs") for c in b.calls() if c.step == "nightly"])]
    ).steps
    assert step.cost.usd == pytest.approx(wanted.cost.usd)


def test_a_result_without_its_input_is_a_call_and_a_request_without_a_result_is_none(
    tmp_path: Path,
) -> None:
    asked = list(known.calls(N, batch=True))
    log = jsonl(
        tmp_path / "both.jsonl",
        [known.batch_input(call) for call in asked[:5]]
        + [known.batch_output(call) for call in asked[3:8]],
    )
    batches = list(read_logs([log]))
    assert sum(len(batch) for batch in batches) == 5
    notes: dict[str, int] = {}
    for batch in batches:
        notes |= batch.notes
    assert sorted(notes.values()) == [3, 3]


def test_one_custom_id_in_two_inputs_joins_neither_unless_the_file_tells(tmp_path: Path) -> None:
    one, two = list(known.calls(12, batch=True))
    inputs = [{**known.batch_input(call), "custom_id": "request-1"} for call in (one, two)]
    output = {**known.batch_output(one), "custom_id": "request-1"}
    apart = [jsonl(tmp_path / f"in{n}", [row]) for n, row in enumerate(inputs)]
    (row,) = (
        call
        for batch in read_logs([*apart, jsonl(tmp_path / "out", [output])])
        for call in batch.calls()
    )
    assert (row.messages, row.usage.input_tokens) == (None, one.input_tokens)
    together = [jsonl(tmp_path / "a", [inputs[0], output]), jsonl(tmp_path / "b", [inputs[1]])]
    (row,) = (call for batch in read_logs(together) for call in batch.calls())
    assert row.messages is not None
    assert row.messages[-1].text == one.text


def test_anthropic_batches_add_what_the_cache_gave_and_took(tmp_path: Path) -> None:
    asked = [call for call in known.calls(60) if call.anthropic and not call.failed]
    log = jsonl(
        tmp_path / "results.jsonl",
        [known.anthropic_batch_input(call) for call in asked]
        + [known.anthropic_batch_result(call) for call in asked]
        + [{"custom_id": "x", "result": {"type": "expired"}}],
    )
    assert isinstance(detect(log), BatchFiles)
    rows = [call for batch in read_logs([log]) for call in batch.calls()]
    assert [row.usage.input_tokens for row in rows[:-1]] == [call.input_tokens for call in asked]
    assert rows[0].usage.cached_tokens == 1024
    assert rows[0].usage.cache_write_tokens == 400
    assert (rows[-1].status, rows[-1].error, rows[-1].usage.input_tokens) == (
        "error",
        "expired",
        None,
    )
    assert rows[0].answer == asked[0].answer


def test_mixed_formats_packed_and_not_in_one_folder_are_one_log(tmp_path: Path) -> None:
    for place, form in enumerate(known.FORMATS):
        lines = b"".join(known.written(form, 12))
        packed = gzip.compress(lines) if place % 2 else lines
        (tmp_path / f"{place}.jsonl").write_bytes(packed)
    (tmp_path / "readme.jsonl").write_text("not a log")
    batches = list(read_logs(sorted(tmp_path.iterdir())))
    assert sum(len(batch) for batch in batches) == 12 * len(known.FORMATS)
    (refused,) = (row for batch in batches for row in batch.refused)
    assert "no known log format" in refused.why
