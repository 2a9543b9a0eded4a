"""An import as a user asks for it: paths or frames, a task of the project or none, in plain words.

The command line and `stepdown.import_eval_set` both come through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from stepdown.adapters.tables.rows import read_rows
from stepdown.config.project import FILE
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.evals.candidates import LogAsked, said_in, taken
from stepdown.evals.choosing import Asked, Duplicates
from stepdown.evals.dataset import Columns, Sample
from stepdown.evals.import_card import ReferenceIs
from stepdown.evals.twins import NEAR_MOST
from stepdown.wiring.auditing import files_of
from stepdown.wiring.import_sources import (
    Form,
    LogSource,
    Source,
    Watch,
    check_ending,
    frame_source,
    log_reader,
    step_asked,
    steps_in,
    table_source,
)
from stepdown.wiring.importing import By, Imported, Plan, import_set
from stepdown.wiring.training_set import gather
from stepdown.wiring.workspace import Workspace, columns_of


class Wishes(Struct, frozen=True, kw_only=True):
    """What an import is asked for; `columns` maps input, reference, id... to a table's own."""

    to: Path | None = None
    form: Form = "auto"
    step: str | None = None
    model: str | None = None
    columns: Mapping[str, str | None] = {}
    keep: tuple[str, ...] = ()
    encoding: str = "utf-8"
    sample: int | None = None
    by: By | Literal["none"] | None = None
    duplicates: Duplicates = "drop"
    against: tuple[Path, ...] = ()
    allow_leaks: bool = False
    reference_is: ReferenceIs | None = None
    overwrite: bool = False
    near_most: int = NEAR_MOST


def run_import(
    sources: Sequence[Any],
    wishes: Wishes,
    *,
    workspace: Workspace | None,
    task: Task | None,
    today: Any,
    watch: Watch | None = None,
) -> Imported:
    """Build an eval set; `sources` are paths, folders, globs or frames.

    Raises:
        ConfigError: a log without a task, a step or stratum that is not there.
        DataError: see `importing.import_set`.
    """
    from msgspec.structs import replace

    plan = _plan(sources, wishes, workspace, task)
    _check_by(plan, wishes)
    opened = [one for said in sources for one in _opened(said, wishes, plan)]
    training = _Training(workspace, task, wishes, plan.to)
    plan = replace(plan, unknown_training=training.unknown())
    found = import_set(opened, plan, today=today, training=training.rows(), watch=watch)
    return replace(found, warnings=tuple(_warnings(found, task)))


def _plan(
    sources: Sequence[Any], wishes: Wishes, workspace: Workspace | None, task: Task | None
) -> Plan:
    keys = None if workspace is None else workspace.project.data
    columns = Columns() if keys is None else columns_of(keys)
    by = wishes.by
    if by is None and wishes.sample is not None and (task is None or task.labels):
        by = "label"
    return Plan(
        task=task,
        to=wishes.to or _target(sources, workspace, task),
        columns=columns,
        reference=task.reference if task is not None else "reference",
        asked=Asked(
            sample=wishes.sample,
            duplicates=wishes.duplicates,
            allow_leaks=wishes.allow_leaks,
            structured=task is None or bool(task.labels or task.structured or task.tools),
            near_most=wishes.near_most,
        ),
        by=None if by == "none" else by,
        reference_is=wishes.reference_is,
        overwrite=wishes.overwrite,
    )


def _target(sources: Sequence[Any], workspace: Workspace | None, task: Task | None) -> Path:
    root = Path() if workspace is None else workspace.project.root
    first = sources[0] if sources else ""
    stem = Path(first).name.partition(".")[0] if isinstance(first, str | Path) else "frame"
    return root / "evals" / f"{task.name if task is not None else stem or 'set'}.jsonl"


def _check_by(plan: Plan, wishes: Wishes) -> None:
    if plan.by == "segment" and not wishes.columns.get("segment"):
        raise ConfigError(
            "Strata by segment need to know where the segment stands.", "Add --segment COLUMN."
        )


def _opened(said: Any, wishes: Wishes, plan: Plan) -> Iterator[Source]:
    task, data = plan.task, plan.columns
    if not isinstance(said, str | Path):
        yield frame_source(said, wishes.columns, task, keep=wishes.keep, data=data)
        return
    for path in files_of([str(said)]):
        reader = log_reader(path, wishes.form)
        if reader is None:
            check_ending(path)
            yield table_source(
                path,
                wishes.columns,
                task,
                encoding=wishes.encoding,
                keep=wishes.keep,
                data=data,
            )
        else:
            yield _log(path, reader, wishes, task)


def _log(path: Path, reader: Any, wishes: Wishes, task: Task | None) -> Source:
    if task is None:
        raise ConfigError(
            f"{path} is a usage log ({reader.name}): a task must say which calls are its own.",
            "Add --task TASK (of stepdown.toml), or read it as a table: --as table.",
        )
    step = step_asked(task, wishes.step, steps_in(path, reader))
    return LogSource(path, reader, LogAsked(task=task, step=step, model=wishes.model))


