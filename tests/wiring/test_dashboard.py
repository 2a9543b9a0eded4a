"""The dashboard of a whole project: figures from its ledger and lock, traces, the label queue."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.beside import Feedback
from stepdown.core.board import Board
from stepdown.core.label_desk import AtDesk, Order
from stepdown.core.lock import task_digest
from stepdown.core.trace import Attempt, Trace
from stepdown.core.withdrawal import Withdrawal
from stepdown.ports.pages import Asked, Page, Visitor
from stepdown.review.status import Alarm, Measured, Status, TaskStatus
from stepdown.wiring.boarding import board_of
from stepdown.wiring.dashboard import Dashboard
from stepdown.wiring.label_serving import DeskServing
from stepdown.wiring.review_kept import keep_status
from stepdown.wiring.withdrawals import path_of, write_withdrawals
from stepdown.wiring.workspace import Workspace

READER = Visitor(may_read_texts=True)
WRITER = Visitor(may_write=True, may_read_texts=True, has_key=True, form_token="t")
NOW = datetime.now(UTC)


def trace(number: int, **changes: Any) -> Trace:
    name, at = f"r{number}", (NOW - timedelta(minutes=number)).isoformat(timespec="milliseconds")
    attempt = Attempt(
        id=f"{name}/1", trace_id=name, number=1, tier="expert", started_at=at, confidence=0.7,
        threshold=0.8, signals={"margin": 0.25}, decision="call frontier", reason="low_confidence",
    )  # fmt: skip
    second = Attempt(
        id=f"{name}/2", trace_id=name, number=2, tier="frontier", why="low_confidence",
        started_at=at, decision="accept frontier", reason="last_tier",
    )  # fmt: skip
    base: dict[str, Any] = {
        "id": name, "task": "topic", "at": at, "attempts": (attempt, second),
        "answered_by": "frontier", "reason": "last_tier", "latency_s": 0.5, "cost_usd": 0.001,
        "baseline_tier": "frontier", "baseline_usd": 0.002, "guarantee": "certified",
    }  # fmt: skip
    return Trace(**{**base, **changes})


@contextmanager
def dashboard(folder: Path, *traces: Trace) -> Iterator[Dashboard]:
    workspace = Workspace.open(folder)
    with SpoolLedger(workspace.ledger_path, fill_every_s=None) as ledger:
        for one in traces:
            ledger.append(one)
        ledger.flush()
        shown = Dashboard(lambda: workspace, ledger, NOW.date)
        try:
            yield shown
        finally:
            shown.close()


def text_of(page: Page) -> str:
    body = page.body.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body[body.index("<body") :]))


def seen(shown: Dashboard, path: str, visitor: Visitor = READER, **query: str) -> str:
    """Ask until the sums behind the page are complete."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        said = text_of(shown.page(Asked(path=path, query=query, visitor=visitor)))
        if "not counted yet" not in said:
            return said
        time.sleep(0.05)
    raise AssertionError("the sums never caught up")


def test_the_figures_are_those_of_the_ledger_and_the_lock(certified: Path) -> None:
    traces = [trace(n) for n in range(3)]
    traces += [trace(3, cost_usd=None), trace(4, outside_guarantee="deadline")]
    with dashboard(certified, *traces) as shown:
        said = seen(shown, "/ui")
        step = seen(shown, "/ui/tasks/topic")
    assert "≥ $0.00400" in said
    assert "the cost of 1 is unknown" in said
    assert "Saved 50.0% $0.00400: frontier alone would have cost $0.00800; n=4" in said
    assert "5 of 5 requests moved on to a stronger tier" in said
    assert "1 of 5 requests are not covered" in said
    assert "certified" in said
    locked = Workspace.open(certified).lock().tasks["topic"]
    assert locked.guarantee.review_by in said
    top = locked.expected["ceiling_score"].value
    assert top is not None
    assert f"the ceiling's {top:.3f} (n=56, certify rows) less 0.12" in step
    assert "locked (n=56)" in step
    assert "what was compared stayed below the threshold → frontier" in step
    assert "frontier (recorded)" in step


def test_feedback_is_shown_with_its_interval_and_joins_at_once(certified: Path) -> None:
    with dashboard(certified, trace(1)) as shown:
        for n in range(20):
            at = NOW.isoformat(timespec="milliseconds")
            one = Feedback(id=f"f{n}", trace_id="r1", task="topic", at=at, score=float(n > 0))
            shown._ledger.note(one)
        shown._ledger.flush()
        said = seen(shown, "/ui/tasks/topic")
    assert "0.950 [0.76, 1.00] n=20, by feedback" in said


