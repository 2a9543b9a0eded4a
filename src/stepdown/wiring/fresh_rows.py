"""Fresh rows of a task: what came after its last test, neither tested nor trained on before.

Three sources: files of labelled rows (`--fresh`), texts that shadow runs kept, and the random
sample of traffic that audits kept. Rows that nobody labelled count at worst, except where feedback
or `stepdown label` says which answers are right. Feedback on other requests is no random sample,
and tests nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from stepdown.adapters.tables.rows import read_rows
from stepdown.core.answers import answer_key
from stepdown.core.beside import Feedback, Shadow
from stepdown.core.digest import digest
from stepdown.core.judgement import Verdicts, judged
from stepdown.core.outcome import Outcome
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample, digest_of, samples_of
from stepdown.evals.split import group_samples, regrouped
from stepdown.wiring.buying import further
from stepdown.wiring.certifying import able, outcomes_of, unhelped
from stepdown.wiring.evaluating import Watch, run_one
from stepdown.wiring.pool import PREFIX, settled
from stepdown.wiring.trained_on import trained_on
from stepdown.wiring.workspace import Workspace, columns_of

SOURCES = {"policy": "shadow runs", "ceiling": "audits"}  # by whose answer was tried


class FreshRows(Struct, frozen=True, kw_only=True):
    """Fresh rows: `labelled` samples with a reference, `plain` ones without, each in its group.

    `sources` counts them by where they came from; `left_out` resemble rows that chose or trained;
    `feedback` holds what people say is right, by sample; `since` is the day after which a row of
    traffic is fresh.
    """

    labelled: tuple[Sample, ...] = ()
    plain: tuple[Sample, ...] = ()
    sources: Mapping[str, int] = {}
    left_out: int = 0
    feedback: Mapping[str, str] = {}
    contradictory: tuple[str, ...] = ()
    since: str = ""

    @property
    def n(self) -> int:
        """All fresh rows."""
        return len(self.labelled) + len(self.plain)


class Answered(Struct, frozen=True, kw_only=True):
    """The outcomes of fresh rows; `judged` of those without a reference have a person's word."""

    outcomes: tuple[Outcome, ...]
    judged: int
    disputed: int
    data: Mapping[str, str]


def fresh_rows(workspace: Workspace, task: Task, files: Sequence[Path], *, since: str) -> FreshRows:
    """Return the fresh rows of a task.

    Raises:
        ConfigError: the task reads its input elsewhere, so a file of rows cannot feed it.
        DataError: a file cannot be read, or a row in it is not what it should be.
    """
    named = tuple(s for path in files for s in _labelled(workspace, task, path))
    _refuse_twice(task, named)
    drawn = [] if unhelped(task) else list(_drawn(workspace, task, since))
    traffic = [sample for _, sample in drawn]
    apart = _apart(workspace, task, [*named, *traffic])
    kept = {sample.id: sample for sample in apart}
    said = _feedback(workspace, task, traffic)
    sources = {str(path.name): len(named) for path in files[:1] if named}
    for ran, name in SOURCES.items():
        if n := sum(one == ran for one, _ in drawn):
            sources[name] = n
    return FreshRows(
        labelled=tuple(kept[s.id] for s in named if s.id in kept),
        plain=tuple(kept[s.id] for s in traffic if s.id in kept),
        sources=sources,
        left_out=len(named) + len(traffic) - len(kept),
        feedback=said.right,
        contradictory=said.contradictory,
        since=since,
    )


def _labelled(workspace: Workspace, task: Task, path: Path) -> tuple[Sample, ...]:
    keys = workspace.project.data
    if keys is None or task.name in workspace.project.inputs:
        raise ConfigError(
            f"The task {task.name!r} reads its input from a file of its own; fresh rows cannot "
            "feed it.",
            "Add them to its files, and run `stepdown certify`.",
        )
    if not path.exists():
        raise DataError(f"{path} does not exist.", "Name a file of labelled rows.")
    return samples_of(task, read_rows(path), source=path.name, columns=columns_of(keys))


