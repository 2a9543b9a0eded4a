"""Databases and session files: what an individual, or a team that runs us, has on disk already."""

import gzip
import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.logs import known_pipeline as known
from tests.logs.session_files import LLM_2023, codex_session, ledger, llm_database

from stepdown.adapters.logs import Source, detect, read_logs
from stepdown.adapters.logs.own_ledger import APPLICATION
from stepdown.adapters.logs.sqlite_log import LONGEST_CHARS
from stepdown.adapters.storage.database import APPLICATION_ID
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import DataError

CALLS = [call for call in known.calls(60) if not call.failed]


def read(path: Path) -> list[Batch]:
    batches = list(read_logs([path]))
    assert [row for batch in batches for row in batch.refused] == []
    return batches


def rows(batches: Sequence[Batch]) -> list[LoggedCall]:
    return [call for batch in batches for call in batch.calls()]


def notes(batches: Sequence[Batch]) -> dict[str, int]:
    return {text: n for batch in batches for text, n in batch.notes.items()}


def test_the_database_of_llm_tells_tokens_times_conversations_and_what_was_said(
    tmp_path: Path,
) -> None:
    found = rows(read(llm_database(tmp_path / "logs.db", CALLS)))
    assert [row.id for row in found] == [call.id for call in CALLS]
    for row, call in zip(found, CALLS, strict=True):
        assert row.usage.input_tokens == call.input_tokens
        assert row.usage.output_tokens == call.output_tokens
        assert row.usage.cached_tokens == (call.step.cached or None)
        assert row.latency_s == pytest.approx(call.latency_s)
        assert (row.session, row.model, row.max_tokens) == (call.session, call.step.model, 500)
        assert row.tools == len(call.step.tools)
        assert row.answer == call.answer
        assert row.messages is not None
        assert row.messages[-1].text == call.text
        assert (row.step, row.cost_usd) == (None, None)


def test_fragments_stand_before_the_prompt_as_llm_sends_them(tmp_path: Path) -> None:
    found = rows(read(llm_database(tmp_path / "logs.db", CALLS)))
    draft = found[[call.step.name for call in CALLS].index("draft")]
    assert draft.messages is not None
    assert draft.messages[0].text == "A policy.\n\nDraft a reply to the customer."


def test_a_database_of_2023_has_no_token_counts_and_they_stay_unknown(tmp_path: Path) -> None:
    found = rows(read(llm_database(tmp_path / "logs.db", CALLS, LLM_2023)))
    assert len(found) == len(CALLS)
    assert {row.usage.input_tokens for row in found} == {None}
    assert found[0].answer == CALLS[0].answer


def test_a_ledger_gives_one_call_for_each_attempt_and_its_steps_are_tasks(tmp_path: Path) -> None:
    calls = list(known.calls(60))
    path = ledger(tmp_path / "ledger.sqlite", calls)
    assert path.with_name("ledger.sqlite-wal").exists() is False
    found = rows(read(path))
    assert len(found) == 2 * len(calls)
    second = {row.trace: row for row in found if row.model != "expert"}
    for call in calls:
        row = second[call.id]
        assert (row.step, row.step_rule) == (call.step.name, "ledger task")
        assert (row.session, row.model) == (call.session, call.step.model)
        assert (row.cost_usd, row.usage.input_tokens) == (0.01, call.input_tokens)
        assert row.status == ("error" if call.failed else "ok")
        assert row.messages is not None
        assert (row.messages[0].text, row.answer) == (call.text, call.answer)


def test_a_ledger_is_known_by_the_mark_that_storage_writes() -> None:
    assert APPLICATION == APPLICATION_ID


def test_a_database_whose_program_is_writing_is_read_with_what_waits_beside_it(
    tmp_path: Path,
) -> None:
    path = llm_database(tmp_path / "logs.db", CALLS[:5])
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "INSERT INTO responses (id, model, prompt, response) VALUES ('late', 'm', 'p', 'a')"
        )
        db.commit()
        assert path.with_name("logs.db-wal").stat().st_size
        assert "late" in {row.id for row in rows(read(path))}


def test_a_session_of_codex_counts_usage_that_is_told_twice_once(tmp_path: Path) -> None:
    batches = read(codex_session(tmp_path / "rollout-1.jsonl", CALLS))
    found = rows(batches)
    assert [row.usage.input_tokens for row in found] == [call.input_tokens for call in CALLS]
    assert [row.usage.cached_tokens for row in found] == [call.step.cached for call in CALLS]
    assert [row.model for row in found] == [call.step.model for call in CALLS]
    assert {(row.session, row.step, row.provider) for row in found} == {
        ("session-1", "codex", "openai")
    }
    assert {row.latency_s for row in found} == {None}
    assert list(notes(batches).values()) == [len(CALLS)]


