"""The lora recipe, with a learner and a prompter that need no torch and no model file."""

import json
from functools import partial
from pathlib import Path

import pytest
from learning_fakes import FakeLearner, FakePrompter

from stepdown.adapters.trainers.extras import require
from stepdown.core.contract import Prompt
from stepdown.core.requesting import request_for
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError, DataError, WeightsError
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.train.dialogues import answer_text, turns_of
from stepdown.train.learning import Schedule
from stepdown.train.lora_trainer import Base, LoraTrainer
from stepdown.train.made_folder import check_folder

LABELS = ("orders", "other", "returns")
PROMPT = Prompt(system="One of {labels}.", user="{input}\nLabel:")
TASK = Task(
    name="topic", kind="classify", tiers=("narrow",), labels=LABELS, prompts={"narrow": PROMPT}
)
TIER = Tier(name="narrow", model="lora:tiny")


def example(i: int, **changes: object) -> Example:
    told = {"id": f"r{i}", "input": f"text {i}", "answer": LABELS[i % 3], "group": f"g{i}"}
    return Example(**(told | changes))  # type: ignore[arg-type]


def job(
    folder: Path, *rows: Example, held: tuple[Example, ...] = (), task: Task = TASK
) -> TrainingJob:
    data = TrainingSet(train=rows, validation=held, digest="sha256:" + "ab" * 32)
    return TrainingJob(task=task, tier=TIER, data=data, folder=folder, date="2026-11-29")


ROWS = tuple(example(i) for i in range(12))
HELD = tuple(example(i) for i in range(12, 15))


def trainer(learner: FakeLearner, **changes: object) -> LoraTrainer:
    base = Base("sha256:base", FakePrompter, lambda _seed: learner)
    told = {"base": lambda _name: base, "ready": lambda: None, "schedule": Schedule(epochs=1)}
    return LoraTrainer(**(told | changes))  # type: ignore[arg-type]


def test_a_turn_is_the_request_that_is_served_and_the_answer_with_its_end() -> None:
    (turn,) = turns_of(TASK, "narrow", ROWS[:1], FakePrompter(), 4096).turns
    served = request_for(TASK, "narrow", "r0", "text 0")
    assert turn.prompt == FakePrompter().prompt(served)
    assert "".join(map(chr, turn.prompt)).endswith("text 0\nLabel:")
    assert turn.answer == (*map(ord, "orders"), 0)


def test_the_choices_of_each_place_are_the_labels_that_are_still_possible() -> None:
    (turn,) = turns_of(TASK, "narrow", ROWS[:1], FakePrompter(), 4096).turns
    assert turn.choices[0] == tuple(sorted(map(ord, "or")))
    assert turn.choices[1] == tuple(sorted(map(ord, "rt")))
    assert turn.choices[-1] == (0,)


def test_what_the_tier_got_wrong_is_marked() -> None:
    rows = (example(0, wrong="other"), example(1, wrong="other"), example(2))
    found = turns_of(TASK, "narrow", rows, FakePrompter(), 4096).turns
    assert [turn.wrong for turn in found] == [True, False, False]


def test_too_long_examples_are_counted_and_never_cut() -> None:
    rows = (example(0), example(1, input="x" * 500))
    found = turns_of(TASK, "narrow", rows, FakePrompter(), 200)
    assert (len(found.turns), found.too_long) == (1, 1)


def test_an_object_is_written_in_the_order_of_its_schema_without_white_space() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {"properties": {"y": {}, "x": {}}}}}
    task = Task(name="t", kind="extract", tiers=("narrow",), json_schema=schema)
    found = answer_text(task, {"a": {"x": 1, "y": None}, "b": "zwei"})
    assert found == '{"b":"zwei","a":{"y":null,"x":1}}'


async def test_it_makes_a_folder_with_a_digest_a_card_and_how_it_is_served(tmp_path: Path) -> None:
    made = await trainer(FakeLearner()).fit(job(tmp_path, *ROWS, held=HELD))
    check_folder(made.path, made.digest)
    assert json.loads((made.path / "serving.json").read_text()) == {
        "base": "tiny",
        "base_digest": "sha256:base",
        "serves": "model.gguf",
        "adapter": False,
        "prior": False,
    }
    assert made.card == json.loads((made.path / "card.json").read_text())
    assert (made.card["n_train"], made.card["n_validation"]) == (12, 3)
    assert made.card["courses"][0]["ended"] == "done"
    assert "1 of 1 steps, ran through" in made.notes[0]


