"""A review when the tiers are not those that were locked (synthetic rows)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from reviewed_project import month_later
from tiny_project import copy_of, envelope, stepdown


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
