"""Pipelines: one promise per message, on inputs that the steps before really make."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_project import FED, KilledError, fed_desk, messages, write_desk
from tiny_project import copy_of, envelope, stepdown

from stepdown.core.lock import Guarantee
from stepdown.errors import DataError, LockError
from stepdown.wiring.lockfile import read_lock
from stepdown.wiring.pipelining import CertifiedPipeline, certify_pipeline
from stepdown.wiring.runner import Stepdown
from stepdown.wiring.workspace import Workspace

MAX_LOSS = 0.05


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A desk whose small tier loses 4 points in each of two steps, certified for 5 a message; with
    what `--json` said.
    """
    desk = write_desk(tmp_path_factory.mktemp("once") / "desk", max_loss=MAX_LOSS)
    done = stepdown("certify", "--json", "-p", desk)
    assert done.exit_code == 0, done.output
    return desk, envelope(done)["data"]


@pytest.fixture(scope="module")
def once(told: tuple[Path, dict[str, Any]]) -> Path:
    return told[0]


@pytest.fixture
def desk(once: Path, tmp_path: Path) -> Path:
    return copy_of(once, tmp_path / "desk")


def certified(workspace: Workspace) -> CertifiedPipeline:
    found: list[CertifiedPipeline] = []

    async def run() -> None:
        found.append(await certify_pipeline(workspace, "support"))

    asyncio.run(run())
    return found[0]


def guarantees(folder: Path) -> list[Guarantee]:
    lock = read_lock(folder / "stepdown.lock")
    return [task.guarantee for task in lock.tasks.values()]


def test_steps_that_each_keep_the_promise_and_break_it_together_do_not_both_step_down(
    once: Path,
) -> None:
    one = certified(Workspace.open(once))
    test, rows = one.joint.test, one.joint.rows
    alone = [
        np.mean(1 - step.scores(rows.ids)) for step in rows.steps[test.combos[-1]]
    ]  # both all the way down
    lost = {combo: float(np.mean(1 - scores)) for combo, scores in rows.scores.items()}
    assert all(loss < MAX_LOSS for loss in alone)
    assert lost[test.combos[-1]] > MAX_LOSS
    assert 0 < lost[one.joint.combo] < MAX_LOSS
    assert one.joint.combo != test.combos[-1]


def test_every_step_carries_the_promise_of_the_message(once: Path) -> None:
    first, second = guarantees(once)
    for stated in (first, second):
        assert stated.scope == "each message of the pipeline support (worst step)"
        assert (stated.state, stated.promise, stated.level) == ("certified", "max_loss", MAX_LOSS)
        assert stated.bound is not None
        assert stated.bound <= MAX_LOSS
        assert (stated.delta, stated.n_certify) == (0.1, 560)
        assert "independently" in " ".join(stated.assumptions)
    assert first.looks == second.looks
    assert len(first.looks) == 1


def test_steps_draw_apart_although_their_messages_have_the_same_ids(once: Path) -> None:
    first, second = guarantees(once)
    assert first.seed != second.seed


def test_a_message_costs_what_its_steps_cost(once: Path) -> None:
    steps = list(read_lock(once / "stepdown.lock").tasks.values())
    for step in steps:
        before = step.expected["message_ceiling_usd"].value
        after = step.expected["message_cost_usd"].value
        assert before is not None
        assert after is not None
        assert 0 < after < before
    spent = [step.expected["cost_usd"].value or 0.0 for step in steps]
    assert sum(spent) == pytest.approx(steps[0].expected["message_cost_usd"].value)


def test_another_promise_on_the_same_messages_is_refused(desk: Path) -> None:
    toml = desk / "stepdown.toml"
    toml.write_text(toml.read_text().replace("max_loss = 0.05", "max_loss = 0.2"))
    done = stepdown("certify", "-p", desk)
    assert done.exit_code == 2
    assert "certify rows of 'support' were already looked at" in " ".join(done.stderr.split())
    again = stepdown("certify", "--relook", "-p", desk)
    assert again.exit_code == 0
    assert [stated.delta for stated in guarantees(desk)] == [0.2, 0.2]


