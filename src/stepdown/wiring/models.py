"""Build the model of each tier of a task from what the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from stepdown.adapters.models.forbidden import ForbiddenModel
from stepdown.config.project import Project
from stepdown.core.artifact import Artifact
from stepdown.core.lock import Lock
from stepdown.core.task import Task, within
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError
from stepdown.ports.embedder import Embedder
from stepdown.ports.encoder import Encoder, TokenEncoder
from stepdown.ports.model import Model
from stepdown.wiring.encoders import STATIC, open_encoder
from stepdown.wiring.environment import Environment
from stepdown.wiring.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from stepdown.train.expert import Expert
    from stepdown.train.extractor.reading import Extracting

HOSTED = ("openai", "anthropic", "azure", "bedrock", "any-llm")
EMBEDDING = ("encoder", "openai")  # adapters that can embed


class ModelShop:
    """Build models once and keep them: one encoder and one language model serve many tasks.

    `inputs` returns query id -> bare input of a task, for tiers that replay a recording.
    """

    def __init__(
        self,
        project: Project,
        environment: Environment,
        inputs: Callable[[Task], Mapping[str, str]],
    ) -> None:
        self._project = project
        self._environment = environment
        self._inputs = inputs
        self._built: dict[tuple[str, str], Model] = {}
        self._shared: dict[str, Model] = {}
        self._encoders: dict[str, Encoder] = {}
        self._embedders: dict[str, Embedder] = {}
        self._lent: frozenset[int] = frozenset()
        self._pins: dict[tuple[str, str], str] = {}

    @property
    def cache(self) -> Path:
        """Folder of downloaded weights."""
        return self._environment.cache

    @cached_property
    def registry(self) -> Registry:
        """The project's trained artifacts."""
        return Registry(self._project.root / "models")

    def model(self, task: Task, tier_name: str) -> Model:
        """Return the model that answers `task` at a tier; one that refuses outside its boundary.

        Raises:
            ConfigError: the adapter is unknown, or nothing was trained for this tier.
            WeightsError: its files are missing or differ.
        """
        key = (task.name, tier_name)
        if key not in self._built:
            tier = self._project.tiers[tier_name]
            inside = within(tier.place, task.boundary)
            self._built[key] = self._build(task, tier) if inside else ForbiddenModel(task, tier)
        return self._built[key]

    def encoder(self, name: str) -> Encoder:
        """Return an encoder by its name in the configuration."""
        if name not in self._encoders:
            self._encoders[name] = open_encoder(name, self._environment.cache)
        return self._encoders[name]

    def embedder(self, tier_name: str) -> Embedder:
        """Return what embeds at a tier; one serves every embed task that names the tier.

        Raises:
            ConfigError: its adapter embeds nothing.
            WeightsError: its files are missing or differ.
        """
        if tier_name not in self._embedders:
            self._embedders[tier_name] = self._open_embedder(self._project.tiers[tier_name])
        return self._embedders[tier_name]

    def forget(self, task: Task, tier: str) -> None:
        """Build the model anew at its next use, because it was trained again."""
        self._built.pop((task.name, tier), None)

    def lend_to(self, heir: ModelShop) -> None:
        """Let another shop use what is loaded or connected already, as far as it asks the same.

        From then on the heir lets go of it.
        """
        ours, theirs = self._project.tiers, heir._project.tiers
        lent = {
            key: model
            for key, model in self._shared.items()
            if key not in ours or ours[key] == theirs.get(key)  # not the name of a hosted tier
        }
        heir._shared.update(lent)
        heir._encoders.update(self._encoders)
        self._lent = frozenset(map(id, lent.values()))

    async def aclose(self) -> None:
        """Let go of every model that is not lent."""
        held = {id(m): m for m in [*self._built.values(), *self._shared.values()]}
        for model in (model for key, model in held.items() if key not in self._lent):
            await model.aclose()
        for embedder in self._embedders.values():
            await embedder.aclose()
        self._built.clear()
        self._shared.clear()
        self._embedders.clear()

    def _makers(self) -> Mapping[str, Callable[[Task, Tier], Model]]:
        return {
            "rule": self._rule,
            "llama": self._llama,
            "image": self._image,
            "recorded": self._recorded,
            **dict.fromkeys(HOSTED, self._hosted),
        }

    def _build(self, task: Task, tier: Tier) -> Model:
        makers = self._makers()
        if task.kind == "embed":
            return self._embedding(task, tier)
        if tier.adapter == "encoder":
            raise ConfigError(
                f"tasks.{task.name}: the tier {tier.name!r} is an encoder, which embeds and "
                f"answers nothing else.",
                'Use it in a task with kind = "embed", or train a head on it: `head:ENCODER`.',
            )
        trained = self._trained(task, tier)
        if trained is not None:
            return trained
        if tier.adapter not in makers:
            raise ConfigError(
                f"tiers.{tier.name}.model: unknown adapter {tier.adapter!r}.",
                f"Known: {', '.join(makers)}.",
            )
        return makers[tier.adapter](task, tier)

    def _rule(self, task: Task, tier: Tier) -> Model:
        from stepdown.adapters.models.rule import RegexModel, TidyModel

        if tier.target != "program":
            raise ConfigError(
                f"tiers.{tier.name}.model: there is no rule {tier.target!r}.",
                'Write model = "rule:program"; its patterns stand in [tasks.TASK.rules].',
            )
        if task.fields:
            return RegexModel(task.name, self._project.rules.get(task.name, {}), task.fields)
        if task.kind == "polish":
            return TidyModel()
        raise ConfigError(
            f"tasks.{task.name}: the tier {tier.name!r} is a rule, and there is none for a "
            f"{task.kind} task.",
            "Remove it from `tiers`; rules extract fields and tidy drafts.",
        )

    def _trained(self, task: Task, tier: Tier) -> Model | None:
        """Return what was trained for a tier, None for a tier that answers without training."""
        from stepdown.wiring.recipes import RECIPES, mute, recipe_of

        if not any(tier.adapter in one.adapters for one in RECIPES.values()):
            return None
        artifact = self.artifact(task.name, tier.name)
        if artifact is None and mute(tier):
            raise ConfigError(
                f"Nothing was trained for the tier {tier.name!r} of the task {task.name!r}.",
                f"Run `stepdown train {task.name} --tier {tier.name}` first.",
            )
        if artifact is None:
            return None
        path = self.registry.folder / artifact.file
        return self.made(task, tier, recipe_of(artifact.recipe), path, artifact.digest)

    def artifact(self, task: str, tier: str) -> Artifact | None:
        """Return what answers: what the lock pins where it was told, else what is promoted."""
        shelf = self.registry.shelf()
        pin = self._pins.get((task, tier))
        pinned = None if pin is None else shelf.locked_as(task, tier, pin)
        return pinned or shelf.promoted(task, tier)

    def pin(self, lock: Lock) -> None:
        """Answer with the artifacts that a lock was certified with, whatever was promoted since."""
        for name, task in lock.tasks.items():
            for tier, locked in task.tiers.items():
                self._pins[name, tier] = locked.digest
                self._built.pop((name, tier), None)

    def pin_artifact(self, artifact: Artifact) -> None:
        """Answer with a registered artifact in its tier's place, whatever is promoted."""
        self._pins[artifact.task, artifact.tier] = artifact.digest
        self._built.pop((artifact.task, artifact.tier), None)

    def made(self, task: Task, tier: Tier, recipe: str, path: Path, digest: str) -> Model:
        """Open what a recipe made for a tier, registered or not; the file must have the digest.

        Raises:
            ConfigError: the recipe makes no such tier, as when `model` was changed since.
            WeightsError: the file is missing or differs.
        """
        from stepdown.wiring.recipes import RECIPES, openers

        if recipe not in RECIPES or tier.adapter not in RECIPES[recipe].adapters:
            raise ConfigError(
                f"What was trained for the tier {tier.name!r} of the task {task.name!r} is a "
                f"{recipe}, which {tier.model!r} is not.",
                f"Run `stepdown train {task.name} --tier {tier.name}` again.",
            )
        return openers(self)[recipe](task, tier, path, digest)

    def head(self, task: Task, tier: Tier, path: Path, digest: str) -> Model:
        """Open a trained head with the encoder that it was trained on."""
        from stepdown.adapters.models.head import HeadModel
        from stepdown.train.expert import Expert
        from stepdown.train.head import load_head

        expert = Expert(load_head(path, digest), self.encoder(tier.target))
        return HeadModel(Predicting(expert), tier.model, in_thread=tier.target != STATIC)

    def extractor(self, task: Task, tier: Tier, path: Path, digest: str) -> Model:
        """Open a trained extractor with the encoder that it was trained on."""
        from stepdown.adapters.models.extractor import ExtractorModel
        from stepdown.train.extractor.file import load_extractor
        from stepdown.train.extractor.reading import Extracting

        encoder = self.token_encoder(tier.target)
        reading = _Reading(Extracting(load_extractor(path, digest), encoder), digest)
        return ExtractorModel(reading, tier.model, in_thread=tier.target != STATIC)

    def prompted(self, task: Task, tier: Tier, path: Path, digest: str) -> Model:
        """Open the model that reads a tuned prompt; the prompt itself is the task's.

        Who opens it borrows it: the same model serves other tasks.
        """
        from stepdown.adapters.models.borrowed import BorrowedModel
        from stepdown.adapters.tables.prompt_files import load_prompt

        tuned = load_prompt(path, digest)
        if tuned.model != tier.model:
            raise ConfigError(
                f"The prompt of {tier.name!r} was tuned for {tuned.model!r}, not {tier.model!r}.",
                f"Run `stepdown train {task.name} --recipe prompt --tier {tier.name}` again.",
            )
        return BorrowedModel(self._makers()[tier.adapter](task, tier))

    def token_encoder(self, name: str) -> TokenEncoder:
        """Return an encoder that tells word pieces apart, by its name in the configuration.

        Raises:
            ConfigError: it does not.
        """
        found = self.encoder(name)
        if not isinstance(found, TokenEncoder):
            raise ConfigError(
                f"The encoder {name!r} gives no vectors of word pieces.",
                f"An extractor needs them: use {STATIC} or all-minilm-l6-v2.",
            )
        return found

    def _embedding(self, task: Task, tier: Tier) -> Model:
        from stepdown.adapters.models.embedding import EmbeddingModel
        from stepdown.evals.scorers.retrieval import query_prefix

        return EmbeddingModel(self.embedder(tier.name), query_prefix(task))

    def _open_embedder(self, tier: Tier) -> Embedder:
        from stepdown.adapters.models.encoder import EncoderEmbedder

        if tier.adapter == "openai":
            return self._hosted_embedder(tier)
        if tier.adapter == "encoder":
            return EncoderEmbedder(self.encoder(tier.target), in_thread=tier.target != STATIC)
        raise ConfigError(
            f"tiers.{tier.name}.model: {tier.model!r} embeds nothing.",
            f"For an embed task: {', '.join(f'`{name}:WHAT`' for name in EMBEDDING)}.",
        )

    def _hosted_embedder(self, tier: Tier) -> Embedder:
        from stepdown.adapters.models.wire.embeddings import OpenAIEmbedder
        from stepdown.adapters.models.wire.openai import DEFAULT_BASE
        from stepdown.wiring.hosted import secret_of, wire_settings

        value, origin = secret_of(tier, self._environment, self._project.root, "OPENAI_API_KEY")
        return OpenAIEmbedder(
            tier.target,
            base_url=tier.base_url or DEFAULT_BASE,
            api_key=value,
            api_key_env=origin,
            settings=wire_settings(tier),
            dimensions=tier.dimensions,
        )

    def _llama(self, task: Task, tier: Tier) -> Model:
        if tier.model not in self._shared:
            from stepdown.adapters.models.llama import LlamaModel
            from stepdown.adapters.weights.pull import pull

            path = pull(tier.target, self._environment.cache)
            self._shared[tier.model] = LlamaModel(path)
        return self._shared[tier.model]

    def _image(self, task: Task, tier: Tier) -> Model:
        from stepdown.adapters.models.image import load_image_head

        return load_image_head(self._project.root / tier.target, task.labels, task.name)

    def _recorded(self, task: Task, tier: Tier) -> Model:
        from stepdown.adapters.models.recorded import RecordedModel
        from stepdown.adapters.prices.tokens import estimate_tokens

        return RecordedModel(
            self._project.root / tier.target,
            task.name,
            task.name,
            self._inputs(task),
            estimate_tokens,
            task.contract.render,
        )

    def _hosted(self, task: Task, tier: Tier) -> Model:
        from stepdown.wiring.hosted import hosted_model

        if tier.name not in self._shared:
            self._shared[tier.name] = hosted_model(tier, self._environment, self._project.root)
        return self._shared[tier.name]


class _Reading:
    """An extractor with its encoder in the shape that the adapter reads."""

    def __init__(self, extracting: Extracting, digest: str) -> None:
        self._extracting = extracting
        self.digest = digest

    def read(self, text: str) -> tuple[Mapping[str, str | None], Mapping[str, float]]:
        found = self._extracting.read(text)
        return found.values, found.sure


class Predicting:
    """An Expert in the shape that the head adapter reads."""

    def __init__(self, expert: Expert) -> None:
        self._expert = expert
        self.digest = expert.digest

    def predict(self, text: str) -> tuple[Mapping[str, float], float | None]:
        """Return label -> probability, and how familiar the text is."""
        found = self._expert.predict([text])[0]
        return found.label_probs, found.familiarity
