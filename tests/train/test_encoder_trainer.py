"""The encoder recipe, with a learner that needs no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_fakes import FakeLearner

from stepdown.adapters.encoders.static import load_static
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.stats.calibrate import ece
from stepdown.train.encoder_trainer import HEAD, EncoderTrainer, Tuned, calibrated
from stepdown.train.expert import Expert
from stepdown.train.fit import fit_head
from stepdown.train.head import load_head
from stepdown.train.learning import Schedule
from stepdown.train.made_folder import check_folder

ABOUT = {
    "parcel": ("my parcel is late", "where is the box", "the courier lost it", "no delivery yet"),
    "money": ("refund my money", "you charged me twice", "the invoice is wrong", "pay me back"),
}
TASK = Task(name="topic", kind="classify", tiers=("expert",), labels=tuple(ABOUT))
TIER = Tier(name="expert", model="head:tunable")


class Exporting(FakeLearner):
    """It exports the number that it learned."""

    def export(self, folder: Path) -> Mapping[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_text(repr(self.weight))
        return {"serves": "model.safetensors"}


def rows(times: int = 3) -> tuple[Example, ...]:
    return tuple(
        Example(id=f"{label}{n}{i}", input=f"{text} {n}", answer=label, group=f"{label}{n}{i}")
        for label, texts in ABOUT.items()
        for i, text in enumerate(texts)
        for n in range(times)
    )


def trainer(learner: FakeLearner) -> EncoderTrainer:
    def load(_folder: Path, _name: str) -> Encoder:
        return load_static()

    tuned = Tuned("sha256:base", lambda _labels, _seed: learner, load)
    return EncoderTrainer(
        encoder=lambda _name: tuned,
        tunable=("tunable",),
        ready=lambda: None,
        schedule=Schedule(epochs=1),
    )


def job(folder: Path, train: tuple[Example, ...], held: tuple[Example, ...] = ()) -> TrainingJob:
    data = TrainingSet(train=train, validation=held, digest="sha256:" + "cd" * 32)
    return TrainingJob(task=TASK, tier=TIER, data=data, folder=folder)


async def test_it_makes_a_folder_of_encoder_and_head_under_one_digest(tmp_path: Path) -> None:
    made = await trainer(Exporting()).fit(job(tmp_path, rows()[2:], rows()[:2]))
    check_folder(made.path, made.digest)
    assert sorted(path.name for path in made.path.iterdir()) == [
        "card.json",
        HEAD,
        "model.safetensors",
    ]
    expert = Expert(load_head(made.path / HEAD), load_static())
    assert expert.predict(["the courier is late with my box"])[0].label == "parcel"
    assert json.loads((made.path / "card.json").read_text())["n_validation"] == 2


async def test_texts_carry_the_number_of_their_label(tmp_path: Path) -> None:
    learner = Exporting()
    await trainer(learner).fit(job(tmp_path, rows()))
    seen = {item.text: item.label for batch in learner.batches for item in batch}
    assert {seen[row.input] for row in rows() if row.answer == "money"} == {0}
    assert {seen[row.input] for row in rows() if row.answer == "parcel"} == {1}


def test_the_temperature_is_that_of_rows_which_nothing_was_fitted_on() -> None:
    encoder, known = load_static(), rows()
    head = fit_head(
        [r.input for r in known], [r.answer for r in known], encoder, task="t", name="n"
    )
    flipped = {"parcel": "money", "money": "parcel"}
    odd = [
        Example(id=r.id, input=r.input, answer=flipped[r.answer] if i % 2 else r.answer, group=r.id)
        for i, r in enumerate(known)
    ]
    doubting = calibrated(head, encoder, odd)
    assert doubting.card.temperature > head.card.temperature

    def off(one: Any) -> float:
        found = one.predict_proba(encoder.embed([r.input for r in odd]))
        sure, guess = found.max(axis=1), found.argmax(axis=1)
        right = [float(one.labels[g] == r.answer) for g, r in zip(guess, odd, strict=True)]
        return ece(sure.tolist(), right) or 0.0

    assert off(doubting) < off(head)
    assert np.array_equal(doubting.linear.weights, head.linear.weights)


async def test_labels_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    odd = (Example(id="x", input="hm", answer="Money", group="x"),)
    with pytest.raises(DataError, match="case or white space"):
        await trainer(Exporting()).fit(job(tmp_path, rows() + odd))


def test_it_refuses_what_cannot_be_tuned() -> None:
    refusal = trainer(Exporting()).refusal
    assert refusal(TASK, TIER) is None
    assert "cannot be tuned" in (refusal(TASK, Tier(name="s", model="head:static")) or "")
    assert "head:ENCODER" in (refusal(TASK, Tier(name="s", model="lora:x")) or "")
    draft = Task(name="d", kind="draft", tiers=("expert",))
    assert "labels" in (refusal(draft, TIER) or "")
