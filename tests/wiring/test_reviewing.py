"""`stepdown review` on the tiny project a month later (synthetic rows, see reviewed_project.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from reviewed_project import FRESH, month_later
from tiny_project import copy_of, envelope, stepdown

from stepdown.core.beside import Feedback, Shadow
from stepdown.wiring.lockfile import read_lock
from stepdown.wiring.workspace import Workspace


@pytest.fixture
def later(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    once = month_later(tmp_path_factory.getbasetemp() / "month-later")
    return copy_of(once, tmp_path / "later")


def reviewed(folder: Path, *args: object) -> tuple[int, dict[str, Any], dict[str, Any]]:
    done = stepdown("review", "-p", folder, "--json", *args)
    data = envelope(done)["data"]
    assert "tasks" in data, data
    return done.exit_code, data, data["tasks"][0]


def test_without_fresh_rows_nothing_is_tested_and_nothing_must_change(later: Path) -> None:
    before = (later / "stepdown.lock").read_bytes()

    code, data, task = reviewed(later)

    assert (code, data["must_change"], task["verdict"]) == (0, False, "waiting")
    assert "--fresh FILE" in task["why"]
    assert (later / "stepdown.lock").read_bytes() == before


def test_a_policy_that_passes_on_fresh_rows_is_renewed_as_it_is(later: Path) -> None:
    code, _, task = reviewed(later, "--fresh", later / "fresh.jsonl")

    was = read_lock(later / "stepdown.lock").tasks["topic"]
    now = read_lock(later / ".stepdown/review/proposed.lock").tasks["topic"]
    assert (code, task["verdict"], task["fresh_rows"]) == (0, "renewed", FRESH)
    assert now.policy == was.policy
    assert now.guarantee.n_certify == FRESH
    assert len(now.guarantee.looks) == len(was.guarantee.looks) + 1
    assert now.guarantee.looks[-1].n == FRESH


def test_a_policy_that_fails_on_fresh_rows_is_withdrawn_with_exit_code_1(later: Path) -> None:
    code, data, task = reviewed(later, "--fresh", later / "drifted.jsonl")

    proposed = read_lock(later / ".stepdown/review/proposed.lock").tasks["topic"]
    assert (code, data["must_change"]) == (1, True)
    assert task["verdict"] == "withdrawn"
    assert proposed.guarantee.state == "ceiling"
    assert task["figures"]["before"]["score"]["value"] < 0.5
    assert task["figures"]["after"]["score"]["value"] == 1.0


def test_the_same_review_twice_is_the_same_look(later: Path) -> None:
    reviewed(later, "--fresh", later / "fresh.jsonl")
    first = (later / ".stepdown/review/proposed.lock").read_bytes()

    code, _, task = reviewed(later, "--fresh", later / "fresh.jsonl")

    assert (code, task["verdict"]) == (0, "renewed")
    assert (later / ".stepdown/review/proposed.lock").read_bytes() == first


def test_rows_that_a_review_has_tested_are_spent_though_nobody_applied_it(later: Path) -> None:
    reviewed(later, "--fresh", later / "fresh.jsonl")
    rows = (later / "fresh.jsonl").read_text(encoding="utf-8").splitlines()
    (later / "some.jsonl").write_text("\n".join(rows[:80]) + "\n", encoding="utf-8")

    _, _, task = reviewed(later, "--fresh", later / "some.jsonl")

    assert task["verdict"] == "spent"
    assert "already looked at" in task["why"]


def test_apply_puts_the_proposed_lock_in_force_and_keeps_the_old_one(later: Path) -> None:
    old = read_lock(later / "stepdown.lock").digest

    code, data, _ = reviewed(later, "--fresh", later / "drifted.jsonl", "--apply")

    now = read_lock(later / "stepdown.lock")
    assert (code, data["applied"]) == (0, True)
    assert now.tasks["topic"].guarantee.state == "ceiling"
    assert (later / f".stepdown/locks/{old.removeprefix('sha256:')}.lock").exists()


def test_too_few_rows_to_decide_are_not_spent(later: Path) -> None:
    toml = later / "stepdown.toml"
    rows = (later / "fresh.jsonl").read_text(encoding="utf-8").splitlines()
    (later / "few.jsonl").write_text("\n".join(rows[:12]) + "\n", encoding="utf-8")
    assert "max_loss = 0.12" in toml.read_text(encoding="utf-8")

    _, _, task = reviewed(later, "--fresh", later / "few.jsonl")

    assert task["verdict"] == "waiting"
    assert task["rows_needed"] > 12
    looks = json.loads((later / ".stepdown/review/looks.json").read_bytes())
    assert looks == {}


def test_branch_commits_lock_and_report_and_leaves_the_work_tree_alone(
    later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
    _git(later, "init", "-q", "-b", "main")
    _git(later, "add", "stepdown.toml", "stepdown.lock")
    _git(later, "commit", "-qm", "Certify")
    before = (later / "stepdown.lock").read_bytes()

    reviewed(later, "--fresh", later / "drifted.jsonl", "--branch", "review/month")

    files = _git(later, "ls-tree", "-r", "--name-only", "review/month").split()
    assert {"stepdown.lock", "stepdown.toml"} < set(files)
    assert [name for name in files if name.startswith("reviews/")]
    plain = tomllib.loads(_git(later, "show", "review/month:stepdown.lock"))
    assert plain["tasks"]["topic"]["guarantee"]["state"] == "ceiling"
    assert "topic: withdrawn" in _git(later, "log", "-1", "--format=%B", "review/month")
    assert (later / "stepdown.lock").read_bytes() == before
    assert "stepdown.lock" not in _git(later, "status", "--porcelain")


@pytest.mark.parametrize(
    ("branch", "says"),
    [("-x", "not a name for a branch"), ("main", "is there already"), ("a..b", "not a name")],
)
def test_a_branch_that_cannot_be_is_refused_in_a_sentence(
    later: Path, branch: str, says: str
) -> None:
    _git(later, "init", "-q", "-b", "main")
    _git(later, "add", "stepdown.toml")
    _git(later, "commit", "-qm", "Begin")

    done = stepdown("review", "-p", later, f"--branch={branch}")

    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_a_lock_edited_by_hand_is_refused(later: Path) -> None:
    lock = later / "stepdown.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace("n_certify = ", "n_certify = 1"))

    done = stepdown("review", "-p", later)

    assert done.exit_code == 2
    assert "changed by hand" in done.output


def test_texts_of_shadow_runs_and_audits_are_fresh_rows_and_feedback_says_which_answers_are_right(
    later: Path,
) -> None:
    rows = [json.loads(line) for line in (later / "fresh.jsonl").read_text().splitlines()]
    workspace = Workspace.open(later)
    with workspace.ledger() as ledger:
        for number, row in enumerate(rows):
            ledger.note(_shadow(row["id"], row["text"], "ceiling" if number % 2 else "policy"))
        ledger.note(_label(rows[0]["id"], "praise", by="ann"))
        ledger.note(_label(rows[1]["id"], "praise", by="ann"))
        ledger.note(_label(rows[1]["id"], "billing", by="bob"))

    _, _, task = reviewed(later, "--fresh", later / "fresh.jsonl")

    assert task["sources"] == {
        "fresh.jsonl": FRESH,
        "shadow runs": FRESH // 2,
        "audits": FRESH // 2,
    }
    assert task["left_out"] == 0
    assert f"{FRESH - 1} of {2 * FRESH} fresh rows are not judged, 1 of them" in task["notes"][0]


def _shadow(query: str, text: str, ran: Any) -> Shadow:
    at = "2099-01-01T00:00:00+00:00"
    return Shadow(id=f"s-{query}", trace_id=query, task="topic", at=at, input=text, ran=ran)


def _label(query: str, label: str, *, by: str) -> Feedback:
    return Feedback(
        id=f"{by}-{query}", trace_id=query, task="topic", at="2099-01-02", label=label, by=by
    )


def _git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True, env=env
    )
    return done.stdout
