"""The page of several processes, exposures on a file, what shadows may spend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stepdown.adapters.storage import SpoolLedger
from stepdown.core.beside import Shadow, Tally
from stepdown.core.exposure import TODAY, Exposure
from stepdown.core.trace import Trace
from stepdown.errors import DataError
from stepdown.serve.meter import Meter
from stepdown.serve.ramp import Ramp
from stepdown.wiring.exposing import Exposures, Told, read_spoken, write_spoken
from stepdown.wiring.measuring import Sharing, metrics_page
from stepdown.wiring.operating import others_of
from stepdown.wiring.spending import Spending

OTHER = """
import sys, time
from pathlib import Path
from stepdown.core.trace import Trace
from stepdown.serve.meter import Meter
from stepdown.wiring.measuring import Sharing
meter = Meter()
sharing = Sharing(Path(sys.argv[1]), meter, lambda: ({}, {"tier_waiting": {("big",): 2.0}}))
for n in range(3):
    meter.trace(Trace(id=str(n), task="intent", at="", attempts=(), answered_by="big",
                      reason="", latency_s=0.2, cost_usd=1.0))
sharing._write(sharing.snapshot())
print("ready", flush=True)
sys.stdin.read()
"""


def seen(n: int = 1) -> Trace:
    return Trace(
        id=str(n), task="intent", at="", attempts=(), answered_by="big", reason="", latency_s=0.2
    )


def test_the_page_adds_up_all_processes_and_does_not_fall_when_one_dies(tmp_path: Path) -> None:
    meter = Meter()
    nothing: tuple[dict[str, dict[tuple[str, ...], float]], ...] = ({}, {})
    mine = Sharing(tmp_path, meter, lambda: nothing)  # type: ignore[arg-type, return-value]
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        meter.trace(seen())
        together = mine.everybody()
        assert together.counted.sums["requests"] == {("intent", "big", "policy"): 4.0}
        assert together.gauges["tier_waiting"] == {("big",): 2.0}
    finally:
        other.kill()
        other.communicate()
    after = mine.everybody()
    assert after.counted.sums["requests"] == {("intent", "big", "policy"): 4.0}
    assert "tier_waiting" not in after.gauges
    assert b"stepdown_requests_total" in metrics_page(after, [])
    mine.close()
    Sharing(tmp_path, Meter(), lambda: nothing).close()  # type: ignore[arg-type, return-value]
    assert [path.stem for path in tmp_path.glob("*.json")] == [str(os.getpid())]


def test_lines_that_the_ledger_holds_or_has_lost_are_on_the_page(tmp_path: Path) -> None:
    unwritten = {"held": 3, "lost": 2}
    ramp = Ramp("desk")
    others = others_of(lambda: ramp, dict, lambda: 0, lambda: unwritten, {"1": 4})
    sharing = Sharing(tmp_path, Meter(), others)
    page = metrics_page(sharing.everybody(), []).decode()
    sharing.close()
    assert "\nstepdown_ledger_held 3\n" in page
    assert "\nstepdown_ledger_lost_total 2\n" in page
    assert '\nstepdown_worker_restarts_total{worker="1"} 4\n' in page


def test_a_torn_file_of_numbers_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"sums": [["requests", [')
    sharing = Sharing(tmp_path, Meter(), lambda: ({}, {}))
    assert sharing.everybody().counted.sums == {}
    sharing.close()


def test_exposures_follow_the_file_and_survive_a_broken_one(tmp_path: Path) -> None:
    path, now = tmp_path / "exposure.json", [0.0]
    exposures = Exposures(path, {"intent": Exposure(share=0.5)}, lambda: now[0])
    assert exposures("intent").share == 0.5
    assert exposures("unknown").mode == "all"
    write_spoken(path, {"intent": Told(share=0.0, by="anna", at="2026")})
    assert exposures("intent").share == 0.5
    now[0] = 1.0
    assert exposures("intent") == TODAY
    path.write_text("{")
    now[0] = 2.0
    assert exposures("intent") == TODAY
    path.unlink()
    now[0] = 3.0
    assert exposures("intent").share == 0.5


def test_a_task_that_a_reload_adds_starts_where_the_project_says(tmp_path: Path) -> None:
    exposures = Exposures(tmp_path / "exposure.json", {"intent": TODAY})
    exposures.begin({"intent": Exposure(), "new": Exposure(share=0.05)})
    assert exposures("new").share == 0.05
    assert exposures("intent") == TODAY


def test_what_was_said_of_one_task_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "exposure.json"
    write_spoken(path, {"intent": Told(share=0.1)})
    write_spoken(path, {"draft": Told(share=0.2)})
    assert {n: t.share for n, t in read_spoken(path).tasks.items()} == {"intent": 0.1, "draft": 0.2}


@pytest.mark.parametrize("text", ["{", "[]", '{"tasks":{"a":{"share":2}}}', '{"tasks":{"a":{}}}'])
def test_a_file_that_says_nonsense_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "exposure.json"
    path.write_text(text)
    with pytest.raises(DataError, match="serve share"):
        read_spoken(path)


def test_spending_counts_this_day_and_this_month_tallied_runs_too(tmp_path: Path) -> None:
    def ran(name: str, at: str, usd: float | None) -> Shadow:
        return Shadow(id=name, trace_id=name, task="intent", at=at, cost_usd=usd)

    with SpoolLedger(tmp_path) as ledger:
        ledger.note(ran("old", "2026-10-31T23:59:00+00:00", 100.0))
        ledger.note(ran("month", "2026-11-02T10:00:00+00:00", 10.0))
        ledger.note(ran("day", "2026-11-22T00:00:00+00:00", 1.0))
        ledger.note(ran("unknown", "2026-11-22T00:00:01+00:00", None))
        ledger.note(Tally(id="t", task="intent", hour="2026-11-22T05", kind="shadow", cost_usd=0.5))
        ledger.flush()
        spending = Spending(ledger, lambda: datetime(2026, 11, 22, 12, tzinfo=UTC))
        assert spending("intent") == (1.5, 11.5)
        assert spending("other") == (0.0, 0.0)
        spending.close()


def test_the_file_is_plain_json_that_a_person_can_read(tmp_path: Path) -> None:
    path = tmp_path / "exposure.json"
    write_spoken(path, {"intent": Told(share=0.1, by="anna", at="2026")})
    assert json.loads(path.read_text())["tasks"]["intent"]["by"] == "anna"