def test_the_same_certification_again_is_the_same_look_and_reports_in_80_columns(
    desk: Path,
) -> None:
    before = (desk / "stepdown.lock").read_bytes()
    done = stepdown("certify", "support", "-p", desk)
    assert (desk / "stepdown.lock").read_bytes() == before
    words = " ".join(done.stdout.split())
    for said in ("One promise per message", "loss ≤ 0.05", "560", "Which steps moved", "topic",
                 "before", "after", "as good as its worst step"):  # fmt: skip
        assert said in words, said
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_holds_the_pipeline_and_its_steps(told: tuple[Path, dict[str, Any]]) -> None:
    data = told[1]
    (one,) = data["pipelines"]
    assert data["tasks"] == []
    assert (one["pipeline"], one["state"], one["n_messages"]) == ("support", "certified", 560)
    assert [step["task"] for step in one["steps"]] == ["topic", "rush"]
    assert any(step["moved"] for step in one["steps"])
    assert one["message_cost_usd"]["value"] < one["message_ceiling_usd"]["value"]
    assert one["bound"] <= one["level"] == MAX_LOSS


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("topic", "is a step of the pipeline 'support'", "stepdown certify support"),
        ("suport", "no task or pipeline 'suport'", "`support`"),
        ("plain", "The pipeline 'plain' promises nothing", "[pipelines.plain]"),
    ],
)
def test_a_name_that_cannot_be_certified_is_refused_with_what_to_do(
    desk: Path, name: str, said: str, hint: str
) -> None:
    with (desk / "stepdown.toml").open("a") as file:
        file.write('[pipelines]\nplain = ["topic"]\n')
    done = stepdown("certify", name, "-p", desk)
    words = " ".join(done.stderr.split())
    assert done.exit_code == 2
    assert said in words
    assert hint in words


def test_a_replay_of_one_step_says_that_the_promise_is_about_the_message(desk: Path) -> None:
    table = desk / "topic.jsonl"
    assert stepdown("outcomes", "topic", "--to", table, "-p", desk).exit_code == 0
    done = stepdown("replay", "topic", "--outcomes", table, "-p", desk)
    assert "each message of the pipeline support" in " ".join(done.stdout.split())


def test_a_fed_step_is_asked_about_what_the_step_before_really_answered(tmp_path: Path) -> None:
    desk = fed_desk(tmp_path / "desk", weak="bcd")
    one = certified(desk)
    rows = one.joint.rows
    texts = {s.id: s.input for s in desk.samples(desk.project.task("draft"))}
    bad = {q for q in rows.ids if texts[q].startswith(("b", "c", "d"))}
    polished = {text for name, text in desk.asked if name == "polish/small"}
    assert {f"bad: {texts[q]}" for q in bad} <= polished
    combo = max(one.joint.test.combos)  # the draft all the way down
    wrong = {q for q, score in zip(rows.ids, rows.scores[combo], strict=True) if not score}
    assert wrong == bad
    assert rows.steps[combo][1].scores(rows.ids).mean() == pytest.approx(1 - len(bad) / rows.scores[
        combo].size)  # fmt: skip
    assert rows.scores[one.joint.test.combos[0]].all()


def test_a_step_that_stays_on_its_ceiling_is_covered_too(tmp_path: Path) -> None:
    one = certified(fed_desk(tmp_path / "desk", weak="bcdfgl"))
    first, second = (step.locked.guarantee for step in one.steps)
    assert one.joint.combo == (0, 1)
    assert first.state == second.state == "certified"
    assert "stays on its ceiling, and is covered" in first.why
    assert "stays on its ceiling" not in second.why
    assert one.steps[0].locked.kept == {"big": 1.0}


def test_no_tier_is_asked_twice_about_the_same_input(tmp_path: Path) -> None:
    desk = fed_desk(tmp_path / "desk", weak="bc")
    certified(desk)
    assert set(Counter(desk.asked).values()) == {1}


def test_a_killed_run_goes_on_without_paying_again(tmp_path: Path) -> None:
    whole = fed_desk(tmp_path / "whole", weak="bc")
    expected = certified(whole)
    killed = fed_desk(tmp_path / "killed", weak="bc", lives=300)
    with pytest.raises(KilledError):
        certified(killed)
    rest = fed_desk(tmp_path / "killed", weak="bc")
    found = certified(rest)
    assert len(killed.asked) == 300
    assert Counter(killed.asked + rest.asked) == Counter(whole.asked)
    assert found.joint.bound == expected.joint.bound
    assert [s.locked.policy for s in found.steps] == [s.locked.policy for s in expected.steps]


def test_a_template_joins_the_message_and_the_draft(tmp_path: Path) -> None:
    toml = FED.replace('polish = "draft"', 'polish = "{text} -> {draft}"')
    desk = fed_desk(tmp_path / "desk", toml=toml, n=120)
    one = certified(desk)
    asked = next(text for name, text in desk.asked if name == "polish/big")
    message, _, draft = asked.partition(" -> ")
    assert draft == f"good: {message}"
    assert "made of the answers of draft" in " ".join(one.steps[1].locked.guarantee.assumptions)