def test_a_project_without_ledger_or_lock_has_pages_that_say_so(plain: Path) -> None:
    with dashboard(plain) as shown:
        assert "There is no stepdown.lock" in seen(shown, "/ui")
        assert "No trace passes the filter" in seen(shown, "/ui/traces")
        assert "no unlabelled rows" in seen(shown, "/ui/labels")
        for path in ("/ui/nothing", "/ui/tasks/nothing", "/ui/traces/nothing", "/ui/labels/no"):
            assert shown.page(Asked(path=path, visitor=READER)).status == 404


def test_past_its_date_a_guarantee_is_shown_as_withdrawn(certified: Path) -> None:
    workspace = Workspace.open(certified)
    due = date.fromisoformat(workspace.lock().tasks["topic"].guarantee.review_by)
    with dashboard(certified, trace(1)) as shown:
        late: Board = board_of(workspace, shown._rollup, 30, due + timedelta(days=1))
        on_time: Board = board_of(workspace, shown._rollup, 30, due)
    assert late.steps[0].locked is not None
    assert on_time.steps[0].locked is not None
    assert (late.steps[0].locked.state, late.steps[0].locked.days_left) == ("withdrawn", -1)
    assert (on_time.steps[0].locked.state, on_time.steps[0].locked.days_left) == ("certified", 0)


def test_a_trace_shows_every_attempt_with_signal_threshold_and_reason(certified: Path) -> None:
    kept = trace(1, input="where is my parcel?", answer="delivery")
    with dashboard(certified, kept, trace(2)) as shown:
        said = seen(shown, "/ui/traces/r1")
        bare = seen(shown, "/ui/traces/r2")
        outsider = seen(shown, "/ui/traces/r1", Visitor(has_key=True))
    assert "margin 0.250" in said
    assert "0.800" in said
    assert "what was compared stayed below the threshold" in said
    assert "where is my parcel?" in said
    assert "kept no text" in bare
    assert "parcel" not in outsider
    assert "sign in to read them" in outsider


def test_traces_are_filtered_and_paged_by_the_address(certified: Path) -> None:
    traces = [trace(n, outside_guarantee="deadline" if n == 70 else None) for n in range(75)]
    with dashboard(certified, *traces) as shown:
        body = shown.page(Asked(path="/ui/traces", visitor=READER)).body.decode()
        assert body.count("/ui/traces/r") == 50
        [older] = re.findall(r'href="/ui/traces\?before=([^"]+)"', body)
        from urllib.parse import unquote

        rest = shown.page(
            Asked(path="/ui/traces", query={"before": unquote(older)}, visitor=READER)
        )
        assert rest.body.decode().count("/ui/traces/r") == 25
        found = shown.page(Asked(path="/ui/traces", query={"outside": "any"}, visitor=READER))
        assert re.findall(r'href="/ui/traces/(r\d+)"', found.body.decode()) == ["r70"]


def test_what_the_last_look_found_is_shown_of_this_lock_only(certified: Path) -> None:
    workspace = Workspace.open(certified)
    lock = workspace.lock()
    rung = Alarm(kind="loss", what="audited losses", rings=True, alpha=0.05, evidence=21.0,
                 first_day="2026-11-28")  # fmt: skip
    task = TaskStatus(
        task="topic", state="withdrawn", promise="at most 0.12 of score lost", alarms=(rung,),
        measured=Measured(value=0.2, low=0.15, high=0.3, n=400),
    )  # fmt: skip
    taken = Withdrawal(
        task="topic", task_digest=task_digest(lock.tasks["topic"]), lock_digest=lock.digest,
        at="2026-11-28T09:00:00", kind="loss", reason="the loss grew",
    )  # fmt: skip
    keep_status(workspace, Status(at="2026-11-28T10:00:00", lock=lock.digest, tasks=(task,)))
    write_withdrawals(path_of(workspace.project), {"topic": taken})
    with dashboard(certified, trace(1)) as shown:
        first, review = seen(shown, "/ui"), seen(shown, "/ui/review")
    assert "topic: withdrawn at 2026-11-28T09:00: the loss grew; the ceiling answers." in first
    assert "✗ withdrawn" in first
    assert "20.0% [15.0, 30.0]" in first
    assert "What the last look found: 2026-11-28T10:00" in review
    assert "21 of 20" in review
    keep_status(workspace, Status(at="2026-11-28T10:00:00", lock="sha256:other", tasks=(task,)))
    write_withdrawals(path_of(workspace.project), {})
    with dashboard(certified) as shown:
        other = seen(shown, "/ui")
        assert "Nobody has looked at the promises of this lock" in seen(shown, "/ui/review")
    assert "✓ certified" in other
    assert "20.0% [" not in other


def asked(desk: DeskServing, **order: str) -> AtDesk:
    desk.wait()
    return desk.answer(Order(by="ann", **order))


