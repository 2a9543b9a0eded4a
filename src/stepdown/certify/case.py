"""The case of one task: which rows count, what its signals are, how much delta it may spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, structs

from stepdown.certify import checks, stating
from stepdown.certify.calibration import Pilot, pilot, with_confidence
from stepdown.certify.evidence import Evidence, Terms
from stepdown.certify.looks import rows_digest
from stepdown.certify.promises import Measure, measures
from stepdown.certify.search import strength
from stepdown.certify.tested import Rows, rows_of
from stepdown.core.confidence import Calibrator
from stepdown.core.digest import seed_from
from stepdown.core.policy import pair_in
from stepdown.core.replay_array import UNKNOWN, Panel
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.stats.arrays import is_binary

FEWEST = 10  # tune rows, and certify rows


class Case(Struct, frozen=True, kw_only=True):
    """One task with everything that its certification rests on."""

    task: Task
    evidence: Evidence
    terms: Terms
    tune: Panel
    rows: Rows
    maps: Mapping[str, Calibrator]
    order: tuple[str, ...]
    reference: str
    binary: bool
    delta: float
    said: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def bought(self) -> dict[str, str]:
        """Signal that can be bought -> the tier whose answer it is about."""
        return {name: one.about for name, one in self.task.signals.items()}

    @property
    def table(self) -> Panel:
        """The certify rows."""
        return self.rows.table

    def measures(self) -> tuple[Measure, ...]:
        """Return the promises on the certify rows."""
        return measures(self.task, self.table, self.reference, binary=self.binary)

    def tune_measures(self, sample: Panel | None = None) -> tuple[Measure, ...]:
        """Return the promises on the tune rows, or on a sample of them."""
        rows = self.tune if sample is None else sample
        return measures(self.task, rows, self.reference, binary=self.binary, tune=True)

    def tune_sample(self, most: int) -> Panel:
        """Return the tune rows, or `most` of them drawn by the seed of the data."""
        if self.tune.n <= most:
            return self.tune
        rng = np.random.default_rng(seed_from(rows_digest(self.tune.query_ids)))
        return self.tune.take(np.sort(rng.choice(self.tune.n, most, replace=False)))


class Given(Struct, frozen=True):
    """The rows as they came, checked, and those of them that can be used."""

    tune: Panel
    certify: Panel
    dropped: int
    reference: str
    answered: bool


def given(task: Task, evidence: Evidence, *, apart: bool = True) -> Given:
    """Check the rows, and keep those that the promise can be measured on.

    `answered`: the ceiling answered some certify row. Without, all rows are kept. `apart=False`
    lets the tune rows stand in for certify rows in a plan, which tests nothing.

    Raises:
        DataError: rows that no promise could be tested on.
    """
    whole = checks.checked(evidence.certify, "certify")
    tuned = isinstance(evidence.tune, Panel) or len(evidence.tune) > 0
    tune = checks.checked(evidence.tune, "tune") if tuned else whole.take(np.arange(0))
    reference = _reference(task, evidence, tune, whole)
    if reference == "ceiling":
        tune, whole = scored_by_agreement(task, tune), scored_by_agreement(task, whole)
    table, dropped = _usable(task, whole, reference)
    if not table.n or not _ceiling_answers(task, whole):
        return Given(tune, whole, whole.n, reference, answered=False)
    tune, _ = _usable(task, tune, reference)
    if apart:
        checks.refuse_shared(tune, table)
    checks.refuse_unknown_amounts(task, (tune, table))
    return Given(tune, table, dropped, reference, answered=True)


def _reference(task: Task, evidence: Evidence, tune: Panel, table: Panel) -> str:
    """A ceiling that is right on every row is its own reference, unless a promise was written."""
    if not task.promise.mains and checks.perfect(task, tune, table):
        return "ceiling"
    return evidence.reference


def scored_by_agreement(task: Task, table: Panel) -> Panel:
    """Score what nobody scored by whether it equals the reference, the ceiling's answer."""
    own = table.answers.get(task.ceiling)
    if own is None:
        return table
    score = dict(table.score)
    for tier, codes in table.answers.items():
        known = (codes != UNKNOWN) & (own != UNKNOWN) & np.isnan(table.score[tier])
        score[tier] = np.where(known, (codes == own).astype(float), table.score[tier])
    return structs.replace(table, score=score)


