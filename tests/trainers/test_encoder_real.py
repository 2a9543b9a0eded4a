"""An encoder tuned for real, a few steps: it is exported as it is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepdown.adapters.encoders.minilm import load_minilm
from stepdown.adapters.trainers.settings import EncoderSettings
from stepdown.adapters.weights import pull
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import WeightsError
from stepdown.ports.learner import Text
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.train.learning import Schedule
from stepdown.wiring.environment import Environment
from stepdown.wiring.tuned_encoders import encoder_trainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SAYS = {
    "money": ("I was charged twice", "refund me please", "the invoice is wrong", "pay me back"),
    "parcel": ("my box is late", "the courier lost it", "no delivery yet", "it never arrived"),
}
ROWS = [Text(text, n) for n, texts in enumerate(SAYS.values()) for text in texts]


@pytest.fixture(scope="module")
def weights() -> Path:
    pytest.importorskip("transformers", reason='no extra encoder: pip install ".[encoder]"')
    home = Path(os.environ.get("STEPDOWN_HOME") or Path.home() / ".cache" / "stepdown")
    try:
        return pull("all-minilm-l6-v2", home)
    except WeightsError as error:
        pytest.skip(f"no model file: {error}")


def fresh(weights: Path, **changes: Any) -> Any:
    from stepdown.adapters.trainers.encoder import EncoderLearner

    return EncoderLearner(weights, 2, EncoderSettings(**changes), 7)


@pytest.mark.parametrize("objective", ["full", "contrastive"])
def test_the_loss_falls_and_the_export_is_what_was_learned(
    weights: Path, tmp_path: Path, objective: str
) -> None:
    learner = fresh(weights, objective=objective)
    before = learner.loss(ROWS)
    for _ in range(5):
        learner.train(ROWS, 1.0)
    assert learner.loss(ROWS) < before
    learner.export(tmp_path / "made")
    texts = [row.text for row in ROWS]
    served = load_minilm(tmp_path / "made" / "model.safetensors", tmp_path).embed(texts)
    learned = learner._embed(texts).detach().cpu().numpy()
    assert (served * learned).sum(axis=1).min() > 0.999
    untouched = load_minilm(weights, tmp_path).embed(texts)
    assert np.abs(served - untouched).max() > 0.01


async def test_the_recipe_makes_an_expert_that_answers(weights: Path, tmp_path: Path) -> None:
    rows = tuple(
        Example(id=f"{label}{i}{n}", input=f"{text}{' !' * n}", answer=label, group=f"{label}{i}")
        for label, texts in SAYS.items()
        for i, text in enumerate(texts)
        for n in range(2)
    )
    data = TrainingSet(train=rows[2:], validation=rows[:2], digest="sha256:" + "12" * 32)
    task = Task(name="topic", kind="classify", tiers=("expert",), labels=tuple(SAYS))
    tier = Tier(name="expert", model="head:all-minilm-l6-v2")
    trainer = encoder_trainer(Environment.current(), schedule=Schedule(epochs=1, batch=8))
    made = await trainer.fit(TrainingJob(task=task, tier=tier, data=data, folder=tmp_path))
    assert made.card["courses"][0]["ended"] == "done"
    assert made.card["n_validation"] == 2
    assert (made.path / "head.safetensors").is_file()