async def test_the_date_on_the_card_does_not_change_the_digest(tmp_path: Path) -> None:
    made = await trainer(FakeLearner()).fit(job(tmp_path, *ROWS))
    (made.path / "card.json").write_text("{}")
    check_folder(made.path, made.digest)


async def test_a_damaged_artifact_is_refused_by_its_digest(tmp_path: Path) -> None:
    made = await trainer(FakeLearner()).fit(job(tmp_path, *ROWS))
    (made.path / "model.gguf").write_text("other")
    with pytest.raises(WeightsError, match="expected sha256:"):
        check_folder(made.path, made.digest)
    with pytest.raises(WeightsError, match="There is no folder"):
        check_folder(tmp_path / "gone", made.digest)


async def test_doubt_is_a_second_course_after_the_first(tmp_path: Path) -> None:
    learner = FakeLearner()
    made = await trainer(learner, doubts=True).fit(job(tmp_path, *ROWS, held=HELD))
    assert learner.doubts == [False, True]
    assert len(made.card["courses"]) == 2


async def test_another_prompt_is_another_training(tmp_path: Path) -> None:
    await trainer(FakeLearner()).fit(job(tmp_path, *ROWS))
    asked = Task(
        name="topic",
        kind="classify",
        tiers=("narrow",),
        labels=LABELS,
        prompts={"narrow": Prompt(user="Which? {input}")},
    )
    learner = FakeLearner()
    await trainer(learner).fit(job(tmp_path, *ROWS, task=asked))
    assert len(learner.batches) == 1


async def test_the_same_job_is_not_learned_twice(tmp_path: Path) -> None:
    first = await trainer(FakeLearner()).fit(job(tmp_path, *ROWS))
    learner = FakeLearner()
    again = await trainer(learner).fit(job(tmp_path, *ROWS))
    assert (learner.batches, again.digest) == ([], first.digest)


async def test_one_class_only_and_too_few_rows_are_refused(tmp_path: Path) -> None:
    alone = tuple(example(i, answer="orders") for i in range(12))
    with pytest.raises(DataError, match="one class only"):
        await trainer(FakeLearner()).fit(job(tmp_path, *alone))
    text = Task(name="reply", kind="draft", tiers=("narrow",))
    with pytest.raises(DataError, match="3 examples of 'reply' are too few"):
        await trainer(FakeLearner()).fit(job(tmp_path, *ROWS[:3], task=text))


async def test_rows_that_all_exceed_the_context_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="None of the 12 examples"):
        await trainer(FakeLearner(), limit=10).fit(job(tmp_path, *ROWS))


async def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    def lacking() -> None:
        raise ConfigError("This needs torch.", 'Install the extra: pip install "stepdown[lora]".')

    with pytest.raises(ConfigError, match=r"stepdown\[lora\]"):
        await trainer(FakeLearner(), ready=lacking).fit(job(tmp_path, *ROWS))


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = "stepdown.adapters.trainers.extras.NEEDS"
    monkeypatch.setattr(needs, {"lora": ("json", "no_such_torch", "no_such_peft")})
    with pytest.raises(ConfigError) as caught:
        require("lora")
    assert caught.value.message == (
        "This needs no_such_torch, no_such_peft, which are not installed."
    )
    assert caught.value.hint == 'Install the extra: pip install "stepdown[lora]".'
    monkeypatch.setattr(needs, {"lora": ("json",)})
    require("lora")


def test_it_refuses_tiers_and_tasks_that_are_not_its_own() -> None:
    refusal = partial(trainer(FakeLearner()).refusal)
    assert refusal(TASK, TIER) is None
    assert "lora:BASE" in (refusal(TASK, Tier(name="x", model="head:static")) or "")
    embed = Task(name="e", kind="embed", tiers=("narrow",))
    assert "embed" in (refusal(embed, TIER) or "")
