"""`report`: before and after, from the ledger: what was really answered, paid and scored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stepdown.adapters.tables.atomic import replacing
from stepdown.config.project import Project
from stepdown.core.beside import Feedback
from stepdown.core.digest import digest, seed_from
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.task import Task
from stepdown.core.trace import Trace
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import scorer_of
from stepdown.stats.intervals import mean_interval, proportion_interval, quantile
from stepdown.wiring.evaluating import recorded_notes
from stepdown.wiring.unmatched import unmatched_section
from stepdown.wiring.workspace import Workspace


def save_certified(project: Project, document: Document) -> None:
    """Keep the report of the last certification, for the plots of `report`."""
    project.state.mkdir(parents=True, exist_ok=True)
    with replacing(project.state / "certified.json") as path:
        path.write_bytes(msgspec.json.encode(document))


def certified_sections(project: Project) -> tuple[Section, ...]:
    """Return the sections of the last certification, none when there was none."""
    path = project.state / "certified.json"
    if not path.exists():
        return ()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Document).sections
    except (OSError, msgspec.MsgspecError):
        return ()


def report(
    workspace: Workspace, traces: Iterable[Trace], feedback: Iterable[Feedback] = ()
) -> Document:
    """Return the before/after report of the traces in the ledger.

    A label in `feedback` scores the answer of its request, where that was kept.

    Raises:
        DataError: the ledger holds no trace.
    """
    by_task: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_task[trace.task].append(trace)
    if not by_task:
        raise DataError("The ledger is empty.", "Send requests to `stepdown serve` first.")
    steps = [name for name in workspace.project.tasks if name in by_task]
    said = _by_task(feedback)
    figures = [
        _Step(workspace, name, workspace.project.task(name), by_task[name], said[name])
        for name in steps
    ]
    others = [name for name in by_task if name not in workspace.project.tasks]
    figures += [_Step(workspace, name, None, by_task[name], said[name]) for name in sorted(others)]
    first = Section("Before and after", _blocks(workspace, figures))
    return Document(
        title=f"Stepdown: {workspace.project.name}",
        subtitle=f"{sum(len(rows) for rows in by_task.values())} requests, from the ledger",
        facts=_facts(figures),
        sections=(
            first,
            *unmatched_section(trace for rows in by_task.values() for trace in rows),
            *certified_sections(workspace.project),
        ),
        footer="Unknown is shown as unknown and counted, never as zero.",
    )


class _Step:
    """The figures of one step; of a name that is no task (a mapped one) nothing can be scored."""

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        task: Task | None,
        traces: Sequence[Trace],
        said: Sequence[Feedback],
    ) -> None:
        self.name = name
        self.task = task
        self.traces = traces
        self.n = len(traces)
        self.messages = len({trace.message_id or trace.id for trace in traces})
        self.before = _sum([trace.baseline_usd for trace in traces])
        self.after = _sum([trace.cost_usd for trace in traces])
        self.answered = Counter(trace.answered_by or "nobody" for trace in traces)
        self.states = Counter(trace.guarantee for trace in traces)
        self.outside = Counter(t.outside_guarantee for t in traces if t.outside_guarantee)
        self.told = [one.score for one in said if one.score is not None]
        self.scores: list[float] = []
        if task is not None:
            labelled = {sample.id: sample for sample in _labelled(workspace, task)}
            self.scores = _scores(task, traces, labelled, said)

    @property
    def latency(self) -> list[float]:
        """Latencies of answers of which no part was a recording: replaying one takes no time."""
        return [t.latency_s for t in self.traces if not any(a.recorded for a in t.attempts)]

    @property
    def saved(self) -> float | None:
        """Share of the baseline's cost that was saved."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return 1 - self.after / self.before


def _labelled(workspace: Workspace, task: Task) -> Sequence[Sample]:
    return workspace.samples(task) if workspace.project.data is not None else ()


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _by_task(feedback: Iterable[Feedback]) -> Mapping[str, list[Feedback]]:
    found: dict[str, list[Feedback]] = defaultdict(list)
    for one in feedback:
        found[one.task].append(one)
    return found


def _scores(
    task: Task,
    traces: Sequence[Trace],
    samples: Mapping[str, Sample],
    said: Sequence[Feedback],
) -> list[float]:
    """Scores of the answers that were kept and whose message is labelled; a judge is not asked.

    The data's label comes before one of the feedback; of two of these the last one holds.
    """
    if task.judge is not None:
        return []
    told = {
        one.trace_id: Sample(id=one.trace_id, input="", reference=one.label)
        for one in said
        if one.label is not None and task.labels
    }
    scorer = scorer_of(task)
    found = []
    for trace in traces:
        sample = samples.get(trace.message_id or "") or told.get(trace.id)
        if sample is not None and trace.answer is not None:
            found.append(scorer.score(task, sample, trace.answer).value)
    return found


