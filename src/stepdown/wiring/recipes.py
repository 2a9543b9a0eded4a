"""The recipes of `train`: which tiers each makes, who trains, and how its file becomes a model.

A new recipe is one line in each of the three tables, in order of cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.tuned_prompt import READERS
from stepdown.errors import ConfigError
from stepdown.ports.model import Model
from stepdown.ports.trainer import Trainer

if TYPE_CHECKING:
    from stepdown.wiring.models import ModelShop
    from stepdown.wiring.workspace import Workspace

Opener = Callable[[Task, Tier, Path, str], Model]  # task, tier, file or folder, its digest
AUTO = "auto"


class Recipe(Struct, frozen=True):
    """What a recipe makes: tiers with these adapters (what stands before the colon in `model`).

    `mute` says that such a tier cannot answer before it was trained; a recipe of tiers that can
    (a better prompt) runs only when it is asked for.
    """

    adapters: tuple[str, ...]
    mute: bool = True


RECIPES: Mapping[str, Recipe] = {
    "head": Recipe(("head",)),
    "extractor": Recipe(("extractor",)),
    "encoder": Recipe(("head",), mute=False),
    "lora": Recipe(("lora",)),
    "prompt": Recipe(READERS, mute=False),
}


def trainers(workspace: Workspace) -> Mapping[str, Trainer]:
    """Return who trains by each recipe, the cheapest first; nothing heavy is loaded."""
    from stepdown.train.extractor.trainer import ExtractorTrainer
    from stepdown.train.head_trainer import HeadTrainer
    from stepdown.wiring.field_equality import same_field
    from stepdown.wiring.language_experts import lora_trainer
    from stepdown.wiring.prompt_asking import prompt_trainer
    from stepdown.wiring.tuned_encoders import encoder_trainer

    return {
        "head": HeadTrainer(workspace.models.encoder),
        "extractor": ExtractorTrainer(workspace.models.token_encoder, same_field),
        "encoder": encoder_trainer(workspace.environment),
        "lora": lora_trainer(workspace.environment),
        "prompt": prompt_trainer(workspace),
    }


def openers(shop: ModelShop) -> Mapping[str, Opener]:
    """Return how what each recipe made is opened as a model; each insists on the digest."""
    from stepdown.wiring.language_experts import open_lora
    from stepdown.wiring.tuned_encoders import open_tuned

    return {
        "head": shop.head,
        "extractor": shop.extractor,
        "encoder": partial(open_tuned, shop),
        "lora": partial(open_lora, shop),
        "prompt": shop.prompted,
    }


def mute(tier: Tier) -> bool:
    """Tell whether a tier cannot answer before it was trained."""
    return any(one.mute and tier.adapter in one.adapters for one in RECIPES.values())


def owns(recipe: str, tier: Tier) -> bool:
    """Tell whether a tier is trained by this recipe where none is asked for."""
    return RECIPES[recipe].mute and tier.adapter in RECIPES[recipe].adapters


def recipe_of(name: str) -> str:
    """Return the name of the recipe that an artifact tells of (`head on ENCODER` -> `head`)."""
    return name.partition(" ")[0]


def check_recipe(name: str) -> None:
    """Refuse a recipe that is not there.

    Raises:
        ConfigError: names those that are.
    """
    if name not in ("", *RECIPES, AUTO):
        raise ConfigError(
            f"--recipe {name!r} is unknown.", f"Use one of {', '.join([*RECIPES, AUTO])}."
        )
