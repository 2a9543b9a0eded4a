"""A project whose networked tiers answer only from kept calls: no key is needed, nothing is paid.

For a plan before anything is spent, and for a check where there is neither key nor network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.config.project import Project, load_project
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import Unavailable
from stepdown.ports.embedder import Embedder, Embeddings
from stepdown.ports.model import Model
from stepdown.ports.run_store import SavedCall
from stepdown.wiring.environment import Environment
from stepdown.wiring.lockfile import explain_no_project
from stepdown.wiring.models import HOSTED, ModelShop
from stepdown.wiring.workspace import Workspace

NO_KEY = "not-needed-offline"  # stands in for a key that is not set; nothing is ever sent
WHY = "No kept answer, and offline nothing is asked."


class _NoKeys(Environment, frozen=True):
    """An environment in which every key is there, for models that are asked nothing."""

    def secret(self, name: str, why: str) -> str:
        """Return a placeholder where there is no secret."""
        return self.variables.get(name) or NO_KEY


class KeptOnly:
    """A model that is known by its digest and asked nothing."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def digest(self) -> str:
        """The model's digest."""
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        """What the model could do."""
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Refuse: the answer was not kept."""
        raise Unavailable(WHY)

    def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Refuse: the answer was not kept."""
        raise Unavailable(WHY)

    async def aclose(self) -> None:
        """Let go of the model."""
        await self._model.aclose()


class _Unwritten(RunFiles):
    """Kept calls that are read, and not added to by answers that were not given."""

    def append(self, task: str, tier: str, *calls: SavedCall) -> None:
        """Keep real answers only."""
        answered = [call for call in calls if call.failure != "unavailable"]
        if answered:
            super().append(task, tier, *answered)


class SilentEmbedder:
    """An embedder that is known by its digest and asked nothing."""

    def __init__(self, embedder: Embedder) -> None:
        self.digest = embedder.digest
        self.dimensions = embedder.dimensions

    async def embed(self, texts: Sequence[str], *, timeout_s: float | None = None) -> Embeddings:
        """Refuse: the vectors were not kept."""
        raise Unavailable(WHY)

    async def aclose(self) -> None:
        """Hold nothing."""


class SilentShop(ModelShop):
    """Models of which the hosted ones are asked nothing, whoever asks: a step, or a judge."""

    def __init__(
        self,
        project: Project,
        environment: Environment,
        inputs: Callable[[Task], Mapping[str, str]],
    ) -> None:
        fileless = {
            name: msgspec.structs.replace(tier, api_key_file=None)
            for name, tier in project.tiers.items()
        }
        nobody = _NoKeys(variables=environment.variables, now=environment.now)
        super().__init__(msgspec.structs.replace(project, tiers=fileless), nobody, inputs)

    def _build(self, task: Task, tier: Tier) -> Model:
        found = super()._build(task, tier)
        return KeptOnly(found) if tier.adapter in HOSTED else found

    def _open_embedder(self, tier: Tier) -> Embedder:
        found = super()._open_embedder(tier)
        if tier.adapter not in HOSTED:
            return found
        silent: Embedder = SilentEmbedder(found)
        return silent


class Keyless(Workspace):
    """A project at work without its networked tiers."""

    @classmethod
    def open(cls, root: Path, environment: Environment | None = None) -> Keyless:
        """Open the project in a folder; raises as `Workspace.open` does."""
        explain_no_project(root)
        return cls(load_project(root), environment or Environment.current())

    @cached_property
    def models(self) -> ModelShop:
        """The models of all tiers; the hosted ones are asked nothing."""
        return SilentShop(self.project, self.environment, self.inputs)

    @cached_property
    def runs(self) -> RunFiles:
        """The kept calls of evals."""
        return _Unwritten(self.project.state / "runs")