class _Training:
    """The rows that experts were trained on, as far as they are known."""

    def __init__(
        self, workspace: Workspace | None, task: Task | None, wishes: Wishes, to: Path
    ) -> None:
        self._workspace, self._task, self._wishes, self._to = workspace, task, wishes, to

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield (where it stands, text): the train rows of [data], then the files named."""
        keys = self._keys()
        if keys is not None and self._workspace is not None:
            for sample in self._trained(keys):
                yield f"{keys.path} (train), id {sample.id}", said_in(sample)
        for path in self._wishes.against:
            yield from self._named(path)

    def _trained(self, keys: Any) -> Sequence[Sample]:
        """Return the train rows; with their history where the rows have one."""
        assert self._workspace is not None
        if keys.history is not None and self._task is not None:
            return self._workspace.part(self._task, "train")
        return self._workspace.whole_split.parts["train"]

    def _named(self, path: Path) -> Iterator[tuple[str, str]]:
        column = self._wishes.columns.get("input")
        usual = (column, "text", "input", "prompt", "question", "message")
        for line, row in read_rows(path):
            text = next((taken(row, name) for name in usual if name and taken(row, name)), None)
            if not isinstance(text, str):
                raise DataError(
                    f"{path}, line {line}: no text in any of {', '.join(n for n in usual if n)}.",
                    "Name the column with --input.",
                )
            yield f"{path}, line {line}", text

    def unknown(self) -> tuple[str, ...]:
        """Return the experts of the task whose training rows are not the train rows of today."""
        if self._workspace is None or self._task is None:
            return ()
        artifacts = self._workspace.models.registry.all()
        mine = [a for a in artifacts if (a.task, a.state) == (self._task.name, "promoted")]
        if not mine:
            return ()
        known = self._train_digest()
        return tuple(a.tier for a in mine if a.data_digest != known)

    def _train_digest(self) -> str | None:
        if self._keys() is None or self._workspace is None or self._task is None:
            return None
        try:
            return gather(self._workspace, self._task).data.digest
        except DataError:  # rows that cannot be samples of the task trained nothing
            return None

    def _keys(self) -> Any:
        """Return the keys of [data], None where there are no such rows or they are replaced."""
        project = None if self._workspace is None else self._workspace.project
        if project is None or project.data is None:
            return None
        path = project.root / project.data.path
        return project.data if path.exists() and path.resolve() != self._to.resolve() else None


def _warnings(found: Imported, task: Task | None) -> Iterator[str]:
    card = found.card
    if card.reference_is == "ceiling" and task is not None and task.reference_is != "ceiling":
        yield (
            f'the references are logged answers: write `reference_is = "ceiling"` under '
            f"[tasks.{task.name}], so that nobody takes them for the truth."
        )
    if len(card.reference_models) > 1:
        names = ", ".join(f"{name} ({n:,})" for name, n in card.reference_models.items())
        yield f"{len(card.reference_models)} models answered: {names}. Choose one with --model."
    if card.compared.unknown_training:
        yield (
            f"trained on rows that are not here, so not checked for leaks: "
            f"{', '.join(card.compared.unknown_training)}. Name the rows with --against."
        )
    if card.compared.near_among == 0 and card.compared.mode == "drop":
        yield (
            "too many rows to search for near-duplicates; equal texts were found. With --sample N "
            "the sample is searched."
        )


def open_if_any(root: Path) -> Workspace | None:
    """Return the project in a folder, None where there is none."""
    return Workspace.open(root) if (root / FILE).exists() else None


def import_eval_set(
    *sources: Any,
    to: str | Path | None = None,
    task: str | Task | None = None,
    project: str | Path | None = None,
    **wishes: Any,
) -> Imported:
    """Build an eval set from files or data frames, write it with its card, and return both.

    `sources` are paths or frames (pandas, polars, pyarrow, a list of objects). `task` is a task's
    name in `project`, or a Task with its contract. Further wishes are the fields of `Wishes`, such
    as `columns={"input": "question", "reference": "intent"}`, `sample=500`.

    Raises:
        DataError, ConfigError: says what is wrong, where, and what to do.
    """
    from stepdown.wiring.environment import Environment

    environment = Environment.current()
    workspace = None if project is None else Workspace.open(Path(project), environment)
    if isinstance(task, str):
        if workspace is None:
            raise ConfigError(f"The task {task!r} stands in a project.", "Name it: project=FOLDER.")
        task = workspace.project.task(task)
    asked = Wishes(to=None if to is None else Path(to), **wishes)
    return run_import(sources, asked, workspace=workspace, task=task, today=environment.today)
