"""Certify one tier's threshold without tune rows: the certify rows find the start themselves.

Only where nothing has to be searched: one small tier before the ceiling, one promise about the
answers that it keeps. It chooses no signal and fits no map: both would need other rows.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from stepdown.certify.calibration import SIGNALS, with_confidence
from stepdown.certify.promises import Measure, measures
from stepdown.certify.tested import Rows, rows_of
from stepdown.core.confidence import Calibrator
from stepdown.core.policy import Policy, cascade, confidence_of, single
from stepdown.core.replay_array import USABLE, Panel
from stepdown.core.task import Task
from stepdown.stats.sequence import KeptCertificate, certify_kept_accuracy

PROMISES = ("min_score", "min_agreement")


class Auto(Struct, frozen=True):
    """A threshold found and tested on the same rows, by a rule that pays for both."""

    policy: Policy
    found: KeptCertificate
    table: Panel
    maps: dict[str, Calibrator]
    measure: Measure
    rows: Rows


def suits(task: Task, table: Panel, reference: str) -> bool:
    """Say whether nothing has to be searched: one small tier with a signal, one such promise."""
    lower = [tier for tier in task.tiers if tier != task.ceiling]
    one = len(lower) == 1 and task.cascades and not task.promise.recall and not task.thresholds
    return one and task.promise.main(reference) in PROMISES and _signal(table, lower[0]) is not None


def _signal(table: Panel, tier: str) -> str | None:
    """Return the first signal that the table holds, in the order of `SIGNALS`."""
    named = (name for name in SIGNALS if f"{tier}.{name}" in table.signals)
    return next(named, None)


def auto(
    task: Task,
    table: Panel,
    reference: str,
    delta: float,
    seed: int,
    *,
    binary: bool,
    clustered: bool,
) -> Auto:
    """Return the lowest threshold that keeps the promise, by AUTO; the ceiling when none does.

    Source: `stats.sequence.certify_kept_accuracy`.
    """
    tier = next(name for name in task.tiers if name != task.ceiling)
    maps = {tier: Calibrator(_signal(table, tier) or "")}
    table = with_confidence(table, maps)
    (measure,) = measures(task, table, reference, binary=binary)
    rows = rows_of(table, seed, clustered=clustered)
    usable = table.available[tier] & (table.failure[tier] == USABLE)
    sure = np.where(usable, table.signals[confidence_of(tier)], np.nan)
    found = certify_kept_accuracy(
        sure[rows.index],
        measure.worth[tier][rows.index],
        measure.level,
        delta,
        seed,
        graded=measure.kind == "graded",
        groups=rows.codes,
    )
    policy = single(task.ceiling)
    if found.threshold is not None:
        policy = cascade((tier, task.ceiling), (found.threshold,))
    return Auto(policy, found, table, maps, measure, rows)