def test_with_the_mean_of_steps_scores_are_graded(tmp_path: Path) -> None:
    toml = FED.replace("steps =", 'score = "mean"\nsteps =')
    one = certified(fed_desk(tmp_path / "desk", toml=toml, weak="b"))
    stated = one.steps[0].locked.guarantee
    assert "mean of the steps" in stated.scope
    assert stated.method.startswith("betting")


def test_messages_of_one_customer_are_tested_together(tmp_path: Path) -> None:
    one = certified(fed_desk(tmp_path / "desk", group="customer"))
    stated = one.steps[0].locked.guarantee
    assert "group sums" in stated.method
    assert stated.groups < stated.n_certify


def test_a_step_without_references_is_named(tmp_path: Path) -> None:
    toml = FED.replace('kind = "polish"', 'kind = "polish"\nreferences = "few.jsonl"')
    desk = fed_desk(tmp_path / "desk", toml=toml)
    (tmp_path / "desk" / "few.jsonl").write_text('{"id": "m1", "polish": "x"}\n')
    with pytest.raises(DataError, match="The step 'polish' has the fewest"):
        certified(desk)
    assert desk.asked == []


def test_messages_that_lack_a_reference_in_some_step_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    toml = FED.replace('kind = "polish"', 'kind = "polish"\nreferences = "some.jsonl"')
    desk = fed_desk(tmp_path / "desk", toml=toml)
    samples = desk.samples(desk.project.task("draft"))[:90]
    lines = [f'{{"id": "{s.id}", "polish": "good: {s.input}"}}\n' for s in samples]
    (tmp_path / "desk" / "some.jsonl").write_text("".join(lines))
    one = certified(desk)
    assert one.left_out > 0
    assert one.left_out + one.joint.test.n == len(desk.whole_split.parts["certify"])


def test_a_fed_ceiling_that_cannot_answer_is_named(tmp_path: Path) -> None:
    desk = fed_desk(tmp_path / "desk")
    desk.deaf = True
    with pytest.raises(DataError, match=r"ceiling 'big' of the step 'polish'.*no scored answer"):
        certified(desk)


def test_a_promise_that_a_step_wrote_itself_is_said_to_be_replaced(tmp_path: Path) -> None:
    toml = FED.replace('kind = "draft"', 'kind = "draft"\npromise = { floor = 0.9 }')
    one = certified(fed_desk(tmp_path / "desk", toml=toml))
    assert one.warnings[0] == (
        "The promise of 'support' takes the place of what draft would promise alone."
    )


def test_a_promise_that_nothing_keeps_leaves_every_ceiling_and_says_what_would_decide(
    tmp_path: Path,
) -> None:
    desk = write_desk(tmp_path / "desk", wrong=0.0, max_loss=0.015, n=130)
    done = stepdown("certify", "-p", desk)
    words = " ".join(done.stdout.split())
    assert done.exit_code == 1
    assert "every ceiling answers" in words
    assert "more would decide" in words
    for stated in guarantees(desk):
        assert (stated.state, stated.bound) == ("ceiling", 0.0)
        assert stated.labels_needed is not None
        assert stated.labels_needed > stated.n_certify


def test_a_polish_that_could_not_be_tested_is_not_locked(tmp_path: Path) -> None:
    toml = FED.replace('kind = "draft"', 'kind = "draft"\nfinish = "always"')
    one = certified(fed_desk(tmp_path / "desk", toml=toml))  # its tiers cannot polish
    assert one.warnings[0].startswith("draft: no draft is polished")
    actions = [row.otherwise.kind for row in one.steps[0].locked.policy.rows]
    assert "polish" not in actions


def test_a_certified_pipeline_is_served_step_by_step(desk: Path) -> None:
    message = messages(800)[0]
    with Stepdown.load(desk / "stepdown.lock") as served:
        replies = {step: served.run(step, message["text"]) for step in ("topic", "rush")}
    assert {reply.trace.guarantee for reply in replies.values()} == {"certified"}


def test_a_changed_step_is_not_served_under_the_promise_of_the_message(desk: Path) -> None:
    toml = desk / "stepdown.toml"
    toml.write_text(
        toml.read_text().replace("[tasks.rush]\n", '[tasks.rush]\nfallback = "small"\n')
    )
    with pytest.raises(LockError, match=r"stale for the task 'topic': its settings"):
        Stepdown.load(desk / "stepdown.lock", tasks=["topic"])
