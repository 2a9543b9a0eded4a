"""A project at work: its data, splits, models, prices and files, opened when first needed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stepdown.adapters.storage.ledger import Filled, SpoolLedger, open_ledger
from stepdown.adapters.tables.images import image_url
from stepdown.adapters.tables.rows import read_rows
from stepdown.adapters.tables.run_files import RunFiles
from stepdown.config.project import Project, load_project
from stepdown.config.schema import DataKeys
from stepdown.core.lock import Lock, LockedTier
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.core.tuned_prompt import PromptTerms
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Columns, Row, Sample, digest_of, iter_samples
from stepdown.evals.likeness import likeness
from stepdown.evals.trajectories import steps_of, takes
from stepdown.ports.model import Model
from stepdown.wiring.environment import Environment
from stepdown.wiring.lockfile import explain_no_project, read_lock
from stepdown.wiring.models import EMBEDDING, ModelShop
from stepdown.wiring.prompts import as_locked, tuned
from stepdown.wiring.registry import Registry

if TYPE_CHECKING:
    from stepdown.evals.split import Split

PARTS = ("train", "tune", "certify")
SHADOW_POOL = "shadow"  # in place of a file of unlabelled rows: what shadow runs kept


def columns_of(keys: DataKeys) -> Columns:
    """Return where things stand in the rows of the data."""
    return Columns(
        id=keys.id,
        text=keys.input,
        group=keys.group,
        segment=keys.segment,
        history=keys.history,
        tools=keys.tools,
        images=keys.images,
    )


class Workspace:
    """Everything that the verbs work on, in one place."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self.plain = project  # as stepdown.toml has it, without tuned prompts
        self.project = tuned(project, Registry(project.root / "models"))
        self.prompt_terms = PromptTerms()
        self.environment = environment
        self.lock_path = project.lock_path
        self.fresh: tuple[Path, ...] = ()  # files beside the data; a recording may know them
        self._samples: dict[str, tuple[Sample, ...]] = {}

    @classmethod
    def open(cls, root: Path, environment: Environment | None = None) -> Workspace:
        """Open the project in a folder.

        Raises:
            ConfigError: there is none, or stepdown.toml is wrong.
            LockError: there is none, but the lock of an outcome table, which cannot be served.
        """
        explain_no_project(root)
        project = load_project(root)
        if any(":" in task.scorer for task in project.tasks.values()):
            _importable(project.root)
        return cls(project, environment or Environment.current())

    @cached_property
    def models(self) -> ModelShop:
        """The models of all tiers."""
        return ModelShop(self.project, self.environment, self.inputs)

    def retune(self) -> None:
        """Ask with the prompts that are promoted now."""
        self.project = tuned(self.plain, self.models.registry)

    def pin(self, lock: Lock) -> None:
        """Answer with the artifacts and prompts that a lock was certified with."""
        self.models.pin(lock)
        self.project = as_locked(self.project, self.plain, self.models.registry, lock)

    @cached_property
    def runs(self) -> RunFiles:
        """The kept calls of evals."""
        return RunFiles(self.project.state / "runs")

    @property
    def ledger_path(self) -> Path:
        """Where the ledger is."""
        return self.project.state / "ledger"

    def ledger(self, filled: Filled = "here") -> SpoolLedger:
        """Open the ledger to append to it; begin one where there is none."""
        return SpoolLedger(self.ledger_path, filled=filled)

    def kept_ledger(self) -> SpoolLedger:
        """Open the ledger to read it.

        Raises:
            DataError: there is none; nothing is written.
        """
        return open_ledger(self.ledger_path)

    def lock(self) -> Lock:
        """Read the lock."""
        return read_lock(self.lock_path)

    @cached_property
    def tiers(self) -> Mapping[str, Tier]:
        """The tiers with their prices; a tier without one keeps an unknown price."""
        return {name: self._priced(tier) for name, tier in self.project.tiers.items()}

    def _priced(self, tier: Tier) -> Tier:
        if tier.price != Price() or tier.priced_as is None:
            return tier
        from stepdown.adapters.prices.book import tier_price

        price = tier_price(tier.priced_as, self.project.prices, self.environment.today)
        return msgspec.structs.replace(tier, price=price)

    @staticmethod
    def seconds() -> float:
        """A clock for durations."""
        return time.perf_counter()

    def unpriced(self) -> tuple[str, ...]:
        """Return the tiers whose cost is unknown."""
        return tuple(name for name, tier in self.tiers.items() if tier.price == Price())

    def tasks(self, names: Sequence[str] = ()) -> tuple[Task, ...]:
        """Return the named tasks, all of them when none is named."""
        return tuple(self.project.task(name) for name in names or self.project.tasks)

    def samples(self, task: Task) -> tuple[Sample, ...]:
        """Return the labelled samples of a task.

        Raises:
            ConfigError: no data are configured.
            DataError: a row is not what it should be; names file and line.
        """
        if task.name not in self._samples:
            found = tuple(self.walk(task))
            if not found:
                raise DataError(
                    f"{self._source(task)} holds no samples.",
                    "An eval needs at least one labelled row.",
                )
            self._samples[task.name] = found
        return self._samples[task.name]

    def walk(self, task: Task) -> Iterator[Sample]:
        """Yield the labelled samples of a task one by one, reading them anew.

        Raises:
            ConfigError: no data are configured.
            DataError: a row is not what it should be; names file and line.
        """
        keys = self.project.data
        if keys is None:
            raise ConfigError("stepdown.toml has no [data].", "Name the labelled rows there.")
        rows = self._rows(task)
        if keys.images is not None:
            rows = self._with_images(rows, keys.images)
        yield from iter_samples(task, rows, source=self._source(task), columns=columns_of(keys))

    def _source(self, task: Task) -> str:
        """Return the file that the samples of a task are told to come from."""
        keys = self.project.data
        assert keys is not None
        return self.project.references.get(task.name, keys.path)

    def inputs(self, task: Task) -> Mapping[str, str]:
        """Return query id -> bare input, of every row of the data, labelled or not."""
        keys = self.project.data
        if keys is None:
            return {}
        found = {}
        for _, row in self._joined(task):
            text = row.get(keys.input)
            if isinstance(text, str):
                found[str(row.get(keys.id))] = text
        for row in self._pooled(task):
            found.setdefault(str(row.get(keys.id)), str(row.get(keys.input)))
        return found

    def values_at(self, task: Task, path: str) -> dict[str, Any]:
        """Return query id -> what stands at a dotted path of its row, for rows that have it."""
        keys = self.project.data
        assert keys is not None
        found = {}
        for _, row in self._joined(task):
            value: Any = row
            for step in path.split("."):
                value = value.get(step) if isinstance(value, Mapping) else None
            if value is not None:
                found[str(row.get(keys.id))] = value
        return found

    def _pooled(self, task: Task) -> Iterator[Mapping[str, Any]]:
        """Rows outside the data that a recording may hold answers to, too."""
        keys = self.project.data
        if keys is None or task.name in self.project.inputs:
            return
        unread = (None, SHADOW_POOL)  # a recording cannot hold answers to live texts
        pool = () if keys.pool in unread else (self.project.root / str(keys.pool),)
        for path in (*pool, *self.fresh):
            if path.exists():
                yield from (row for _, row in read_rows(path))

    def _rows(self, task: Task) -> Iterator[Row]:
        """Rows of the data that are samples of the task, with its own references joined in."""
        wanted = self._references(task)
        keys = self.project.data
        assert keys is not None
        for line, row in self._joined(task):
            if wanted is None:
                yield line, row
            elif str(row.get(keys.id)) in wanted:
                yield line, {**row, task.reference: wanted[str(row.get(keys.id))]}

    def _with_images(self, rows: Iterator[Row], column: str) -> Iterator[Row]:
        """Rows whose images are read: a file in the folder of the data becomes a data URL."""
        keys = self.project.data
        assert keys is not None
        data = self.project.root / keys.path
        for line, row in rows:
            named, at = row.get(column), f"{keys.path}, line {line}"
            listed = [named] if isinstance(named, str) else named
            if not isinstance(listed, list):
                yield line, row
                continue
            shown = [image_url(one, data.parent, keys.max_image_mb, at) for one in listed]
            yield line, {**row, column: shown}

    def _references(self, task: Task) -> dict[str, Any] | None:
        name = self.project.references.get(task.name)
        keys = self.project.data
        if name is None or keys is None:
            return None
        found = {}
        for line, row in read_rows(self.project.root / name):
            if keys.id not in row or task.reference not in row:
                raise DataError(
                    f"{name}, line {line}: needs {keys.id!r} and {task.reference!r}.",
                    "Correct the line.",
                )
            found[str(row[keys.id])] = row[task.reference]
        return found

    def _read(self) -> Iterator[Row]:
        """Rows of the file of the data; of trajectories, a row for each step."""
        keys = self.project.data
        assert keys is not None
        rows = read_rows(self.project.root / keys.path)
        if keys.trajectory is None:
            return rows
        return steps_of(rows, source=keys.path, messages=keys.trajectory, row_id=keys.id)

    def _joined(self, task: Task) -> Iterator[Row]:
        """Rows of the data; a task with `inputs` reads its text from another file, joined by id."""
        keys = self.project.data
        assert keys is not None
        rows = self._read()
        if keys.trajectory is not None:
            calls = task.kind == "tool_call"
            rows = ((line, row) for line, row in rows if takes(row, calls=calls))
        source = self.project.inputs.get(task.name)
        if source is None:
            yield from rows
            return
        name, _, field = source.rpartition(":")
        texts = {
            str(row.get(keys.id)): row.get(field) for _, row in read_rows(self.project.root / name)
        }
        for line, row in rows:
            if isinstance(texts.get(str(row.get(keys.id))), str):
                yield line, {**row, keys.input: texts[str(row.get(keys.id))]}

    @cached_property
    def whole_split(self) -> Split:
        """The split of all rows into train, tune and certify, by near-duplicate groups.

        All tasks share it, so that no step is tested on a message that another step of the
        pipeline was trained on.
        """
        from stepdown.evals.split import filled  # numpy, which a gateway does without

        return filled(self.divided)

    @cached_property
    def divided(self) -> Split:
        """The same, as far as the groups reach: who takes all rows needs no part to be filled."""
        keys = self.project.data
        if keys is None:
            raise ConfigError("stepdown.toml has no [data].", "Name the labelled rows there.")
        rows = [
            Sample(
                id=str(row[keys.id]),
                input=likeness(row, keys.input, keys.history, keys.images),
                reference="",
                group=group,
            )
            for _, row in self._read()
            if keys.id in row and keys.input in row
            for group in [None if keys.group is None else str(row.get(keys.group))]
        ]
        if not rows:
            raise DataError(
                f"{keys.path} holds no rows with {keys.id!r} and {keys.input!r}.",
                "An eval needs labelled rows; see [data] in stepdown.toml.",
            )
        from stepdown.evals.split import divide

        return divide(rows, keys.shares, by_group=keys.group is not None)

    def part(self, task: Task, part: str) -> tuple[Sample, ...]:
        """Return the task's samples of one part, each with the group that the split gave it."""
        return self._inside(task, self.whole_split, part)

    def whole(self, task: Task) -> tuple[Sample, ...]:
        """Return the task's samples of all parts, grouped as in the split."""
        return tuple(s for part in PARTS for s in self._inside(task, self.divided, part))

    def _inside(self, task: Task, found: Split, part: str) -> tuple[Sample, ...]:
        inside = {sample.id for sample in found.parts[part]}
        mine = [sample for sample in self.samples(task) if sample.id in inside]
        from stepdown.evals.split import regrouped

        return regrouped(mine, found.groups)

    def split_digests(self, task: Task) -> dict[str, str]:
        """Return the digest of each part of a task's samples, as the lock holds them."""
        return {part: digest_of(self.part(task, part)) for part in PARTS}

    def model(self, task: Task, tier: str) -> Model:
        """Return the model of a task's tier."""
        return self.models.model(task, tier)

    def locked_tiers(self, task: Task) -> dict[str, LockedTier]:
        """Return what the lock says of each tier of a task, with digests taken now."""
        return {name: self._locked_tier(task, name) for name in task.tiers}

    def tier_digest(self, task: Task, name: str) -> str:
        """Return the digest of what answers a task at a tier; encoders answer embed tasks alone."""
        embeds = task.kind == "embed" and self.tiers[name].adapter in EMBEDDING
        return (self.models.embedder(name) if embeds else self.model(task, name)).digest

    def _locked_tier(self, task: Task, name: str) -> LockedTier:
        tier = self.tiers[name]
        return LockedTier(
            model=tier.model,
            digest=self.tier_digest(task, name),
            place=tier.place,
            price_basis=tier.price.basis,
            price_source=tier.price.source,
            recorded=tier.recorded,
        )

    async def aclose(self) -> None:
        """Let go of models and files."""
        await self.models.aclose()
        self.runs.close()


def _importable(folder: Path) -> None:
    """Let the user's own scorers be imported from beside stepdown.toml, after everything else."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
