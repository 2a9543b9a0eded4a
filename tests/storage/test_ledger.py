"""The ledger keeps every trace once, says what it does not know, and never changes a row."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stepdown.adapters.storage import SpoolLedger, database, open_ledger
from stepdown.adapters.storage.database import APPLICATION_ID, VERSION, schema
from stepdown.adapters.storage.rows import encode_trace
from stepdown.adapters.storage.spool import Line, SpoolWriter, read_lines, seal, segments, unseal
from stepdown.core.request import Usage
from stepdown.core.trace import Attempt, Trace
from stepdown.errors import DataError


def trace(name: str = "t1", **changes: object) -> Trace:
    first = Attempt(
        id=f"{name}/1",
        trace_id=name,
        number=1,
        tier="expert",
        started_at="2026-11-22T10:00:00Z",
        latency_s=0.002,
        cost_usd=1e-7,
        cost_basis="hardware",
        signals={"margin": 0.31, "agreement": None},
        confidence=0.61,
        threshold=0.9,
        decision="call frontier",
        reason="low_confidence",
        answer="refund",
    )
    second = Attempt(
        id=f"{name}/2",
        trace_id=name,
        number=2,
        tier="frontier",
        why="low_confidence",
        started_at="2026-11-22T10:00:01Z",
        usage=Usage(input_tokens=120, output_tokens=4, estimated=True),
        recorded=True,
    )
    base = Trace(
        id=name,
        task="intent",
        at="2026-11-22T10:00:00Z",
        attempts=(first, second),
        answered_by="frontier",
        reason="accepted",
        latency_s=0.9,
        baseline_usd=0.004,
        guarantee="certified",
        input="Où est mon colis ?\n\u0000\U0001f600",
        answer="parcel",
    )
    return replace(base, **changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SpoolLedger]:
    with SpoolLedger(tmp_path / "ledger", fill_every_s=None) as opened:
        yield opened


def ask(ledger: SpoolLedger, query: str) -> list[tuple]:
    with closing(sqlite3.connect(ledger.path)) as db:
        return db.execute(query).fetchall()


def spool_of(ledger: SpoolLedger) -> Path:
    return ledger.directory / "spool"


def test_a_trace_comes_back_exactly_as_it_was_appended(ledger: SpoolLedger) -> None:
    ledger.append(trace())
    assert ledger.trace("t1") == trace()


numbers = itertools.count()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
finite = st.floats(0, 1e6, allow_nan=False)
maybe = st.none() | finite


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=texts, cost=maybe, latency=finite, signals=st.dictionaries(texts, maybe, max_size=3))
def test_any_text_and_any_number_comes_back_exactly(
    ledger: SpoolLedger,
    text: str,
    cost: float | None,
    latency: float,
    signals: dict[str, float | None],
) -> None:
    attempt = replace(trace().attempts[0], signals=signals, answer=text, cost_usd=cost)
    name = f"t{next(numbers)}"
    sent = trace(name, attempts=(attempt,), input=text, cost_usd=cost, latency_s=latency)
    ledger.append(sent)
    assert ledger.trace(name) == sent


def test_an_unknown_trace_is_none(ledger: SpoolLedger) -> None:
    assert ledger.trace("nobody") is None


def test_flush_returns_how_many_traces_were_new(ledger: SpoolLedger) -> None:
    for number in range(450):  # more than two batches
        ledger.append(trace(f"t{number}"))
    assert ledger.counts()["waiting"] == 450
    assert ledger.flush() == 450
    assert ledger.flush() == 0
    assert ledger.counts() == {"traces": 450, "attempts": 900, "waiting": 0, "broken": 0}
    assert list(spool_of(ledger).iterdir()) == []


def test_the_same_trace_appended_twice_is_kept_once(ledger: SpoolLedger) -> None:
    ledger.append(trace())
    ledger.append(trace())
    ledger.flush()
    ledger.append(trace())
    ledger.flush()
    assert ledger.counts()["traces"] == 1
    assert ledger.counts()["attempts"] == 2


def test_two_requests_under_one_id_are_both_kept_and_the_second_gets_its_own_id(
    ledger: SpoolLedger,
) -> None:
    for _ in range(2):
        ledger.append(trace(answer="first"))
        ledger.append(trace(answer="second"))
        ledger.flush()
    first, second = ledger.traces()
    assert (first.id, first.answer) == ("t1", "first")
    assert second.id.startswith("t1~")
    assert second.answer == "second"
    assert {attempt.trace_id for attempt in second.attempts} == {second.id}
    assert ledger.trace(second.id) == second


def test_traces_come_in_the_order_of_time_and_by_task(ledger: SpoolLedger) -> None:
    ledger.append(trace("late", at="2026-11-22T12:00:00Z"))
    ledger.append(trace("early", at="2026-11-22T08:00:00Z"))
    ledger.append(trace("other", at="2026-11-22T09:00:00Z", task="draft"))
    assert [t.id for t in ledger.traces()] == ["early", "other", "late"]
    assert [t.id for t in ledger.traces(task="intent")] == ["early", "late"]
    assert [t.id for t in ledger.traces(since="2026-11-22T09:00:00Z")] == ["other", "late"]


def test_unknown_money_is_null_and_counted_and_never_zero(ledger: SpoolLedger) -> None:
    ledger.append(trace("known", cost_usd=0.001))
    ledger.append(trace("unknown"))
    (spend,) = ledger.rows("spend_by_task")
    assert ask(ledger, "SELECT id FROM traces WHERE cost_usd IS NULL") == [("unknown",)]
    assert (spend["cost_usd"], spend["cost_unknown"]) == (0.001, 1)
    assert (spend["both_known"], spend["both_baseline_usd"]) == (1, 0.004)
    assert (spend["escalated"], spend["abstained"]) == (2, 0)


def test_a_task_whose_costs_are_all_unknown_has_no_sum(ledger: SpoolLedger) -> None:
    ledger.append(trace())
    (spend,) = ledger.rows("spend_by_task")
    assert spend["cost_usd"] is None
    assert spend["cost_unknown"] == 1


def test_the_views_say_who_kept_what_and_why_requests_moved(ledger: SpoolLedger) -> None:
    ledger.append(trace("a", message_id="m"))
    kept = replace(trace("b"), attempts=trace("b").attempts[:1], answered_by="expert")
    ledger.append(kept)
    shares = {row["tier"]: row["share"] for row in ledger.rows("kept_by_tier")}
    assert shares == {"expert": 0.5, "frontier": 0.5}
    assert ledger.rows("escalations_by_reason") == [
        {"task": "intent", "reason": "low_confidence", "moved_to": "frontier", "attempts": 1}
    ]
    tiers = {row["tier"]: row for row in ledger.rows("attempts_by_tier")}
    assert (tiers["expert"]["attempts"], tiers["expert"]["tokens_unknown"]) == (2, 2)
    assert (tiers["frontier"]["input_tokens"], tiers["frontier"]["recorded"]) == (120, 1)
    assert ledger.rows("spend_by_message")[0]["message_id"] == "m"


def test_a_view_that_is_not_there_is_named_with_those_that_are(ledger: SpoolLedger) -> None:
    with pytest.raises(DataError, match=r"no view 'spend'.*spend_by_task"):
        ledger.rows("spend")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE traces SET cost_usd = 0",
        "DELETE FROM traces",
        "UPDATE attempts SET tier = 'x'",
        "DELETE FROM attempts",
    ],
)
def test_rows_cannot_be_changed_or_removed(ledger: SpoolLedger, change: str) -> None:
    ledger.append(trace())
    ledger.flush()
    with (
        closing(sqlite3.connect(ledger.path)) as db,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        db.execute(change)


def test_insert_or_replace_does_not_get_around_that(ledger: SpoolLedger) -> None:
    ledger.append(trace())
    ledger.flush()
    with closing(sqlite3.connect(ledger.path)) as db:
        for table in ("traces", "attempts"):
            before = db.execute(f"SELECT * FROM {table}").fetchall()
            change = "reason = 'x'"
            db.execute(f"CREATE TEMP TABLE copy AS SELECT * FROM {table}")
            db.execute(f"UPDATE copy SET {change}")
            db.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM copy")
            db.execute("DROP TABLE copy")
            assert db.execute(f"SELECT * FROM {table}").fetchall() == before


def test_only_the_owner_may_read_any_of_the_files(ledger: SpoolLedger) -> None:
    ledger.append(trace("a"))
    with closing(sqlite3.connect(ledger.path)) as reader:
        reader.execute("SELECT count(*) FROM traces").fetchone()
        ledger.flush()
        ledger.append(trace("b"))
        (spool_of(ledger) / "0-x-1.jsonl").write_bytes(b"broken\n")
        ledger.flush()
        ledger.append(trace("c"))
        ours = [p for p in ledger.directory.rglob("*") if p.is_file()]
        modes = {p.suffix: stat.S_IMODE(p.stat().st_mode) for p in ours}
    assert set(modes) >= {".sqlite", ".sqlite-wal", ".sqlite-shm", ".bad", ".jsonl", ".lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(spool_of(ledger).stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "broken",
    [
        seal(encode_trace(trace("torn")))[:-20],
        seal(encode_trace(trace("torn"))).replace(b"refund", b"refuse"),
        seal(b'{"not": "a trace"}'),
        seal(b"[" * 100_000),
        seal(encode_trace(trace("torn", attempts=(replace(trace().attempts[0], number=2**70),)))),
        b"\xff\xfe\n",
        b"x",
    ],
    ids=["torn", "altered", "other", "deep", "huge number", "binary", "short"],
)
def test_a_broken_line_is_counted_and_set_aside_and_the_others_are_kept(
    ledger: SpoolLedger, broken: bytes
) -> None:
    dead = spool_of(ledger) / "1-dead-00000001.jsonl"
    good = [seal(encode_trace(trace(name))) for name in ("a", "b")]
    dead.write_bytes(b"".join(good) + broken)
    assert ledger.flush() == 2
    assert ledger.counts() == {"traces": 2, "attempts": 4, "waiting": 0, "broken": 1}
    assert dead.with_suffix(".bad").read_bytes() == broken.rstrip(b"\n") + b"\n"
    assert not dead.exists()


@given(st.binary(max_size=60))
def test_a_line_is_unsealed_only_when_no_byte_of_it_has_changed(payload: bytes) -> None:
    line = seal(payload)
    assert unseal(line) == (payload or None)
    assert all(unseal(line[:cut]) is None for cut in range(len(line)))


def test_the_spool_of_a_living_process_is_read_and_left_alone(
    ledger: SpoolLedger, tmp_path: Path
) -> None:
    other = SpoolWriter(spool_of(ledger))
    other.append(encode_trace(trace("theirs")))
    assert ledger.flush() == 1
    assert len(list(spool_of(ledger).glob("*.jsonl"))) == 1
    other.append(encode_trace(trace("later")))
    other.close()
    assert ledger.flush() == 1
    assert list(spool_of(ledger).iterdir()) == []
    assert {t.id for t in ledger.traces()} == {"theirs", "later"}


def test_a_half_written_line_of_a_living_process_is_not_called_broken(ledger: SpoolLedger) -> None:
    line = seal(encode_trace(trace("theirs")))
    path = spool_of(ledger) / "1-alive-00000001.jsonl"
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line[:50])
        assert ledger.flush() == 0
        assert ledger.counts()["broken"] == 0
        file.write(line[50:])
    assert ledger.flush() == 1


def lines_of(path: Path) -> list[Line]:
    with path.open("rb") as file:
        return list(read_lines(file))


def test_a_full_disk_is_noticed_when_a_file_gets_its_room_and_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = SpoolWriter(tmp_path)
    writer.append(b'"before"')
    monkeypatch.setattr(os, "posix_fallocate", full)
    writer.append(b'"has its room"')
    writer.rotate()
    with pytest.raises(OSError, match="No space left"):
        writer.append(b'"lost"')
    monkeypatch.undo()
    writer.append(b'"after"')
    writer.close()
    kept = [line for path in segments(tmp_path) for line in lines_of(path)]
    assert [line.payload for line in kept] == [b'"before"', b'"has its room"', b'"after"']
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"] * 2


def test_a_disk_with_little_room_left_takes_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.posix_fallocate

    def little(fd: int, start: int, size: int) -> None:
        if size > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, start, size)

    monkeypatch.setattr(os, "posix_fallocate", little)
    writer = SpoolWriter(tmp_path)
    writer.append(b'"small"')
    writer.append(b'"%b"' % (b"x" * 80_000))
    with pytest.raises(OSError, match="No space left"):
        writer.append(b'"%b"' % (b"x" * 200_000))
    writer.close()
    assert len(segments(tmp_path)) == 2


def test_an_append_asks_nothing_of_the_system_once_its_file_is_there(
    ledger: SpoolLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(trace("first"))
    for name in ("write", "pwrite", "open", "ftruncate", "posix_fallocate"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("it did"))
    ledger.append(trace("second"))
    monkeypatch.undo()
    assert {t.id for t in ledger.traces()} == {"first", "second"}


def test_lines_go_on_in_another_file_when_one_is_full(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        long = "x" * 300_000
        for number in range(8):
            ledger.append(trace(f"t{number}", answer=long))
        ledger.append(trace("longest", answer="y" * 3_000_000))
        assert len(list(spool_of(ledger).glob("*.jsonl"))) == 4
        assert ledger.flush() == 9
        assert ledger.counts()["broken"] == 0


def test_what_a_kill_left_half_copied_was_never_there(ledger: SpoolLedger) -> None:
    whole, half = seal(encode_trace(trace("whole"))), seal(encode_trace(trace("half")))
    dead = spool_of(ledger) / "1-dead-00000001.jsonl"
    dead.write_bytes(whole + b"\0" + half[1:40] + bytes(5000))
    assert ledger.counts()["waiting"] == 1
    assert ledger.flush() == 1
    assert ledger.counts()["broken"] == 0
    assert not dead.exists()


def test_the_background_thread_fills_the_database_and_close_ends_it(tmp_path: Path) -> None:
    before = threading.active_count()
    with SpoolLedger(tmp_path, fill_every_s=0.01) as ledger:
        assert threading.active_count() == before  # a reader starts no thread
        for number in range(300):
            ledger.append(trace(f"t{number}"))
        # A line counts as waiting until its spool is cut, which follows the commit.
        for _ in range(3000):
            counts = ledger.counts()
            if (counts["traces"], counts["waiting"]) == (300, 0):
                break
            threading.Event().wait(0.01)
        assert (counts["traces"], counts["waiting"]) == (300, 0)
    assert threading.active_count() == before


def test_the_background_thread_survives_a_database_that_fails_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SpoolLedger(tmp_path, fill_every_s=0.01) as ledger:
        away = ledger.path.rename(tmp_path / "away")
        ledger.append(trace("a"))
        for _ in range(500):
            if caplog.records:
                break
            threading.Event().wait(0.01)
        away.rename(ledger.path)
        ledger.append(trace("b"))
    assert "its spool keeps everything" in caplog.text
    with open_ledger(tmp_path) as again:
        assert {t.id for t in again.traces()} == {"a", "b"}


def test_many_threads_and_two_ledgers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    ledgers = [SpoolLedger(tmp_path, fill_every_s=0.005) for _ in range(2)]

    def work(number: int) -> None:
        for i in range(100):
            ledgers[number % 2].append(trace(f"w{number}-{i}"))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for ledger in ledgers:
        ledger.close()
    with open_ledger(tmp_path) as ledger:
        assert ledger.counts() == {"traces": 600, "attempts": 1200, "waiting": 0, "broken": 0}


def test_a_filler_that_does_not_let_go_is_an_error_that_says_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None, wait_s=0.05) as ledger:
        ledger.append(trace())
        with (tmp_path / "fill.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(DataError, match="Nothing is lost"):
                ledger.flush()
        assert ledger.flush() == 1


def test_close_leaves_to_the_next_process_what_another_filler_holds_up(tmp_path: Path) -> None:
    ledger = SpoolLedger(tmp_path, fill_every_s=None, wait_s=0.05)
    ledger.append(trace())
    with (tmp_path / "fill.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ledger.close()
    with open_ledger(tmp_path) as again:
        assert [t.id for t in again.traces()] == ["t1"]


def test_a_ledger_opens_by_its_directory_and_by_its_file(ledger: SpoolLedger) -> None:
    ledger.append(trace())
    ledger.flush()
    for place in (ledger.directory, ledger.path):
        with open_ledger(place) as again:
            assert again.trace("t1") == trace()


def test_a_place_without_a_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no ledger at"):
        open_ledger(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_database_is_not_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("hello " * 1000)
    with pytest.raises(DataError, match="file is not a database"):
        open_ledger(tmp_path)


def test_another_programs_database_is_not_a_ledger_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(DataError, match="not a ledger of Stepdown"):
        SpoolLedger(tmp_path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_version_is_refused_by_its_number(tmp_path: Path) -> None:
    SpoolLedger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(DataError, match=rf"version {VERSION + 1}; this program reads {VERSION}"):
        open_ledger(tmp_path)


def test_the_published_ddl_makes_the_tables_of_the_ledger(ledger: SpoolLedger) -> None:
    named = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema())
        published = db.execute(named).fetchall()
    assert ask(ledger, named) == published
    assert ask(ledger, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert ask(ledger, "PRAGMA journal_mode") == [("wal",)]


def test_a_trace_that_another_process_moves_between_two_looks_is_found(
    ledger: SpoolLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(trace())
    look, moved = database.find, []

    def find_and_be_overtaken(path: Path, trace_id: str) -> Trace | None:
        found = look(path, trace_id)
        if not moved:
            moved.append(ledger.flush())
        return found

    monkeypatch.setattr(database, "find", find_and_be_overtaken)
    found = ledger.trace("t1")
    assert found is not None
    assert found.id == "t1"
