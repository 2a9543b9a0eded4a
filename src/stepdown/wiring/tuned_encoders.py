"""Encoders tuned to one task: who tunes them, and how what was made is opened as a model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.ports.encoder import Encoder
from stepdown.ports.learner import Learner, Text
from stepdown.ports.model import Model
from stepdown.train.encoder_trainer import HEAD, EncoderTrainer, Tuned
from stepdown.train.learning import Schedule
from stepdown.train.made_folder import check_folder
from stepdown.wiring.environment import Environment

if TYPE_CHECKING:
    from stepdown.adapters.trainers.settings import EncoderSettings
    from stepdown.wiring.models import ModelShop

TUNABLE = ("all-minilm-l6-v2",)
WEIGHTS = "model.safetensors"


def encoder_trainer(
    environment: Environment,
    settings: EncoderSettings | None = None,
    schedule: Schedule | None = None,
) -> EncoderTrainer:
    """Return who tunes encoders; torch is not imported before it trains."""
    from stepdown.adapters.trainers.extras import require
    from stepdown.adapters.trainers.settings import EncoderSettings

    chosen = settings or EncoderSettings()
    plain = dict(msgspec.to_builtins(chosen))
    del plain["threads"]  # it changes the time only
    return EncoderTrainer(
        encoder=partial(_tuned, environment.cache, chosen),
        tunable=TUNABLE,
        ready=partial(require, "encoder"),
        settings=plain,
        schedule=schedule or Schedule(epochs=3, batch=32),
    )


def open_tuned(shop: ModelShop, task: Task, tier: Tier, path: Path, digest: str) -> Model:
    """Open what the recipe made, once its digest is what was registered.

    Raises:
        WeightsError: a file is missing or differs.
    """
    from stepdown.adapters.models.head import HeadModel
    from stepdown.train.expert import Expert
    from stepdown.train.head import load_head
    from stepdown.wiring.models import Predicting

    check_folder(path, digest)
    name = f"{tier.target}-{task.name}-{tier.name}"
    expert = Expert(load_head(path / HEAD), _load(shop.cache, path, name))
    return HeadModel(Predicting(expert), tier.model, in_thread=True)


def _tuned(cache: Path, settings: EncoderSettings, name: str) -> Tuned:
    from stepdown.adapters.encoders.minilm import load_minilm
    from stepdown.adapters.weights.pull import pull

    weights = pull(name, cache)
    return Tuned(
        digest=load_minilm(weights, cache, name=name).digest,
        learner=partial(_learner, weights, settings),
        load=partial(_load, cache),
    )


def _learner(weights: Path, settings: EncoderSettings, labels: int, seed: int) -> Learner[Text]:
    from stepdown.adapters.trainers.encoder import EncoderLearner

    return EncoderLearner(weights, labels, settings, seed)


def _load(cache: Path, folder: Path, name: str) -> Encoder:
    from stepdown.adapters.encoders.minilm import load_minilm

    return load_minilm(folder / WEIGHTS, cache, name=name)