def test_a_database_from_a_stream_is_refused_with_what_to_do(tmp_path: Path) -> None:
    data = llm_database(tmp_path / "logs.db", CALLS).read_bytes()
    with pytest.raises(DataError, match="cannot be read from a stream") as told:
        list(read_logs([Source.stdin(io.BytesIO(data))]))
    assert "file" in (told.value.hint or "")


def test_a_packed_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    data = llm_database(tmp_path / "logs.db", CALLS).read_bytes()
    (tmp_path / "logs.db.gz").write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match="packed SQLite"):
        list(read_logs([tmp_path / "logs.db.gz"]))


def test_another_database_among_logs_is_refused_and_the_rest_stands(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE notes (id TEXT)")
    good = codex_session(tmp_path / "rollout-1.jsonl", CALLS)
    batches = list(read_logs([tmp_path / "other.db", good]))
    (refused,) = (row for batch in batches for row in batch.refused)
    assert "without a table of calls" in refused.why
    assert len(rows(batches)) == len(CALLS)
    with pytest.raises(DataError, match="without a table of calls"):
        list(read_logs([tmp_path / "other.db"]))


def test_a_database_that_ends_early_tells_it_and_keeps_what_was_read(tmp_path: Path) -> None:
    path = llm_database(tmp_path / "logs.db", CALLS * 1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 8192])
    with pytest.raises(DataError, match=r"logs\.db"):
        list(read_logs([path]))


def test_a_text_that_is_too_long_is_left_out_and_its_call_is_counted(tmp_path: Path) -> None:
    path = llm_database(tmp_path / "logs.db", CALLS[:3])
    with closing(sqlite3.connect(path)) as db:
        long = "x" * (LONGEST_CHARS + 1)
        db.execute("UPDATE responses SET prompt = ? WHERE id = ?", (long, CALLS[0].id))
        db.commit()
    batches = read(path)
    first = rows(batches)[0]
    assert first.usage.input_tokens == CALLS[0].input_tokens
    assert first.messages is not None
    assert [message.role for message in first.messages] == ["system"]
    assert list(notes(batches).values()) == [1]


def test_a_cell_that_is_no_count_is_refused_by_its_row(tmp_path: Path) -> None:
    path = llm_database(tmp_path / "logs.db", CALLS[:3])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE responses SET input_tokens = -4 WHERE id = ?", (CALLS[1].id,))
        db.commit()
    batches = list(read_logs([path]))
    (refused,) = (row for batch in batches for row in batch.refused)
    assert (refused.line, "negative" in refused.why) == (2, True)
    assert len(rows(batches)) == 2


def test_reading_a_database_changes_nothing_beside_it(tmp_path: Path) -> None:
    path = llm_database(tmp_path / "logs.db", CALLS)
    before = path.read_bytes()
    read(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["logs.db"]


def test_portkeys_cost_is_in_cents_and_zero_is_unknown(tmp_path: Path) -> None:
    call = CALLS[0]
    log = tmp_path / "log.jsonl"
    told = [
        {**known.portkey_log(call), "cost": 1.5},
        {**known.portkey_log(call), "cost_currency": "EUR", "cost": 1},
        known.portkey_log(call),
    ]
    log.write_text("".join(known.json.dumps(row) + "\n" for row in told))
    batches = read(log)
    assert [row.cost_usd for row in rows(batches)] == [0.015, None, None]
    assert list(notes(batches)) == ["costs in EUR, which are not counted"]


def test_portkeys_columns_with_a_dot_tell_what_its_objects_tell(tmp_path: Path) -> None:
    plain = known.portkey_log(CALLS[0])
    dotted = {
        name: cell
        for name, cell in plain.items()
        if name not in ("request", "response", "metadata")
    } | {
        "request.body": known.json.dumps(plain["request"]["body"]),
        "response.body": known.json.dumps(plain["response"]["body"]),
        "metadata.step": plain["metadata"]["step"],
    }
    for name, row in (("plain", plain), ("dotted", dotted)):
        (tmp_path / name).write_text(known.json.dumps(row) + "\n")
    first, second = (rows(read(tmp_path / name))[0] for name in ("plain", "dotted"))
    assert detect(tmp_path / "dotted").name.startswith("Portkey")
    assert (first.step, first.messages, first.answer, first.usage) == (
        second.step,
        second.messages,
        second.answer,
        second.usage,
    )