def _blocks(workspace: Workspace, figures: Sequence[_Step]) -> tuple[Table | Prose, ...]:
    baseline = workspace.project.baseline or "today"
    columns = (
        Column("step"),
        Column(f"{baseline}, $/message", numeric=True),
        Column("now, $/message", numeric=True),
        Column("saved", numeric=True),
        Column("score", numeric=True),
        Column("p50 latency", numeric=True, optional=True),
        Column("guarantee", optional=True),
    )
    table = Table(
        title="Before and after, per step",
        columns=columns,
        rows=tuple(map(_row, figures)),
        total=_total(figures),
        notes=_notes(workspace, figures),
    )
    kept = Table(
        title="Who answered",
        columns=(
            Column("step"),
            Column("requests", numeric=True),
            Column("answered by"),
            Column("outside the guarantee", optional=True),
        ),
        rows=tuple(map(_kept_row, figures)),
    )
    return (table, kept)


def _row(step: _Step) -> tuple[Cell, ...]:
    return (
        step.name,
        _per_message(step.before, step),
        _per_message(step.after, step),
        Claim(step.saved, "share"),
        _score(step),
        Claim(quantile(step.latency, 0.5) if step.latency else None, "s", n=len(step.latency)),
        ", ".join(step.states),
    )


def _per_message(usd: float | None, step: _Step) -> Claim:
    return Claim(None if usd is None else usd / step.messages, "usd")


def _score(step: _Step) -> Claim | None:
    if step.task is None or not step.scores:
        return None
    seed = seed_from(digest(step.scores))
    binary = set(step.scores) <= {0.0, 1.0} and bool(step.task.labels)
    found = (proportion_interval if binary else mean_interval)(step.scores, seed=seed)
    mean = sum(step.scores) / len(step.scores)
    return Claim(mean, "score", found.low, found.high, 0.95, len(step.scores), "labelled messages")


def _priced(figures: Sequence[_Step]) -> list[_Step]:
    """Return the steps of a message whose costs are known."""
    return [step for step in _steps(figures) if None not in (step.before, step.after)]


def _steps(figures: Sequence[_Step]) -> list[_Step]:
    return [step for step in figures if step.task is not None]


def _total(figures: Sequence[_Step]) -> tuple[Cell, ...] | None:
    priced = _priced(figures)
    if not priced:
        return None
    before = sum((step.before or 0.0) / step.messages for step in priced)
    after = sum((step.after or 0.0) / step.messages for step in priced)
    saved = 1 - after / before if before else None
    name = (
        "a message"
        if len(priced) == len(_steps(figures))
        else f"a message, {len(priced)} priced steps"
    )
    return (
        name,
        Claim(before, "usd"),
        Claim(after, "usd"),
        Claim(saved, "share"),
        None,
        None,
        None,
    )


def _notes(workspace: Workspace, figures: Sequence[_Step]) -> tuple[str, ...]:
    baseline = workspace.project.baseline
    how = "where it was called, what that call cost; elsewhere the mean of its calls on the"
    notes = [
        f"Saved against {baseline}: {how} certify rows, from the lock.",
        "p50 latency: only answers in which no recording took part.",
    ]
    unpriced = [step.name for step in _steps(figures) if step not in _priced(figures)]
    if unpriced:
        notes.append(f"Not in the total, because a cost is unknown: {', '.join(unpriced)}.")
    notes += [
        f"{step.name}: people scored {len(step.told)} answers, on average "
        f"{sum(step.told) / len(step.told):.2f} (feedback; not in the score above)."
        for step in figures
        if step.told
    ]
    if others := [step.name for step in figures if step.task is None]:
        notes.append(
            f"No task of stepdown.toml, so neither scored nor in the total: {', '.join(others)}."
        )
    tasks = [step.task for step in figures if step.task is not None]
    used = dict.fromkeys(tier for task in tasks for tier in task.tiers)
    notes += recorded_notes(workspace, used)
    return tuple(notes)


def _kept_row(step: _Step) -> tuple[Cell, ...]:
    shares = ", ".join(f"{tier} {n / step.n:.1%}" for tier, n in step.answered.most_common())
    outside = ", ".join(f"{why} {n}" for why, n in step.outside.most_common())
    return (step.name, Claim(step.n, "count"), shares, outside or None)


def _facts(figures: Sequence[_Step]) -> tuple[tuple[str, str], ...]:
    priced = _priced(figures)
    before = sum((step.before or 0.0) / step.messages for step in priced)
    after = sum((step.after or 0.0) / step.messages for step in priced)
    if not before:
        return ()
    saved = min(1 - after / before, 0.999)  # not everything, as long as anything was paid
    return (("saved a message", f"{saved:.1%}"),)