def _usable(task: Task, table: Panel, reference: str) -> tuple[Panel, int]:
    """Keep the rows on which the ceiling has what the promise needs of it, and count the others.

    Promises about kept answers need no score of the ceiling, the others do.
    """
    ceiling = task.ceiling
    if ceiling not in table.score:
        return table, 0
    known = table.available[ceiling]
    if task.promise.main(reference) in ("max_loss", "floor"):
        known = known & ~np.isnan(table.score[ceiling])
    dropped = int((~known).sum())
    return (table.take(np.flatnonzero(known)), dropped) if dropped else (table, 0)


def _ceiling_answers(task: Task, table: Panel) -> bool:
    return task.ceiling in table.score and bool(table.available[task.ceiling].any())


def _refuse_few(task: Task, tune: Panel, table: Panel) -> None:
    if min(tune.n, table.n) < FEWEST:
        raise DataError(
            f"The task {task.name!r} has {tune.n} tune and {table.n} certify rows with an "
            f"answer of the ceiling; at least {FEWEST} of each are needed.",
            "Label more rows, or change data.shares.",
        )


def case_of(task: Task, evidence: Evidence, terms: Terms, rows: Given) -> Case:
    """Return the case.

    Raises:
        DataError: too few rows.
    """
    tune, table, reference = rows.tune, rows.certify, rows.reference
    _refuse_few(task, tune, table)
    pilots = _pilots(task, tune)
    maps = {tier: one.chosen for tier, one in pilots.items() if one.chosen is not None}
    tune, table = with_confidence(tune, maps), with_confidence(table, maps)
    delta, said = stating.share_of_delta(task, terms)
    seed = seed_from(rows_digest(table.query_ids))
    return Case(
        task=task,
        evidence=structs.replace(evidence, reference=reference),
        terms=terms,
        tune=tune,
        rows=rows_of(table, seed, clustered=evidence.clustered),
        maps=maps,
        order=strength(tune, task.tiers, task.ceiling),
        reference=reference,
        binary=binary_scores(task, evidence, (tune, table)),
        delta=delta,
        said=said,
        warnings=(
            *_left_out(rows.dropped, table),
            *checks.warnings(task, tune, table, reference),
            *_notes(pilots),
        ),
        dropped=rows.dropped,
    )


def _left_out(dropped: int, table: Panel) -> tuple[str, ...]:
    if not dropped:
        return ()
    total = table.n + dropped
    return (f"{dropped} of {total} certify rows are left out: the ceiling has no score for them.",)


def _pilots(task: Task, tune: Panel) -> dict[str, Pilot]:
    lower = [tier for tier in task.tiers if tier != task.ceiling and tier in tune.score]
    return {tier: pilot(tune, tier, task.kind, task.signals) for tier in lower}


def _notes(pilots: Mapping[str, Pilot]) -> tuple[str, ...]:
    """Say what is odd of the signals that are used, and of those that were paid for."""
    return tuple(
        f"{tier}: {ranked.signal} {ranked.note}."
        for tier, one in pilots.items()
        for ranked in (*one.ranked, *one.others)
        if ranked.note and _matters(one, ranked.signal)
    )


def _matters(one: Pilot, signal: str) -> bool:
    chosen = one.chosen is not None and one.chosen.signal == signal
    return chosen or (signal in {other.signal for other in one.others} and not pair_in(signal))


def binary_scores(task: Task, evidence: Evidence, tables: Sequence[Panel]) -> bool:
    """Scores of label answers are 0 or 1 by construction; a scorer that grades them shows it."""
    scores = [np.nan_to_num(scores) for table in tables for scores in table.score.values()]
    said = bool(task.labels) if evidence.binary is None else evidence.binary
    return said and all(is_binary(one) for one in scores)
