"""Records beside traces: kept once, in order, apart from what callers paid; old ledgers grow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from stepdown.adapters.storage import SpoolLedger
from stepdown.adapters.storage.beside_rows import encode_beside
from stepdown.adapters.storage.database import SCHEMAS, VERSION, schema
from stepdown.core.beside import Change, Feedback, Shadow, Tally
from stepdown.core.trace import Attempt, Trace
from stepdown.errors import DataError

AT = "2026-11-22T10:00:00.000+00:00"


def shadow(name: str = "r1", **changes: object) -> Shadow:
    attempt = Attempt(id=f"{name}~shadow/1", trace_id=name, number=1, tier="expert", started_at=AT)
    base = Shadow(
        id=f"{name}~shadow", trace_id=name, task="intent", at=AT, agreed=True, attempts=(attempt,)
    )
    return replace(base, **changes)


def trace(name: str) -> Trace:
    return Trace(
        id=name,
        task="intent",
        at=AT,
        attempts=(),
        answered_by="big",
        reason="entry",
        latency_s=0.1,
        cost_usd=1.0,
        arm="today",
    )


def test_a_record_is_kept_once_and_read_back_as_it_was(tmp_path: Path) -> None:
    kept = shadow(cost_usd=0.25, answer="refund")
    with SpoolLedger(tmp_path) as ledger:
        ledger.note(kept)
        ledger.note(kept)
        ledger.note(Feedback(id="f1", trace_id="r1", task="intent", at=AT, score=0.5))
        assert list(ledger.records(Shadow)) == [kept]
        assert [one.score for one in ledger.records(Feedback, task="intent")] == [0.5]
        assert list(ledger.records(Feedback, task="other")) == []
        assert list(ledger.records(Shadow, since="2026-11-23")) == []


def test_what_shadows_cost_is_in_no_sum_of_what_callers_paid(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path) as ledger:
        ledger.append(trace("r1"))
        ledger.note(shadow(cost_usd=0.25))
        [spent] = ledger.rows("spend_by_task")
        [agreement] = ledger.rows("agreement_by_task")
        [arm] = ledger.rows("spend_by_arm")
        assert (spent["cost_usd"], spent["traces"]) == (1.0, 1)
        assert (agreement["shadow_cost_usd"], agreement["agreed"]) == (0.25, 1)
        assert (arm["arm"], arm["cost_usd"]) == ("today", 1.0)
        assert ledger.counts()["attempts"] == 0


def test_records_are_never_changed_nor_deleted(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path) as ledger:
        ledger.note(shadow())
        ledger.note(Feedback(id="f1", trace_id="r1", task="intent", at=AT, score=0.5))
        ledger.note(Change(id="c1", at=AT, by="anna", what="share", task="intent"))
        ledger.note(Tally(id="t1", task="intent", hour="2026-11-22T10"))
        ledger.flush()
        with closing(sqlite3.connect(ledger.path)) as db:
            for table in ("shadows", "shadow_attempts", "feedback", "changes", "tallies"):
                assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    db.execute(f"DELETE FROM {table}")
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    db.execute(f"UPDATE {table} SET id = 'other'")


def old_ledger(folder: Path) -> Path:
    """A ledger of version 1 with a trace in it, as the first release wrote it."""
    path = folder / "ledger.sqlite"
    folder.mkdir(parents=True, exist_ok=True)
    first = schema()[: schema().index("-- Version 2")]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            f"PRAGMA application_id={0x53544550}; PRAGMA user_version=1; BEGIN; {first} COMMIT;"
        )
        payload = (
            '{"id":"old","task":"intent","at":"2026-11-01","attempts":[],"answered_by":"big",'
            '"reason":"entry","latency_s":0.1}'
        )
        values = "'old','intent','2026-11-01','big','entry',0,1,0.1,NULL,NULL,NULL,'none',NULL,1"
        db.execute(f"INSERT INTO traces VALUES ({values},NULL,NULL,NULL,NULL,?)", (payload,))
        db.commit()
    return path


def test_an_older_ledger_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = old_ledger(tmp_path)
    with SpoolLedger(tmp_path) as ledger:
        ledger.append(trace("new"))
        ledger.note(shadow("new"))
        assert [one.id for one in ledger.traces()] == ["old", "new"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert len(SCHEMAS) == VERSION
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(schema())
            named = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
            assert db.execute(named).fetchall() == fresh.execute(named).fetchall()


def test_a_ledger_of_version_2_keeps_its_records_and_takes_audits(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    second = schema()[: schema().index("-- Version 3")]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            f"PRAGMA application_id={0x53544550}; PRAGMA user_version=2; BEGIN; {second} COMMIT;"
        )
        old = shadow("old")
        db.execute(
            "INSERT INTO shadows (id, trace_id, task, at, ran, reason, why_not, payload) "
            "VALUES (?, 'old', 'intent', ?, 'policy', '', '', ?)",
            (old.id, AT, encode_beside(old).decode()),
        )
        db.commit()
    audit = shadow("new", id="new~audit", ran="ceiling", propensity=0.05, loss=1.0, cost_usd=0.5)
    with SpoolLedger(tmp_path) as ledger:
        ledger.note(audit)
        ledger.note(Tally(id="t", task="intent", hour="2026-11-22T10", kind="audit", loss=0.0))
        assert list(ledger.records(Shadow)) == [audit, old]
        assert ledger.about("new") == [audit]
        [row] = ledger.rows("audits_by_task")
    assert (row["drawn"], row["audited"], row["loss"]) == (1, 1, 1.0)


def test_what_audits_cost_is_apart_from_what_shadow_runs_cost(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path) as ledger:
        ledger.note(shadow("a", cost_usd=0.25))
        ledger.note(shadow("b", id="b~audit", ran="ceiling", cost_usd=0.5))
        tally = Tally(id="t", task="intent", hour="2026-11-22T10", kind="audit", cost_usd=1.0)
        ledger.note(tally)
        ledger.flush()
        assert ledger.shadow_spend(since="2026-11-22") == {"intent": 0.25}
        assert ledger.shadow_spend(since="2026-11-22", ran="ceiling") == {"intent": 1.5}


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    path = old_ledger(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(DataError, match="Update stepdown"):
        SpoolLedger(tmp_path)


def test_the_lag_is_the_age_of_what_waits(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        assert ledger.lag_s() == 0.0
        ledger.append(trace("r1"))
        assert 0.0 < ledger.lag_s() < 60.0
        ledger.flush()
        assert ledger.lag_s() == 0.0
