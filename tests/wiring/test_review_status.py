"""`review status` on a project: evidence, the file that gateways read, who is told."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tiny_project import rows
from typer.testing import CliRunner

from stepdown.cli.main import app
from stepdown.core.beside import Change, Feedback, Shadow
from stepdown.core.lock import task_digest
from stepdown.core.trace import Attempt, Trace
from stepdown.core.withdrawal import Withdrawal
from stepdown.errors import DataError, LockError
from stepdown.serve.service import Service
from stepdown.wiring.review_kept import kept_status
from stepdown.wiring.review_looking import look
from stepdown.wiring.review_status import statuses
from stepdown.wiring.runner import Stepdown, open_service
from stepdown.wiring.withdrawals import Withdrawals, path_of, read_withdrawals, write_withdrawals
from stepdown.wiring.workspace import Workspace

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def at(days_ago: float, place: int = 0) -> str:
    moment = NOW - timedelta(days=days_ago) + timedelta(seconds=place)
    return moment.isoformat(timespec="milliseconds")


def trace(workspace: Workspace, name: str, when: str, **more: Any) -> Trace:
    sure = {"confidence": 0.97, "signals": {"familiarity": 0.9}}
    call = Attempt(id=f"{name}/1", trace_id=name, number=1, tier="expert", started_at=when, **sure)
    base = Trace(
        id=name,
        task="topic",
        at=when,
        attempts=(call,),
        answered_by="expert",
        reason="confident",
        latency_s=0.01,
        guarantee="certified",
        lock_digest=workspace.lock().digest,
        session=f"s-{name}",
    )
    return msgspec.structs.replace(base, **more)


def audit(workspace: Workspace, name: str, when: str, **more: Any) -> Shadow:
    base = Shadow(
        id=f"{name}~audit",
        trace_id=name,
        task="topic",
        at=when,
        ran="ceiling",
        lock_digest=workspace.lock().digest,
        caller_tier="expert",
        answered_by="frontier",
        agreed=False,
        cost_usd=0.002,
        confidence=0.97,
        session=f"s-{name}",
        propensity=0.5,
        loss=1.0,
        input="where is my parcel?",
        answer="delivery",
        caller_answer="praise",
    )
    return msgspec.structs.replace(base, **more)


def broken(folder: Path, n: int = 80, **more: Any) -> Workspace:
    """A project whose kept answers were wrong for two days."""
    workspace = Workspace.open(folder)
    with workspace.ledger() as ledger:
        for place in range(n):
            name, when = f"r{place}", at(1 + place % 2, place)
            ledger.append(trace(workspace, name, when))
            ledger.note(audit(workspace, name, when, **more))
    return workspace


def configured(folder: Path, text: str) -> None:
    path = folder / "stepdown.toml"
    path.write_text(f"{path.read_text()}\n{text}\n")


def cli(*words: str) -> tuple[int, Any]:
    done = CliRunner().invoke(app, [*words, "--json"])
    return done.exit_code, json.loads(done.stdout)["data"]


def test_a_lock_says_what_its_certify_rows_looked_like(certified: Path) -> None:
    watched = Workspace.open(certified).lock().tasks["topic"].watched
    assert watched is not None
    assert watched.tier == "expert"
    assert watched.by_ceiling + watched.compared == watched.n
    assert watched.signals["familiarity"].n == watched.n


def test_a_broken_promise_is_withdrawn_where_the_gateway_sees_it(certified: Path) -> None:
    workspace = broken(certified)
    service = open_service(workspace, lambda _trace: None)
    assert service.status()["tasks"]["topic"]["guarantee"] == "certified"
    before = workspace.lock_path.read_bytes()

    found = look(workspace, "test")
    assert [(one.task, one.state) for one in found.tasks] == [("topic", "withdrawn")]
    assert workspace.lock_path.read_bytes() == before
    assert read_withdrawals(path_of(workspace.project))["topic"].kind == "loss"
    assert withdrawn(service)
    fresh = open_service(workspace, lambda _trace: None)
    assert "expert" not in answering(workspace)
    assert fresh.status()["tasks"]["topic"]["guarantee"] == "withdrawn"
    with workspace.kept_ledger() as ledger:
        changes = [one for one in ledger.records(Change) if one.what == "withdrawn"]
    assert [(one.task, one.by, one.after) for one in changes] == [("topic", "test", "ceiling")]


def withdrawn(service: Service) -> bool:
    """A service that was running sees the file within its pause."""
    import time

    for _ in range(40):
        if service.status()["tasks"]["topic"]["guarantee"] == "withdrawn":
            return True
        time.sleep(0.05)
    return False


def answering(workspace: Workspace) -> set[str | None]:
    with Stepdown.load(workspace.lock_path) as stepdown:
        replies = [stepdown.run("topic", row["text"]) for row in rows()[:4]]
    assert {one.trace.outside_guarantee for one in replies} == {"withdrawn"}
    return {one.trace.answered_by for one in replies}


def test_a_second_look_changes_nothing_and_tells_nobody_again(certified: Path) -> None:
    told = certified / "told.txt"
    program = f"import sys; open({str(told)!r}, 'ab').write(sys.stdin.buffer.read() + b'\\n')"
    command = msgspec.json.encode([sys.executable, "-c", program]).decode()
    configured(certified, f"[review]\ncommand = {command}")
    workspace = broken(certified)
    first = look(workspace, "test").tasks[0].withdrawal
    second = look(workspace, "test").tasks[0].withdrawal
    assert first == second
    assert first is not None
    assert first.told == ("command: done",)
    [line] = told.read_text().splitlines()
    said = json.loads(line)
    assert (said["event"], said["task"], said["kind"]) == ("stepdown.alarm", "topic", "loss")
    assert "parcel" not in line  # no text of a request leaves


def test_a_look_that_broke_off_before_it_told_is_made_good(certified: Path) -> None:
    workspace = broken(certified)
    first = look(workspace, "test").tasks[0].withdrawal  # nobody is named yet
    assert first is not None
    assert first.told == ()
    command = msgspec.json.encode([sys.executable, "-c", "pass"]).decode()
    configured(certified, f"[review]\ncommand = {command}")
    named = Workspace.open(certified)
    assert look(named, "test").tasks[0].withdrawal == msgspec.structs.replace(
        first, told=("command: done",)
    )
    with named.kept_ledger() as ledger:
        assert sum(one.what == "withdrawn" for one in ledger.records(Change)) == 1


@contextmanager
def hook(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Take(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("location", "http://127.0.0.1:9/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/alarm", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "words"), [(200, "webhook: status 200"), (302, "webhook: failed, status 302")]
)
def test_a_webhook_gets_the_alarm_and_is_never_followed_elsewhere(
    certified: Path, status: int, words: str
) -> None:
    with hook(status) as (url, got):
        configured(certified, f'[review]\nwebhook = "{url}"')
        made = look(broken(certified), "test").tasks[0].withdrawal
    assert made is not None
    assert made.told == (words,)
    [body] = got
    assert json.loads(body)["acts"] == "ceiling"


def test_a_webhook_that_is_not_there_and_a_command_that_fails_stop_nothing(
    certified: Path,
) -> None:
    command = msgspec.json.encode([sys.executable, "-c", "raise SystemExit(3)"]).decode()
    configured(certified, f'[review]\nwebhook = "http://127.0.0.1:9/x"\ncommand = {command}')
    found = look(broken(certified), "test").tasks[0]
    assert found.state == "withdrawn"
    assert found.withdrawal is not None
    assert found.withdrawal.told[1] == "command: failed, exit code 3"
    assert found.withdrawal.told[0].startswith("webhook: failed")


def test_reading_alone_changes_nothing(certified: Path) -> None:
    workspace = broken(certified)
    with workspace.kept_ledger() as ledger:
        ledger.flush()
    [one] = statuses(workspace)
    assert one.state == "withdrawn"
    assert not path_of(workspace.project).exists()
    code, data = cli("review", "status", "-p", str(certified), "--dry-run")
    assert (code, data["tasks"][0]["state"]) == (1, "withdrawn")
    assert not path_of(workspace.project).exists()


def test_the_verb_shows_it_all_and_ends_with_1(certified: Path) -> None:
    broken(certified)
    code, data = cli("review", "status", "-p", str(certified))
    [one] = data["tasks"]
    assert code == 1
    assert one["evidence"]["audited"] == 80
    assert one["measured"]["value"] > 0.5
    assert one["budget"]["usd_this_month"] is not None
    assert len(one["examples"]) == 10
    screen = CliRunner().invoke(
        app, ["review", "status", "-p", str(certified), "--task", "topic"], env={"COLUMNS": "80"}
    )
    assert screen.exit_code == 1
    assert "withdrawn" in screen.stdout
    assert "delivery" in screen.stdout
    assert max(map(len, screen.stdout.splitlines())) <= 80
    whole = CliRunner().invoke(app, ["review", "status", "-p", str(certified)])
    assert max(map(len, whole.stdout.splitlines())) <= 80
    serving = CliRunner().invoke(app, ["serve", "status", "-p", str(certified)])
    assert "an alarm took its promise back" in " ".join(serving.stdout.split())


def test_a_promise_that_holds_ends_with_0(certified: Path) -> None:
    broken(certified, loss=0.0, agreed=True)
    code, data = cli("review", "status", "-p", str(certified))
    assert (code, data["tasks"][0]["state"]) == (0, "certified")
    kept = kept_status(Workspace.open(certified))
    assert kept is not None
    assert kept.tasks[0].evidence.audited == 80
    assert kept.tasks[0].examples == ()


def test_before_anything_was_served_it_says_so(certified: Path) -> None:
    code, data = cli("review", "status", "-p", str(certified))
    assert code == 0
    assert any("Nothing was seen" in note for note in data["tasks"][0]["notes"])


def test_feedback_joins_the_audits_of_the_same_answers(certified: Path) -> None:
    workspace = broken(certified, 10)
    with workspace.ledger() as ledger:
        for name, by, label in [
            ("r1", "anna", "praise"),
            ("r2", "anna", "praise"),
            ("r2", "ben", "account"),
        ]:
            ledger.note(
                Feedback(
                    id=f"{name}-{by}", trace_id=name, task="topic", at=at(0), label=label, by=by
                )
            )
        ledger.flush()
    [one] = statuses(workspace)
    assert (one.evidence.labels, one.evidence.joined) == (3, 1)
    assert one.evidence.conflicts == ("r2",)
    assert one.measured.n == 9


def test_a_task_that_stores_nothing_is_watched_by_its_tallies(certified: Path) -> None:
    path = certified / "stepdown.toml"
    path.write_text(path.read_text().replace('store = "full"', 'store = "none"'))
    workspace = Workspace.open(certified)
    from stepdown.serve.meter import Meter
    from stepdown.wiring.bookkeeping import Bookkeeper

    with workspace.ledger() as ledger:
        lock = workspace.lock()
        ledger.note(Change(id="c", at=at(3), by="t", what="lock", after=lock.digest))
        books = Bookkeeper(ledger, "tiny", workspace.project.keeping, Meter())
        for place in range(80):
            books.trace(trace(workspace, f"r{place}", at(1)))
            books.shadow(audit(workspace, f"r{place}", at(1)))
        ledger.flush()
        assert list(ledger.records(Shadow)) == []
    [one] = statuses(workspace)
    assert (one.state, one.evidence.audited, one.evidence.requests) == ("withdrawn", 80, 80)
    assert any("stores nothing" in note for note in one.notes)
    assert all(example.input is None for example in one.examples)


def test_a_lock_that_was_edited_by_hand_is_refused(certified: Path) -> None:
    path = certified / "stepdown.lock"
    path.write_text(path.read_text().replace('state = "certified"', 'state = "ceiling"'))
    with pytest.raises(LockError, match="changed by hand"):
        statuses(Workspace.open(certified))


def test_a_file_of_withdrawals_that_was_edited_by_hand_is_refused(certified: Path) -> None:
    workspace = broken(certified)
    look(workspace, "test")
    path = path_of(workspace.project)
    path.write_text(path.read_text().replace('"loss"', '"agreement"'))
    with pytest.raises(DataError, match="changed by hand"):
        look(workspace, "test")
    with pytest.raises(DataError, match="changed by hand"):
        open_service(workspace, lambda _trace: None)


def test_a_gateway_keeps_what_held_when_the_file_breaks_under_it(certified: Path) -> None:
    workspace = Workspace.open(certified)
    lock, path = workspace.lock(), path_of(workspace.project)
    made = Withdrawal(
        task="topic",
        task_digest=task_digest(lock.tasks["topic"]),
        lock_digest=lock.digest,
        at=at(0),
        kind="loss",
        reason="a test",
    )
    write_withdrawals(path, {"topic": made})
    now = [0.0]
    found = Withdrawals(path, lock, lambda: now[0])
    assert found("topic") == made
    path.write_text("{")
    now[0] += 1
    assert found("topic") == made
    path.unlink()
    now[0] += 1
    assert found("topic") is None


def test_a_withdrawal_of_another_certificate_holds_for_nobody(certified: Path) -> None:
    workspace = Workspace.open(certified)
    lock, path = workspace.lock(), path_of(workspace.project)
    made = Withdrawal(
        task="topic", task_digest="sha256:old", lock_digest="x", at=at(0), kind="loss", reason="r"
    )
    write_withdrawals(path, {"topic": made})
    assert Withdrawals(path, lock)("topic") is None
