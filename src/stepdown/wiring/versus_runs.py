"""`eval compare`: two runs as they were named, tier by tier, scored by one scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from stepdown.core.answered import Answered
from stepdown.core.digest import seed_from
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.scorers import scorer_of
from stepdown.evals.versus import Versus, versus
from stepdown.ports.run_store import RunHead
from stepdown.wiring.run_names import NamedRun, named_run
from stepdown.wiring.run_reading import answers, answers_by
from stepdown.wiring.workspace import Workspace


class Compared(Struct, frozen=True, kw_only=True):
    """Two runs, and each pair of tiers that was compared; `notes` say what must be known."""

    a: NamedRun
    b: NamedRun
    pairs: tuple[Versus, ...]
    scorer: str
    notes: tuple[str, ...] = ()


def compare_runs(
    workspace: Workspace, a: str, b: str, *, tier: str | None = None, rescore: bool = False
) -> Compared:
    """Compare two runs by their names; with `rescore` both are scored by the scorer of today.

    Raises:
        DataError: no such run, two tasks, no tier in common, or scorers that differ and cannot be
            applied again.
    """
    first, second = named_run(workspace, a), named_run(workspace, b)
    if first.head.task != second.head.task:
        raise DataError(
            f"{a!r} is a run of {first.head.task!r} and {b!r} of {second.head.task!r}.",
            "Two runs of one task can be compared.",
        )
    pairs = _tiers(first, second, tier)
    reader, scorer, notes = _reader(workspace, first.head, second.head, rescore=rescore)
    seed = seed_from(first.head.samples)
    found = [
        versus(
            first.head.task,
            (_name(first, one), reader(first.head, one)),
            (_name(second, other), reader(second.head, other)),
            seed=seed,
        )
        for one, other in pairs
    ]
    return Compared(
        a=first, b=second, pairs=tuple(found), scorer=scorer, notes=(*notes, *_said(first, second))
    )


Reader = Callable[[RunHead, str], Iterable[Answered]]


def _reader(
    workspace: Workspace, a: RunHead, b: RunHead, *, rescore: bool
) -> tuple[Reader, str, tuple[str, ...]]:
    """Return how answers are read, by which scorer, and what must be said about it."""
    if a.scorer == b.scorer and not rescore:
        return (lambda head, tier: answers(workspace, head, tier)), a.scorer, ()
    task = _task(workspace, a, b)
    if task.judge is not None:
        raise DataError(
            f"The scores of {a.task!r} are a judge's ({a.scorer} and {b.scorer}); answers that are "
            "scored again would have to be judged again.",
            f"Run `stepdown eval {a.task}`: kept answers are judged anew, and compare that run.",
        )
    now = scorer_of(task).id
    both = a.scorer if a.scorer == b.scorer else f"{a.scorer} and {b.scorer}"
    note = f"Scored again by {now} (the runs had {both}); no model was called."
    return (lambda head, tier: answers_by(workspace, head, tier, task)), now, (note,)


def _task(workspace: Workspace, a: RunHead, b: RunHead) -> Task:
    if a.task not in workspace.project.tasks:
        raise DataError(
            f"The runs were scored by {a.scorer} and {b.scorer}, which do not compare.",
            f"Put the task {a.task!r} back into stepdown.toml, so that they can be scored again.",
        )
    return workspace.project.task(a.task)


def _tiers(a: NamedRun, b: NamedRun, only: str | None) -> Sequence[tuple[str, str]]:
    """Return which tier is compared with which: those that were named, else those in common."""
    if a.tier is not None and b.tier is not None:
        return [(a.tier, b.tier)]
    wanted = only or a.tier or b.tier
    shared = [part.tier for part in a.head.parts if b.head.part(part.tier) is not None]
    found = [tier for tier in shared if wanted in (None, tier)]
    if not found:
        mine, theirs = (", ".join(part.tier for part in run.head.parts) for run in (a, b))
        raise DataError(
            f"The runs have no tier {wanted!r} in common." if wanted else
            "The runs have no tier in common.",
            f"One has {mine}; the other {theirs}. Name them: RUN/TIER RUN/TIER.",
        )  # fmt: skip
    return [(tier, tier) for tier in found]


def _name(run: NamedRun, tier: str) -> str:
    return NamedRun(run.head, tier).name


def _said(a: NamedRun, b: NamedRun) -> list[str]:
    found = []
    if a.head.digest == b.head.digest and a.tier == b.tier:
        found.append("Both names mean the same run.")
    if a.head.contract != b.head.contract:
        found.append("The task's contract differs: answers were read out in two ways.")
    for run in (a, b):
        stopped = [part.tier for part in run.head.parts if part.stopped]
        if stopped:
            found.append(
                f"{run.name}: ended early for {', '.join(stopped)}; the rest is not scored."
            )
    return found
