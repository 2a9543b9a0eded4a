"""The way from shadow to all and back, with a real gateway, its verbs and a client."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from gateway_process import client_of, gateway
from prometheus_client.parser import text_string_to_metric_families
from test_serving import ask
from tiny_project import SYSTEM, USER, rows
from typer.testing import CliRunner

from stepdown.cli.main import app
from stepdown.core.beside import Change, Feedback, Shadow
from stepdown.wiring.workspace import Workspace

TEXTS = [row["text"] for row in rows()]


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["data"] if "--json" in words else result.stdout


def http(url: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    """Ask the gateway outside of the client; return the status and the body."""
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    base = url.removesuffix("/v1")
    try:
        with urlopen(Request(base + path, data=data, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def until(found: Callable[[], bool]) -> None:
    """Wait for what another process does by itself."""
    for _ in range(200):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("it never came about")


def records(folder: Path, kind: type) -> list[Any]:
    with Workspace.open(folder).kept_ledger() as ledger:
        return list(ledger.records(kind))


def test_from_shadow_to_a_share_to_all_and_back_while_it_runs(certified: Path) -> None:
    folder = str(certified)
    with gateway(certified, "--shadow") as (process, url), client_of(url) as client:
        for number, text in enumerate(TEXTS[:12]):
            assert ask(client, text, f"s{number}").headers["x-stepdown-tier"] == "frontier"  # type: ignore[attr-defined]
        until(lambda: len(records(certified, Shadow)) == 12)
        seen = run("serve", "status", "-p", folder, "--json")["tasks"][0]
        assert seen["shadows"]["n"] + seen["shadows"]["not_comparable"] == 12
        assert [(arm["arm"], arm["n"]) for arm in seen["arms"]] == [("today", 12)]
        assert seen["shadows"]["more"] is None or seen["shadows"]["more"] >= 0
        assert seen["serving"].startswith("shadow")

        run("serve", "share", "topic=all", "-p", folder, "--by", "anna")
        until(lambda: ask(client, TEXTS[20], "x").headers["x-stepdown-tier"] == "expert")  # type: ignore[attr-defined]
        run("rollback", "-p", folder, "--by", "ben")
        until(lambda: ask(client, TEXTS[21], "y").headers["x-stepdown-tier"] == "frontier")  # type: ignore[attr-defined]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    changes = [one for one in records(certified, Change) if one.what != "lock"]
    assert [(c.what, c.by, c.before, c.after) for c in changes] == [
        ("share", "anna", "shadow", "all"),
        ("rollback", "ben", "all", "today"),
    ]
    with gateway(certified, "--share", "topic=1") as (_, url), client_of(url) as client:
        again = ask(client, TEXTS[22], "z")
        assert again.headers["x-stepdown-tier"] == "frontier"  # type: ignore[attr-defined]


def test_feedback_joins_its_trace_once_and_only_there(certified: Path) -> None:
    with gateway(certified) as (process, url), client_of(url) as client:
        ask(client, TEXTS[0], "f1")
        said = {"trace_id": "f1", "score": 1, "label": "Billing", "comment": "right", "key": "k1"}
        for _ in range(2):
            status, body = http(url, "/v1/feedback", said)
            assert status == 200, body
        assert json.loads(body)["label"] == "billing"
        status, body = http(url, "/v1/feedback", {"trace_id": "nobody", "score": 1})
        assert (status, json.loads(body)["error"]["code"]) == (404, "trace_not_found")
        for wrong in (
            {"trace_id": "f1"},
            {"trace_id": "f1", "score": 1.5},
            {"trace_id": "f1", "label": "weather"},
            {"trace_id": "f1", "scor": 1},
            [],
        ):
            assert http(url, "/v1/feedback", wrong)[0] == 400, wrong
        assert http(url, "/v1/feedback", {"trace_id": "f1", "comment": "x" * 70_000})[0] == 413
        assert http(url, "/v1/feedback")[0] == 405
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    [kept] = records(certified, Feedback)
    assert (kept.score, kept.label, kept.comment) == (1.0, "billing", "right")
    shown = run("explain", "f1", "-p", str(certified))
    assert "right" in shown
    assert "billing" in shown
    notes = run("report", "-p", str(certified), "--json")["document"]["sections"][0]["blocks"][0]
    assert any("people scored 1 answers, on average 1.00" in note for note in notes["notes"])
    assert [row[4]["n"] for row in notes["rows"]] == [1]


def test_the_numbers_are_read_by_prometheus_and_add_up(certified: Path) -> None:
    with gateway(certified) as (_, url), client_of(url) as client:
        for number, text in enumerate(TEXTS[:5]):
            ask(client, text, f"m{number}")
        http(url, "/nowhere/at/all")
        status, page = http(url, "/metrics")
    assert status == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
            assert "nowhere" not in str(sample.labels)
    assert found["stepdown_requests_total"] == 5
    assert found["stepdown_request_seconds_count"] == 5
    assert found["stepdown_guarantee"] == 1
    assert found["stepdown_cost_usd_total"] > 0
    assert found["stepdown_saved_usd"] > 0
    assert found["stepdown_policy_share"] == 1


def test_with_a_key_only_health_and_readiness_are_open_and_say_little(certified: Path) -> None:
    secret = "sk-canary-0451"
    with gateway(certified, env={"STEPDOWN_API_KEY": secret}) as (_, url):
        assert http(url, "/metrics")[0] == 401
        assert http(url, "/v1/feedback", {"trace_id": "a", "score": 1})[0] == 401
        assert http(url, "/metrics", key="wrong")[0] == 401
        status, body = http(url, "/readyz")
        assert (status, json.loads(body)) == (200, {"ready": True})
        status, body = http(url, "/readyz", key=secret)
        assert json.loads(body)["checks"]["models"] == "loaded"
        status, page = http(url, "/metrics", key=secret)
        assert status == 200
        assert secret.encode() not in page
    for path in (certified / ".stepdown").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve", "share", "topic"], "is not TASK=SHARE"),
        (["serve", "share", "topik=0.1"], "Did you mean `topic`"),
        (["serve", "share", "topic=5"], "a share from 0 to 1"),
        (["serve", "share", "topic=-1"], "a share from 0 to 1"),
        (["rollback", "topik"], "Did you mean `topic`"),
        (["rollback", "--lock"], "no earlier lock"),
        (["rollback", "topic", "--lock"], "Name no task"),
        (["serve", "status", "--since", "soon"], "not an ISO time"),
    ],
)
def test_what_makes_no_sense_is_said(certified: Path, words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, [*words, "-p", str(certified)])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_a_broken_file_of_shares_is_said_and_not_guessed(certified: Path) -> None:
    path = certified / ".stepdown" / "serve" / "exposure.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"version":1,"tasks":{"topic":{"share":7}}}')
    result = CliRunner().invoke(app, ["serve", "status", "-p", str(certified)])
    assert result.exit_code == 2
    assert "exposure.json" in result.output
    assert "serve share TASK=SHARE" in " ".join(result.output.split())


def test_the_lock_that_was_served_before_comes_back(certified: Path) -> None:
    from msgspec.structs import replace

    from stepdown.wiring.lockfile import read_lock, write_lock

    lock_path = certified / "stepdown.lock"
    first = read_lock(lock_path)
    with gateway(certified):
        pass
    write_lock(lock_path, replace(first, generator="stepdown of later"))
    with gateway(certified):
        pass
    run("rollback", "--lock", "-p", str(certified), "--by", "anna")
    assert read_lock(lock_path).digest == first.digest
    run("rollback", "--lock", "-p", str(certified))
    assert read_lock(lock_path).generator == "stepdown of later"


def test_label_reads_what_shadow_runs_kept(certified: Path) -> None:
    from stepdown.wiring.pool import pool_of

    text = (certified / "stepdown.toml").read_text()
    (certified / "stepdown.toml").write_text(text.replace("[data]\n", '[data]\npool = "shadow"\n'))
    empty = CliRunner().invoke(app, ["label", "topic", "--status", "-p", str(certified)])
    assert empty.exit_code == 2
    assert "No shadow run of 'topic' has kept its text" in " ".join(empty.output.split())
    workspace = Workspace.open(certified)
    task = workspace.project.task("topic")
    texts = [sample.input for sample in workspace.part(task, "certify")][:10]
    with gateway(certified, "--shadow") as (process, url), client_of(url) as client:
        for number, one in enumerate(texts):
            ask(client, one, f"s{number}")
        until(lambda: len(records(certified, Shadow)) == 10)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    pool = pool_of(workspace, task)
    assert {sample.input for sample in pool.samples} == set(texts)
    assert {sample.id for sample in pool.samples} == {f"pool:s{n}" for n in range(10)}
    status = CliRunner().invoke(app, ["label", "topic", "--status", "-p", str(certified)])
    assert status.exit_code in (0, 1), status.output


def test_several_workers_follow_one_word_and_are_counted_together(certified: Path) -> None:
    system, user = SYSTEM, USER
    folder = str(certified)

    def tier_of(url: str, number: int) -> str:
        """Ask on a connection of its own, so that any worker may get it."""
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": user.replace("{input}", TEXTS[number])},
        ]
        body = json.dumps({"model": "topic", "messages": messages}).encode()
        asked = Request(f"{url}/chat/completions", body, {"content-type": "application/json"})
        with urlopen(asked, timeout=30) as answer:
            return answer.headers["x-stepdown-tier"]

    def total(url: str) -> float:
        page = http(url, "/metrics")[1].decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "stepdown_requests_total"
        )

    with gateway(certified, "--workers", "2") as (_, url):
        assert {tier_of(url, n) for n in range(20)} == {"expert"}
        assert run("serve", "status", "-p", folder, "--json")["gateways"] == 2
        run("rollback", "-p", folder)
        time.sleep(1.5)
        assert {tier_of(url, n) for n in range(20, 40)} == {"frontier"}
        until(lambda: total(url) == 40)


def test_a_streamed_answer_of_today_is_shadowed_too(certified: Path) -> None:
    with gateway(certified, "--shadow") as (_, url), client_of(url) as client:
        pieces = client.chat.completions.create(
            model="topic",
            stream=True,
            messages=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": USER.replace("{input}", TEXTS[0])},
            ],
        )
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert json.loads(text)["topic"] == "billing"
        until(lambda: len(records(certified, Shadow)) == 1)
    [shadow] = records(certified, Shadow)
    assert shadow.caller_answer == "billing"