def test_the_queue_asks_what_label_asks_and_keeps_where_label_keeps(pooled: Path) -> None:
    desk = DeskServing(pooled, "topic")
    first = asked(desk).desk
    assert first.state == "asking"
    assert first.question is not None
    assert len(first.question.answers) == 2
    named = first.question
    after = asked(desk, said="1", query=named.query_id, mark=named.mark)
    assert after.told == "kept"
    file = pooled / "labels" / "topic.jsonl"
    [kept] = [json.loads(line) for line in file.read_text().splitlines()]
    assert kept["by"] == "ann"
    assert kept["right"] == [named.answers[0][0]]
    assert kept["wrong"] == [named.answers[1][0]]
    assert after.desk.stand is not None
    assert after.desk.stand.labelled == 1
    assert asked(desk, said="u").told == "undone"
    assert asked(desk).desk.question == named
    assert asked(desk, said="u").told == "nothing"


def test_a_judgement_of_another_question_or_key_is_not_kept(pooled: Path) -> None:
    desk = DeskServing(pooled, "topic")
    question = asked(desk).desk.question
    assert question is not None
    assert asked(desk, said="1", query=question.query_id, mark="other").told == "stale"
    assert asked(desk, said="1", query="pool:none", mark=question.mark).told == "stale"
    for key in ("9", "x", "10", "²"):
        assert asked(desk, said=key, query=question.query_id, mark=question.mark).told == "no_key"
    assert not (pooled / "labels").exists()
    assert asked(desk, said="s", query=question.query_id, mark=question.mark).told == "later"
    assert asked(desk).desk.question != question


def test_what_somebody_else_says_meanwhile_is_seen(pooled: Path) -> None:
    one, two = DeskServing(pooled, "topic"), DeskServing(pooled, "topic")
    question = asked(one).desk.question
    assert question is not None
    assert asked(two).desk.question == question
    asked(one, said="b", query=question.query_id, mark=question.mark)
    assert asked(two).desk.question != question
    assert asked(two, said="u").told == "undone"
    assert asked(one).desk.question == question


@pytest.mark.parametrize("by", ["", " ", "x" * 61, "a\nb"])
def test_a_name_that_cannot_sign_is_refused_with_what_to_do(pooled: Path, by: str) -> None:
    desk = DeskServing(pooled, "topic")
    desk.wait()
    found = desk.answer(Order(by=by)).desk
    assert found.state == "failed"
    assert "1 to 60 printable characters" in found.said


def test_a_torn_line_among_the_labels_is_named_where_the_queue_would_be(pooled: Path) -> None:
    (pooled / "labels").mkdir()
    (pooled / "labels" / "topic.jsonl").write_text('{"query_id": "pool:p1", "by": "ann"\n')
    with dashboard(pooled) as shown:
        assert "topic.jsonl, line 1: not a judgement" in seen(shown, "/ui/labels")
    found = asked(DeskServing(pooled, "topic")).desk
    assert found.state == "failed"
    assert "line 1" in found.said


def test_a_queue_that_cannot_be_made_says_why(plain: Path) -> None:
    desk = DeskServing(plain, "topic")
    found = asked(desk).desk
    assert found.state == "failed"
    assert "no unlabelled rows" in found.said


def test_the_queue_never_calls_a_hosted_tier(pooled: Path) -> None:
    toml = (pooled / "stepdown.toml").read_text()
    hosted = 'model = "openai:big"\nbase_url = "http://127.0.0.1:1/v1"'
    recorded = 'model = "recorded:frontier.jsonl"\nrecording = "made-up answers for tests"'
    assert recorded in toml
    (pooled / "stepdown.toml").write_text(toml.replace(recorded, hosted))
    found = asked(DeskServing(pooled, "topic")).desk
    assert found.state == "failed"
    assert "stepdown label topic --status" in found.said


def test_a_page_shows_the_queue_of_a_process_beside_it(pooled: Path) -> None:
    with dashboard(pooled) as shown:
        until = time.monotonic() + 60
        said = ""
        while time.monotonic() < until and "Which answer is right?" not in said:
            said = seen(shown, "/ui/labels/topic", WRITER, by="ann")
            time.sleep(0.2)
        page = shown.page(Asked(path="/ui/labels/topic", query={"by": "ann"}, visitor=WRITER))
        fields = dict(re.findall(r'name="(by|mark|query)" value="([^"]*)"', page.body.decode()))
        gone = shown.page(
            Asked(path="/ui/labels/topic", form={**fields, "said": "b"}, visitor=WRITER)
        )
        assert gone.goto == "/ui/labels/topic?by=ann&told=kept"
        assert "Your name" in seen(shown, "/ui/labels/topic", WRITER)
        assert "Sign in" in seen(shown, "/ui/labels/topic", Visitor(has_key=True))
    assert (pooled / "labels" / "topic.jsonl").read_text().count("\n") == 1


def test_a_gateway_shows_pages_without_numpy() -> None:
    code = (
        "import sys, stepdown.wiring.dashboard\n"
        "print([name for name in ('numpy', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