def _refuse_twice(task: Task, samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(
                f"The fresh rows of {task.name!r} hold the id {sample.id!r} twice.",
                "Every row needs an id of its own.",
            )
        seen.add(sample.id)


def _drawn(workspace: Workspace, task: Task, since: str) -> Iterator[tuple[str, Sample]]:
    """Yield what shadow runs and audits kept after a day, each a random share of what was asked.

    An audit that was drawn and not made (no money, ceiling down) is a row all the same: only the
    draw makes the sample random. Each request counts once.
    """
    seen: set[str] = set()
    with suppress(DataError), workspace.kept_ledger() as ledger:
        for one in ledger.records(Shadow, task=task.name):
            text = one.input or ""
            if text.strip() and one.at[:10] > since and one.trace_id not in seen:
                seen.add(one.trace_id)
                query = f"{PREFIX}{one.trace_id}"
                yield one.ran, Sample(id=query, input=text, reference=None, group=one.session)


def _apart(workspace: Workspace, task: Task, fresh: Sequence[Sample]) -> tuple[Sample, ...]:
    """Leave out rows that resemble a row which trained or chose, and group the rest."""
    keys = workspace.project.data
    if keys is None or not fresh:
        return tuple(fresh)
    by_group = keys.group is not None
    parts = workspace.whole_split.parts
    old = [sample for part in parts.values() for sample in part]
    old += trained_on(workspace, task)
    taken = {sample.id for sample in old}
    new = [sample for sample in fresh if sample.id not in taken]
    near = group_samples([*old, *new], by_group=by_group)
    spent = {near[sample.id] for sample in old}
    kept = [sample for sample in new if near[sample.id] not in spent]
    return regrouped(kept, group_samples(kept, by_group=by_group)) if kept else ()


class _Said(Struct, frozen=True):
    """Sample id -> the label that people say is right; and samples on which they differ."""

    right: Mapping[str, str]
    contradictory: tuple[str, ...]


def _feedback(workspace: Workspace, task: Task, traffic: Sequence[Sample]) -> _Said:
    """Read labels of feedback on fresh rows: a person's last word holds, two that differ none."""
    wanted = {sample.id.removeprefix(PREFIX): sample.id for sample in traffic}
    words: dict[str, dict[str, str]] = {}
    with suppress(DataError), workspace.kept_ledger() as ledger:
        for one in ledger.records(Feedback, task=task.name):
            if one.trace_id in wanted and one.label is not None:
                words.setdefault(wanted[one.trace_id], {})[one.by] = one.label
    keys = {query: {answer_key(label) for label in said.values()} for query, said in words.items()}
    differing = tuple(query for query, found in keys.items() if len(found) > 1)
    agreed = {q: next(iter(said.values())) for q, said in words.items() if q not in differing}
    return _Said(agreed, differing)


async def answered(
    workspace: Workspace, task: Task, fresh: FreshRows, watch: Watch | None = None
) -> Answered:
    """Ask every tier about the fresh rows; kept calls are not asked again."""
    found: list[Outcome] = []
    if fresh.labelled:
        found += await outcomes_of(workspace, task, fresh.labelled, watch)
    if not fresh.plain:
        return Answered(
            outcomes=tuple(found), judged=0, disputed=0, data=_digests(fresh, Verdicts())
        )
    told: list[Outcome] = []
    for tier in able(workspace, task):
        told += (await run_one(workspace, task, tier, fresh.plain, watch)).outcomes
    told += await further(workspace, task, fresh.plain, told, watch)
    said = settled(workspace, task)
    verdicts = {**_verdicts(told, fresh.feedback), **said.verdicts}
    queries = {sample.id for sample in fresh.plain}
    known = {query: verdict for query, verdict in verdicts.items() if query in queries}
    return Answered(
        outcomes=(*found, *judged(told, task.ceiling, known)),
        judged=len(known),
        disputed=len(queries & {*said.disputed, *fresh.contradictory}),
        data=_digests(fresh, known),
    )


def _verdicts(outcomes: Iterable[Outcome], feedback: Mapping[str, str]) -> Verdicts:
    """Return which answers are right where somebody named the right one."""
    found: Verdicts = {}
    for one in outcomes:
        label = feedback.get(one.query_id)
        if label is not None and one.answer is not None and not one.failure:
            key = answer_key(one.answer)
            found.setdefault(one.query_id, {})[key] = key == answer_key(label)
    return found


def _digests(fresh: FreshRows, verdicts: Verdicts) -> dict[str, str]:
    made = {}
    if fresh.labelled:
        made["fresh"] = digest_of(fresh.labelled)
    if fresh.plain:
        made["traffic"] = digest_of(fresh.plain)
        made["labels"] = digest(sorted(verdicts.items()))
    return made


def unsaid(fresh: FreshRows, found: Answered) -> str | None:
    """Say what it means that nobody judged some rows; None where every row has a label."""
    silent = len(fresh.plain) - found.judged
    if not silent:
        return None
    disputed = f", {found.disputed} of them disputed" if found.disputed else ""
    return (
        f"{silent} of {fresh.n} fresh rows are not judged{disputed}: there the ceiling counts as "
        "right and every other answer as wrong. The bound on the loss holds; `stepdown label` "
        "asks only about the rows that decide."
    )
