"""Where a training runs: in this process, or on a Ray cluster by the same recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from stepdown.errors import ConfigError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Trainer
from stepdown.wiring.encoders import open_encoder
from stepdown.wiring.environment import Environment
from stepdown.wiring.recipes import trainers

if TYPE_CHECKING:
    from stepdown.wiring.workspace import Workspace

ENGINES = ("local", "ray")


def check_engine(engine: str) -> None:
    """Refuse an engine that is not there, or whose extra is not installed.

    Raises:
        ConfigError: names those that are, or the extra.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine!r} is unknown.", f"Use one of {', '.join(ENGINES)}.")
    if engine == "ray":
        from stepdown.adapters.trainers.extras import require

        require("ray")


def trainer_on(engine: str, workspace: Workspace, recipe: str) -> Trainer:
    """Return who trains by a recipe on an engine.

    A head is fitted here, in seconds; what takes time, its embedding, goes to the cluster. Other
    recipes go there whole.

    Raises:
        ConfigError: the recipe needs this process: it asks the project's own tiers.
    """
    here = trainers(workspace)[recipe]
    check_engine(engine)
    if engine == "local":
        return here
    if recipe == "head":
        return _head_on_ray(workspace)
    if recipe not in WHOLE:
        raise ConfigError(
            f"The recipe {recipe!r} does not run on a cluster.",
            "Use --engine local; on ray: head, " + ", ".join(WHOLE) + ".",
        )
    from stepdown.adapters.engines.ray import RayTrainer

    return RayTrainer(here, partial(built_there, recipe))


def built_there(recipe: str) -> Trainer:
    """Build a recipe on a worker: from its own environment, without the project."""
    return WHOLE[recipe](Environment.current())


def encoder_there(name: str) -> Encoder:
    """Open an encoder on a worker, its weights in the worker's own cache."""
    return open_encoder(name, Environment.current().cache)


def _head_on_ray(workspace: Workspace) -> Trainer:
    from stepdown.adapters.engines.ray import Cluster, RayEncoder
    from stepdown.train.head_trainer import HeadTrainer

    def encoder(name: str) -> Encoder:
        return RayEncoder(workspace.models.encoder(name), partial(encoder_there, name), Cluster())

    return HeadTrainer(encoder)


def _tuned(environment: Environment) -> Trainer:
    from stepdown.wiring.tuned_encoders import encoder_trainer

    return encoder_trainer(environment)


def _adapters(environment: Environment) -> Trainer:
    from stepdown.wiring.language_experts import lora_trainer

    return lora_trainer(environment)


WHOLE: Mapping[str, Callable[[Environment], Trainer]] = {
    "encoder": _tuned,
    "lora": _adapters,
}
