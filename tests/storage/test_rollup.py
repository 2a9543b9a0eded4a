"""The sums by day say what the ledger says, whoever counts and however often; pages of traces."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepdown.adapters.storage import SpoolLedger, rollup
from stepdown.adapters.storage.browsing import Wanted, browse
from stepdown.adapters.storage.filler import Filler
from stepdown.adapters.storage.rollup import Rollup
from stepdown.adapters.storage.sums import sums_of
from stepdown.core.beside import Feedback, Tally
from stepdown.core.trace import Attempt, Trace
from stepdown.errors import DataError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVER = "2000-01-01"
COSTS = st.one_of(st.none(), st.floats(0, 1, allow_subnormal=False))
DRAWN = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["a", "b"]), st.sampled_from([None, "small", "big"]),
        COSTS, COSTS, st.sampled_from([None, "deadline"]), st.sampled_from([None, "unsure"]),
    ),
    max_size=30,
)  # fmt: skip


def trace(number: int, drawn: Any = (0, "a", "small", 0.5, 1.0, None, None)) -> Trace:
    day, task, tier, cost, base, outside, why = drawn
    at = (NOON - timedelta(days=day) + timedelta(seconds=number)).isoformat(timespec="milliseconds")
    name = f"t{number:04d}"
    calls = [("small", "entry")] + ([("big", why)] if why else [])
    attempts = tuple(
        Attempt(id=f"{name}/{n}", trace_id=name, number=n, tier=t, why=w, started_at=at)
        for n, (t, w) in enumerate(calls, 1)
    )
    return Trace(
        id=name, task=task, at=at, attempts=attempts, answered_by=tier, reason="r", latency_s=0.5,
        cost_usd=cost, baseline_tier="big", baseline_usd=base, outside_guarantee=outside,
    )  # fmt: skip


def filled(folder: Path, traces: list[Trace]) -> Path:
    with SpoolLedger(folder, fill_every_s=None) as ledger:
        for one in traces:
            ledger.append(one)
    return folder / "ledger.sqlite"


def by_task(path: Path) -> dict[str, Counter[str]]:
    """What the sums by day add up to, by task."""
    found: dict[str, Counter[str]] = {}
    for row in sums_of(Rollup(path), EVER)["days"]:
        task = row.pop("task")
        found.setdefault(task, Counter()).update(
            {k: v for k, v in row.items() if not isinstance(v, str)}
        )
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=DRAWN, chunk=st.integers(1, 7))
def test_the_sums_by_day_say_what_the_views_of_the_ledger_say(
    drawn: list[Any], chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    traces = [trace(n, one) for n, one in enumerate(drawn)]
    path = filled(folder, traces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollup, "CHUNK", chunk)
        assert Rollup(path).catch_up(60) == 0
    found = by_task(path)
    with SpoolLedger(folder, fill_every_s=None) as ledger:
        spent = {row["task"]: row for row in ledger.rows("spend_by_task")}
        moved = Counter(
            {
                (r["task"], r["reason"], r["moved_to"]): r["attempts"]
                for r in ledger.rows("escalations_by_reason")
            }
        )
    assert set(found) == set(spent)
    for task, row in spent.items():
        sums = found[task]
        assert sums["traces"] == row["traces"]
        assert sums["cost_usd"] == pytest.approx(row["cost_usd"] or 0)
        assert sums["cost_unknown"] == row["cost_unknown"]
        assert sums["both_known"] == row["both_known"]
        assert sums["both_baseline_usd"] == pytest.approx(row["both_baseline_usd"] or 0)
        assert sums["both_cost_usd"] == pytest.approx(row["both_cost_usd"] or 0)
        assert sums["escalated"] == row["escalated"]
        assert sums["outside"] == row["outside_guarantee"]
        assert sums["abstained"] == row["abstained"]
    reasons = sums_of(Rollup(path), EVER)["reasons"]
    assert moved == {
        (r["task"], r["reason"], r["moved_to"]): r["traces"]
        for r in reasons
        if r["kind"] == "escalation"
    }


def test_what_is_counted_once_is_not_counted_again_whoever_counts(tmp_path: Path) -> None:
    path = filled(tmp_path, [trace(n) for n in range(300)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollup, "CHUNK", 7)
        threads = [threading.Thread(target=Rollup(path).catch_up, args=(60,)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert by_task(path)["a"]["traces"] == 300
    filled(tmp_path, [trace(n) for n in range(300, 310)])
    assert sums_of(Rollup(path), EVER)["behind"] == 10
    Rollup(path).catch_up(60)
    assert by_task(path)["a"]["traces"] == 310


def test_little_time_counts_a_part_and_says_how_much_is_left(tmp_path: Path) -> None:
    path = filled(tmp_path, [trace(n) for n in range(50)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollup, "CHUNK", 20)
        assert Rollup(path).catch_up(0) == 30
        assert sums_of(Rollup(path), EVER)["behind"] == 30


def test_another_ledger_in_the_same_place_is_counted_from_its_start(tmp_path: Path) -> None:
    path = filled(tmp_path, [trace(n) for n in range(5)])
    Rollup(path).catch_up(60)
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    filled(tmp_path, [trace(n) for n in range(100, 103)])
    Rollup(path).catch_up(60)
    assert by_task(path)["a"]["traces"] == 3


@pytest.mark.parametrize("broken", [b"no database", b""])
def test_broken_sums_are_made_anew(tmp_path: Path, broken: bytes) -> None:
    path = filled(tmp_path, [trace(n) for n in range(5)])
    Rollup(path).catch_up(60)
    (tmp_path / "rollup.sqlite").write_bytes(broken)
    Rollup(path).catch_up(60)
    assert by_task(path)["a"]["traces"] == 5
    assert (tmp_path / "rollup.sqlite").stat().st_mode & 0o077 == 0


def test_without_a_ledger_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ledger"):
        Rollup(tmp_path / "ledger.sqlite").catch_up(1)
    assert list(tmp_path.iterdir()) == []


def test_the_process_that_fills_the_ledger_counts_too(tmp_path: Path) -> None:
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        ledger.append(trace(1))
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        ledger.append(trace(2))
        ledger._writer.rotate()
        filler = Filler(tmp_path)
        assert filler.turn() == 1
        filler.close()
    assert by_task(tmp_path / "ledger.sqlite")["a"]["traces"] == 2


def test_scores_join_the_arm_of_their_answer_and_bare_counts_are_apart(tmp_path: Path) -> None:
    at = NOON.isoformat(timespec="milliseconds")
    with SpoolLedger(tmp_path, fill_every_s=None) as ledger:
        ledger.append(trace(1))
        for number, score in enumerate((1.0, 0.0, None)):
            ledger.note(Feedback(id=f"f{number}", trace_id="t0001", task="a", at=at, score=score))
        ledger.note(Tally(id="x", task="quiet", hour=at[:13], cost_usd=0.25, baseline_usd=1.0))
        ledger.note(Tally(id="y", task="quiet", hour=at[:13], kind="shadow", cost_usd=9.0))
    sums = Rollup(tmp_path / "ledger.sqlite")
    sums.catch_up(60)
    sums.recount_tallies()
    sums.recount_tallies()
    found = sums_of(sums, EVER)
    assert [(row["arm"], row["n"], row["total"]) for row in found["scores"]] == [("policy", 2, 1.0)]
    [quiet] = found["counted_only"]
    assert (quiet["day"], quiet["traces"], quiet["cost_usd"]) == ("2026-11-22", 1, 0.25)


def test_pages_of_traces_hold_each_once_the_latest_first(tmp_path: Path) -> None:
    drawn = [(n % 3, "ab"[n % 2], "small", None, None, None, None) for n in range(57)]
    path = filled(tmp_path, [trace(n, one) for n, one in enumerate(drawn)])
    for task in (None, "a"):
        seen: list[tuple[str, str]] = []
        wanted: Wanted | None = Wanted(task=task, limit=10)
        while wanted is not None:
            found = browse(path, wanted)
            seen += [(row["at"], row["id"]) for row in found.rows]
            wanted = None if found.next is None else Wanted(task=task, limit=10, before=found.next)
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) == len(seen) == (57 if task is None else 29)


def test_a_filter_finds_what_moved_on_for_a_reason_and_stops_where_it_looked_enough(
    tmp_path: Path,
) -> None:
    whys = ["low_confidence" if n % 10 == 0 else None for n in range(60)]
    drawn = [(0, "a", "big", None, None, "deadline" if n == 0 else None, w)
             for n, w in enumerate(whys)]  # fmt: skip
    path = filled(tmp_path, [trace(n, one) for n, one in enumerate(drawn)])
    found = browse(path, Wanted(reason="low_confidence", limit=4))
    assert [row["id"] for row in found.rows] == ["t0050", "t0040", "t0030", "t0020"]
    assert not found.looked
    assert browse(path, Wanted(reason="entry")).rows == ()
    first = browse(path, Wanted(outside="any"), most=25)
    assert first.rows == ()
    assert first.looked
    assert first.next is not None
    second = browse(path, Wanted(outside="deadline", before=first.next), most=100)
    assert [row["id"] for row in second.rows] == ["t0000"]
    assert second.next is None


def test_the_ledger_is_only_read_by_whoever_counts(tmp_path: Path) -> None:
    path = filled(tmp_path, [trace(1)])
    with Rollup(path).opened() as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("INSERT INTO ledger.feedback VALUES ('x','x','x','x',1,'','','','')")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM feedback").fetchone() == (0,)
