"""Prompts are chosen by few rows of all and more rows of the better half (made-up answers)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepdown.core.contract import Prompt
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.tuned_prompt import PromptTerms
from stepdown.errors import DataError, InputError
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.train.prompting.candidates import Candidate, candidates
from stepdown.train.prompting.examples import covering
from stepdown.train.prompting.halving import Answered, choose, most_calls, rounds
from stepdown.train.prompting.trainer import PromptTrainer

LABELS = ("late", "broken", "praise")
TASK = Task(
    name="topic",
    kind="classify",
    tiers=("small", "big"),
    labels=LABELS,
    prompts={"small": Prompt(user="{input}", system="Name the topic.", max_tokens=8)},
)
SMALL = Tier(name="small", model="llama:tiny", place="embedded")


class Letters:
    """An encoder that counts letters."""

    name = "letters"
    digest = "sha256:letters"
    dim = 26

    def embed(self, texts: Sequence[str]) -> Any:
        found = np.zeros((len(texts), 26), dtype=np.float32)
        for at, text in enumerate(texts):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    found[at, ord(letter) - 97] += 1
        return found


def rows(n: int) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=f"r{i}",
            input=f"the {LABELS[i % 3]} thing number {i}",
            answer=LABELS[i % 3],
            group=f"g{i}",
        )
        for i in range(n)
    )


def words(text: str) -> int:
    return len(text.split())


def named(name: str, tokens: int = 10) -> Candidate:
    return Candidate(name=name, prompt=Prompt(user=f"{name} {{input}}"), tokens=tokens)


async def chosen_by(right: dict[str, float], n: int = 64, **keys: Any) -> Any:
    """Choose among prompts that are right on a given share of the rows."""

    async def ask(one: Candidate, asked: Sequence[Example]) -> Answered:
        scores = {r.id: float((int(r.id[1:]) * 7 % 20) < 20 * right[one.name]) for r in asked}
        return Answered(scores=dict(scores), cost_usd=0.001 * len(asked))

    return await choose([named(name) for name in right], rows(n), ask, **keys)


async def test_the_best_prompt_wins_and_no_call_is_made_twice() -> None:
    found = await chosen_by({"today's": 0.5, "a": 0.6, "b": 0.95, "c": 0.3, "d": 0.2})
    assert found.best.name == "b"
    assert found.calls <= most_calls(5, 64)
    assert found.cost_usd == pytest.approx(0.001 * found.calls)


async def test_of_prompts_that_cannot_be_told_apart_the_shortest_wins() -> None:
    async def ask(one: Candidate, asked: Sequence[Example]) -> Answered:
        return Answered(scores=dict.fromkeys([row.id for row in asked], 1.0), cost_usd=0.0)

    long, short = named("today's", 900), named("short", 5)
    found = await choose([long, short], rows(40), ask)
    assert found.best == short


async def test_when_the_time_is_up_it_ends_with_what_it_has() -> None:
    ticks = iter([False, False, True, True, True, True])
    found = await chosen_by(
        {"today's": 0.2, "a": 0.9, "b": 0.5, "c": 0.5}, late=lambda: next(ticks, True)
    )
    assert found.stopped == "the time was up"
    assert found.best.name in ("a", "today's")


async def test_an_unknown_cost_stays_unknown() -> None:
    async def ask(one: Candidate, asked: Sequence[Example]) -> Answered:
        return Answered(scores=dict.fromkeys([row.id for row in asked], 1.0), cost_usd=None)

    found = await choose([named("today's"), named("a")], rows(20), ask)
    assert found.cost_usd is None


@pytest.mark.parametrize(("prompts", "size"), [(2, 16), (5, 64), (17, 160), (3, 7)])
def test_rounds_end_with_two_prompts_on_all_rows(prompts: int, size: int) -> None:
    plan = rounds(prompts, size)
    assert plan[-1].rows == size
    assert plan[-1].prompts == 2
    assert most_calls(prompts, size) <= prompts * size
    assert len(plan) <= math.ceil(math.log2(max(prompts, 2))) + math.ceil(math.log2(size))


def test_examples_cover_each_label_and_differ() -> None:
    found = covering(rows(60), TASK, Letters(), 2)
    assert sorted(row.answer for row in found) == sorted([*LABELS, *LABELS])
    assert len({row.id for row in found}) == 6


def test_prompts_that_are_too_long_are_left_out_and_counted_but_never_todays() -> None:
    made = candidates(TASK, "small", rows(60), Letters(), count=words, most_tokens=1)
    assert [one.name for one in made.candidates] == ["today's"]
    assert made.too_long > 5


def trainer(ask: Any, **keys: Any) -> PromptTrainer:
    return PromptTrainer(ask, Letters, words, **keys)


def job(folder: Path, n: int, tier: Tier = SMALL) -> TrainingJob:
    data = TrainingSet(train=rows(n), digest="sha256:made-up")
    return TrainingJob(task=TASK, tier=tier, data=data, folder=folder)


async def likes_examples(task: Task, tier: Tier, asked: Sequence[Example]) -> Answered:
    prompt = task.prompt_for(tier.name)
    shown = prompt is not None and "thing number" in (prompt.system or "")
    return Answered(scores={row.id: float(shown) for row in asked}, cost_usd=0.0)


async def test_a_prompt_with_examples_is_pinned_as_a_file_under_its_digest(tmp_path: Path) -> None:
    made = await trainer(likes_examples).fit(job(tmp_path, 90))
    again = await trainer(likes_examples).fit(job(tmp_path, 90))
    assert made.card["examples"] > 0
    assert made.path.exists()
    assert made.digest == again.digest
    assert "flatters" in made.notes[0]


async def test_no_example_of_the_prompt_is_a_row_that_chose_it(tmp_path: Path) -> None:
    asked: set[str] = set()

    async def ask(task: Task, tier: Tier, rows_: Sequence[Example]) -> Answered:
        asked.update(row.input for row in rows_)
        return await likes_examples(task, tier, rows_)

    made = await trainer(ask).fit(job(tmp_path, 90))
    text = made.path.read_text(encoding="utf-8")
    assert asked
    assert not [one for one in asked if f"{one}\\n" in text]


async def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        await trainer(likes_examples).fit(job(tmp_path, 3))


async def test_money_is_not_spent_unless_somebody_says_how_much(tmp_path: Path) -> None:
    hosted = Tier(name="small", model="openai:small", place="vendor")
    with pytest.raises(InputError, match="calls, which cost an unknown amount") as refused:
        await trainer(likes_examples).fit(job(tmp_path, 90, hosted))
    assert "--usd" in (refused.value.hint or "")
    allowed = trainer(likes_examples, terms=PromptTerms(max_usd=1.0))
    assert (await allowed.fit(job(tmp_path, 90, hosted))).card["examples"] > 0


async def test_a_tier_that_answers_nothing_makes_no_prompt(tmp_path: Path) -> None:
    async def silent(task: Task, tier: Tier, asked: Sequence[Example]) -> Answered:
        none = {row.id: None for row in asked}
        return Answered(scores=none, cost_usd=0.0, stopped="the tier is down")

    with pytest.raises(DataError, match="the tier is down"):
        await trainer(silent).fit(job(tmp_path, 90))


def test_a_tier_that_reads_no_prompt_is_refused_with_the_reason() -> None:
    head = Tier(name="expert", model="head:static-minilm-256", place="embedded")
    assert trainer(likes_examples).refusal(TASK, head) == (
        "'head:static-minilm-256' reads no prompt"
    )
    assert trainer(likes_examples).refusal(TASK, SMALL) is None
