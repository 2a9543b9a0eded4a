"""A project whose networked tiers answer only from kept calls: no key is needed, nothing is paid.

For a plan before anything is spent, and for a check where there is neither key nor network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import cached_property
from pathlib import Path

import msgspec

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.config.project import load_project
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.task import Task
from stepdown.errors import Unavailable
from stepdown.ports.model import Model
from stepdown.ports.run_store import SavedCall
from stepdown.wiring.environment import Environment
from stepdown.wiring.evaluating import NETWORKED
from stepdown.wiring.lockfile import explain_no_project
from stepdown.wiring.workspace import Workspace

NO_KEY = "not-needed-offline"  # stands in for a key that is not set; nothing is ever sent
USUAL_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


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
        raise Unavailable("No kept answer, and offline nothing is asked.")

    def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Refuse: the answer was not kept."""
        raise Unavailable("No kept answer, and offline nothing is asked.")

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


class Keyless(Workspace):
    """A project at work without its networked tiers."""

    @classmethod
    def open(cls, root: Path, environment: Environment | None = None) -> Keyless:
        """Open the project in a folder; raises as `Workspace.open` does."""
        explain_no_project(root)
        project, found = load_project(root), environment or Environment.current()
        needed = [
            tier.api_key_env or USUAL_KEYS.get(tier.adapter) for tier in project.tiers.values()
        ]
        placeholders = {name: NO_KEY for name in needed if name}
        known = {name: value for name, value in found.variables.items() if value}
        return cls(project, msgspec.structs.replace(found, variables={**placeholders, **known}))

    @cached_property
    def runs(self) -> RunFiles:
        """The kept calls of evals."""
        return _Unwritten(self.project.state / "runs")

    def model(self, task: Task, tier: str) -> Model:
        """Return the model of a tier, which is not asked where it is networked."""
        found = super().model(task, tier)
        if self.tiers[tier].adapter not in NETWORKED:
            return found
        silent: Model = KeptOnly(found)
        return silent
