"""The head recipe behind its port: what it refuses, and what it makes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from letters import Letters, rows

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.trainer import Example, Made, TrainingJob
from stepdown.train import load_head
from stepdown.train.composing import set_of
from stepdown.train.fit import HeadRecipe
from stepdown.train.head_trainer import HURRIED, HeadTrainer

TASK = Task(
    name="intent", kind="classify", tiers=("expert",), labels=("delivery", "refund", "spam")
)
TIER = Tier(name="expert", model="head:letters")
QUICK = HeadRecipe(lexical_scales=())


def examples(n: int = 90, **spelled: str) -> list[Example]:
    texts, labels = rows(n)
    return [
        Example(id=f"r{at}", input=text, answer=spelled.get(f"r{at}", label), group=f"g{at}")
        for at, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def trained(found: list[Example], folder: Path, **job: object) -> Made:
    trainer = HeadTrainer(lambda _: Letters(), QUICK)
    wanted = TrainingJob(task=TASK, tier=TIER, data=set_of(found), folder=folder, **job)
    return asyncio.run(trainer.fit(wanted))


def test_what_it_makes_is_a_head_under_its_digest(tmp_path: Path) -> None:
    made = trained(examples(), tmp_path)
    head = load_head(made.path, made.digest)
    assert head.labels == TASK.labels
    assert made.card["out_of_fold_accuracy"] == head.card.out_of_fold_accuracy


def test_equal_examples_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    first = trained(examples(), tmp_path / "a")
    assert trained(examples()[::-1], tmp_path / "b").digest == first.digest


def test_it_learns_from_the_validation_rows_too_since_it_chooses_by_cross_validation(
    tmp_path: Path,
) -> None:
    head = load_head(trained(examples(), tmp_path).path)
    assert sum(head.card.n_by_label) == 90


def test_steps_are_told(tmp_path: Path) -> None:
    seen: list[str] = []
    trained(examples(), tmp_path, step=lambda stage, *_: seen.append(stage))
    assert "embed" in seen
    assert "cross-validate" in seen


def test_one_class_only_is_refused_by_name(tmp_path: Path) -> None:
    alone = [row for row in examples() if row.answer == "spam"]
    with pytest.raises(DataError, match=r"one class only: all .* say 'spam'"):
        trained(alone, tmp_path)


def test_three_examples_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 examples of 'intent' are too few"):
        trained(examples(3), tmp_path)


def test_labels_that_differ_by_case_or_white_space_are_refused_with_the_pairs(
    tmp_path: Path,
) -> None:
    odd = examples(90, r0="Refund", r1="spam ", r2="SPAM")
    with pytest.raises(DataError, match=r"'Refund' \(1\) and 'refund' \(\d+\)") as said:
        trained(odd, tmp_path)
    assert "'SPAM' (1)" in said.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_label_with_one_example_is_named(tmp_path: Path) -> None:
    made = trained(examples(90, r0="rare"), tmp_path)
    assert any("one example only: rare" in note for note in made.notes)


@pytest.mark.parametrize(
    ("task", "tier", "why"),
    [
        (TASK, Tier(name="t", model="openai:x"), "a head is a tier with model"),
        (Task(name="d", kind="draft", tiers=("expert",)), TIER, "the draft task has none"),
    ],
)
def test_it_refuses_what_it_cannot_make(task: Task, tier: Tier, why: str) -> None:
    assert why in (HeadTrainer(lambda _: Letters()).refusal(task, tier) or "")


def test_it_takes_a_classify_task_with_a_head_tier() -> None:
    assert HeadTrainer(lambda _: Letters()).refusal(TASK, TIER) is None


def test_without_time_no_n_grams_are_tried_and_the_card_says_so(tmp_path: Path) -> None:
    slow = iter(range(0, 10_000, 100))
    trainer = HeadTrainer(lambda _: Letters(), HeadRecipe(), clock=lambda: float(next(slow)))
    seen: list[str] = []
    job = TrainingJob(
        task=TASK,
        tier=TIER,
        data=set_of(examples()),
        folder=tmp_path,
        seconds=60.0,
        step=lambda stage, *_: seen.append(stage),
    )
    made = asyncio.run(trainer.fit(job))
    assert "n-grams" not in seen
    assert HURRIED in made.notes
