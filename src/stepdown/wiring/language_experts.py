"""Adapters on a language model: who trains them, and how what they made is opened as a model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import WeightsError
from stepdown.ports.learner import Learner, Turn
from stepdown.ports.model import Model
from stepdown.ports.prompter import Prompter
from stepdown.train.learning import Schedule
from stepdown.train.lora_trainer import SERVING, Base, LoraTrainer, Serving
from stepdown.train.made_folder import check_folder
from stepdown.wiring.environment import Environment

if TYPE_CHECKING:
    from stepdown.adapters.trainers.settings import LoraSettings
    from stepdown.wiring.models import ModelShop


def lora_trainer(
    environment: Environment,
    settings: LoraSettings | None = None,
    schedule: Schedule | None = None,
) -> LoraTrainer:
    """Return who trains adapters; torch is not imported before it trains."""
    from stepdown.adapters.trainers.extras import require
    from stepdown.adapters.trainers.settings import LoraSettings

    chosen = settings or LoraSettings()
    return LoraTrainer(
        base=partial(_base, environment.cache, chosen),
        ready=partial(require, "lora"),
        settings=_deciding(chosen),
        limit=chosen.max_tokens,
        doubts=chosen.gatekeeper is not None,
        adapter=chosen.export == "adapter",
        schedule=schedule or Schedule(),
    )


def open_lora(shop: ModelShop, task: Task, tier: Tier, path: Path, digest: str) -> Model:
    """Open what the recipe made, once its digest is what was registered.

    Raises:
        WeightsError: a file is missing or differs, or the base is not the one it was trained on.
    """
    from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
    from stepdown.adapters.models.llama.runtime import file_digest

    check_folder(path, digest)
    serving = _serving(path)
    settings = LlamaSettings() if serving.prior else LlamaSettings(content_free=())
    if not serving.adapter:
        return LlamaModel(path / serving.serves, name=tier.model, settings=settings)
    base = _weights(serving.base, shop.cache)
    if file_digest(base) != serving.base_digest:
        raise WeightsError(
            f"The adapter of {task.name!r}, tier {tier.name!r}, was trained on "
            f"{serving.base!r} with the digest {serving.base_digest}, not on "
            f"{file_digest(base)}.",
            "Bring back that base, or train again.",
        )
    return LlamaModel(base, name=tier.model, settings=settings, adapter=path / serving.serves)


def _serving(path: Path) -> Serving:
    try:
        return msgspec.json.decode((path / SERVING).read_bytes(), type=Serving)
    except (OSError, msgspec.MsgspecError) as error:
        raise WeightsError(
            f"{str(path / SERVING)!r} cannot be read: {error}.", "Run `stepdown train` again."
        ) from error


def _base(cache: Path, settings: LoraSettings, name: str) -> Base:
    from stepdown.adapters.models.llama.runtime import file_digest

    weights = _weights(name, cache)
    return Base(
        digest=file_digest(weights),
        prompter=partial(_prompter, weights),
        learner=partial(_learner, weights, name, settings),
    )


def _prompter(weights: Path) -> Prompter:
    from stepdown.adapters.models.llama.prompter import LlamaPrompter

    return LlamaPrompter(weights)


def _learner(weights: Path, name: str, settings: LoraSettings, seed: int) -> Learner[Turn]:
    from stepdown.adapters.trainers.lora import LoraLearner

    return LoraLearner(weights, name, settings, seed)


def _weights(name: str, cache: Path) -> Path:
    from stepdown.adapters.weights.pull import pull

    return pull(name, cache)


def _deciding(settings: LoraSettings) -> dict[str, object]:
    """Return the settings that decide what is made; threads change its time only."""
    plain = dict(msgspec.to_builtins(settings))
    del plain["threads"]
    return plain
