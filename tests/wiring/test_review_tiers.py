"""A review when the tiers are not those that were locked (synthetic rows)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from reviewed_project import month_later
from tiny_project import copy_of, envelope, stepdown

from stepdown.core.beside import Shadow
from stepdown.core.lock import task_digest
from stepdown.core.withdrawal import Withdrawal
from stepdown.wiring.withdrawals import path_of, write_withdrawals
from stepdown.wiring.workspace import Workspace


@pytest.fixture
def later(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    once = month_later(tmp_path_factory.getbasetemp() / "month-later")
    return copy_of(once, tmp_path / "later")


def test_a_tier_that_changed_since_is_named_and_the_policy_is_tested_anew(later: Path) -> None:
    with (later / "frontier.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"id": "another", "topic": "praise"}) + "\n")

    done = stepdown("review", "-p", later, "--json", "--fresh", later / "fresh.jsonl")

    task = envelope(done)["data"]["tasks"][0]
    assert task["verdict"] == "renewed"
    assert "frontier is not what was locked" in task["notes"][0]
    assert "tested anew" in task["why"]


def test_a_declared_task_has_nothing_to_renew(later: Path) -> None:
    toml = later / "stepdown.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace('store = "full"', "thresholds = { expert = 0.5 }"))
    assert stepdown("certify", "-p", later).exit_code == 0

    done = stepdown("review", "-p", later, "--json", "--fresh", later / "fresh.jsonl")

    task = envelope(done)["data"]["tasks"][0]
    assert (done.exit_code, task["verdict"]) == (0, "nothing")
    assert "set by hand" in task["why"]


def test_without_a_lock_there_is_nothing_to_review(later: Path) -> None:
    (later / "stepdown.lock").unlink()

    done = stepdown("review", "-p", later)

    assert done.exit_code == 2
    assert "stepdown certify" in done.output


def test_a_trained_model_that_nobody_promoted_is_tried_beside_what_it_would_replace(
    later: Path,
) -> None:
    now = Workspace.open(later).models.registry.promoted("topic", "expert")
    assert now is not None
    assert stepdown("train", "-p", later, "topic", "--also", later / "drifted.jsonl").exit_code == 0

    task = envelope(stepdown("review", "-p", later, "--json"))["data"]["tasks"][0]

    assert [c["artifact"]["state"] for c in task["candidates"]] == ["candidate"]
    assert task["candidates"][0]["artifact"]["digest"] != now.digest
    assert task["candidates"][0]["tried"]["difference"]["n"] > 0


def test_a_promise_that_an_alarm_took_back_must_be_looked_at(later: Path) -> None:
    workspace = Workspace.open(later)
    locked = workspace.lock().tasks["topic"]
    alarm = Withdrawal(
        task="topic",
        task_digest=task_digest(locked),
        lock_digest=workspace.lock().digest,
        at="2099-01-10T00:00:00+00:00",
        kind="loss",
        reason="audits lose .2",
    )
    write_withdrawals(path_of(workspace.project), {"topic": alarm})

    done = stepdown("review", "-p", later, "--json")

    task = envelope(done)["data"]["tasks"][0]
    assert (done.exit_code, task["must_change"]) == (1, True)
    assert "An alarm took the promise back on 2099-01-10 (audits lose .2)" in task["alarm"]


def test_texts_from_before_an_alarm_are_not_fresh(later: Path) -> None:
    workspace = Workspace.open(later)
    with workspace.ledger() as ledger:
        for day, query in (("2099-01-08", "old"), ("2099-01-11", "new")):
            ledger.note(
                Shadow(
                    id=query,
                    trace_id=query,
                    task="topic",
                    at=f"{day}T00:00:00+00:00",
                    input=f"words nobody wrote before, {query}",
                )
            )
    alarm = Withdrawal(
        task="topic",
        task_digest=task_digest(workspace.lock().tasks["topic"]),
        lock_digest=workspace.lock().digest,
        at="2099-01-10T00:00:00+00:00",
        kind="loss",
        reason="audits lose .2",
    )
    write_withdrawals(path_of(workspace.project), {"topic": alarm})

    found = envelope(stepdown("review", "-p", later, "--json"))["data"]["tasks"][0]

    assert found["sources"] == {"shadow runs": 1}
