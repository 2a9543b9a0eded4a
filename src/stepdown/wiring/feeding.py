"""A pipeline at work on one part of the rows: each step on what those before it say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from stepdown.certify.messages import Played, StepCase, played, readable
from stepdown.certify.pipelines import Combination, fed_inputs, feeders
from stepdown.config.schema import PipelineKeys
from stepdown.core.digest import digest
from stepdown.core.replay_array import Panel, panel
from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.wiring.certifying import outcomes_of
from stepdown.wiring.evaluating import Watch
from stepdown.wiring.workspace import Workspace


@dataclass(slots=True)
class Line:
    """A pipeline at work on one part of the rows; no step is asked twice about the same inputs."""

    workspace: Workspace
    keys: PipelineKeys
    tasks: Sequence[Task]
    samples: Mapping[str, Sequence[Sample]]
    watch: Watch | None
    _tables: dict[str, Panel] = field(default_factory=dict)
    _readable: dict[str, Panel] = field(default_factory=dict)
    _played: dict[tuple[int, Combination], Played] = field(default_factory=dict)

    async def table(self, place: int, combo: Combination, steps: Sequence[StepCase]) -> Panel:
        """Return what every tier of a step answers to what reaches it under a combination."""
        return self._tables[await self._asked(place, combo, steps)]

    async def _asked(self, place: int, combo: Combination, steps: Sequence[StepCase]) -> str:
        """Ask the tiers of a step, and return the key of their table."""
        task = self.tasks[place]
        samples = await self._reaching(place, combo, steps)
        key = digest([task.name, [(sample.id, sample.input) for sample in samples]])
        if key not in self._tables:
            found = await outcomes_of(self.workspace, task, samples, self.watch)
            self._tables[key] = panel(found)
        return key

    async def _reaching(
        self, place: int, combo: Combination, steps: Sequence[StepCase]
    ) -> tuple[Sample, ...]:
        """Return the step's rows, each with its input as the steps before it make it."""
        name = self.tasks[place].name
        samples = tuple(self.samples[name])
        if name not in self.keys.takes:
            return samples
        answers = {
            self.tasks[above].name: (await self.played(above, combo, steps)).answers()
            for above in self._feeding(place)
        }
        texts = {sample.id: sample.input for sample in samples}
        made = fed_inputs(self.keys.takes[name], texts, answers)
        return tuple(replace(one, input=made[one.id]) for one in samples if one.id in made)

    async def played(self, place: int, combo: Combination, steps: Sequence[StepCase]) -> Played:
        """Return what a step does under a combination; steps that do not feed it do not count."""
        parts = sorted({place, *self._above(place)})
        key = (place, tuple(combo[part] for part in parts))
        if key not in self._played:
            table = await self._asked(place, combo, steps)
            if table not in self._readable:
                self._readable[table] = readable(steps[place], self._tables[table])
            self._played[key] = played(steps[place], combo[place], self._readable[table])
        return self._played[key]

    def _feeding(self, place: int) -> tuple[int, ...]:
        takes = self.keys.takes.get(self.tasks[place].name)
        names = [task.name for task in self.tasks]
        return () if takes is None else tuple(names.index(name) for name in feeders(takes))

    def _above(self, place: int) -> set[int]:
        """The steps that a step's input depends on."""
        direct = self._feeding(place)
        return {*direct, *(far for near in direct for far in self._above(near))}
