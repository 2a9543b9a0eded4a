"""How many labels would buy how much: what each policy of a path would need to be certified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepdown.certify.evidence import Certified
from stepdown.certify.question import delivered
from stepdown.certify.search import Searched
from stepdown.core.replay_array import UNKNOWN
from stepdown.core.report import Plot, Point
from stepdown.stats.label_curve import MOST_ROWS, rows_for_each
from stepdown.stats.sequence import FIRST_SHARE
from stepdown.wiring.estimating import Floats
from stepdown.wiring.policy_short import short_policy

SHOWN = 24  # points; named are few of them
NAMED = 6
MEANS = (
    f"About what passes with chance .8, up to {MOST_ROWS:,} rows, if the tune rows tell the truth. "
    "Only rows on which a kept answer differs from the ceiling's need a label."
)


def labels_to_buy(one: Certified) -> Plot:
    """Return the labels that would certify each policy of the path, against what it keeps.

    For a loss against the ceiling on 0/1 scores; without points for any other promise.
    """
    hopeful = _hopeful(one)
    labels = _labels(one, hopeful) if hopeful else np.empty(0)
    known = [place for place in range(labels.size) if labels[place] >= 1]
    named = {known[round(x)] for x in np.linspace(0, len(known) - 1, NAMED)} if known else set()
    return Plot(
        title=f"{one.task.name}: how many labels would buy how much",
        x_label="labels of disagreements",
        y_label="share kept",
        points=tuple(_point(hopeful[p], labels[p], named=p in named) for p in known),
        x_unit="count",
        y_unit="share",
        x_log=True,
        notes=(MEANS,),
    )


def _point(one: Searched, labels: float, *, named: bool) -> Point:
    label = short_policy(one.policy, one.derived) if named else ""
    return Point(float(round(labels)), one.kept, label=label, series="policy of the path")


def _hopeful(one: Certified) -> list[Searched]:
    """Return policies of the path whose loss on the tune rows is under the limit."""
    stated = one.locked.guarantee
    level = stated.level
    if stated.promise != "max_loss" or level is None or not one.task.labels:
        return []
    found = [s for s in one.along[1:] if s.loss < level and s.kept > 0]
    places = {round(x) for x in np.linspace(0, len(found) - 1, SHOWN)} if found else set()
    return [found[place] for place in sorted(places)]


def _labels(one: Certified, hopeful: Sequence[Searched]) -> Floats:
    loss = np.array([s.loss for s in hopeful])
    discordant = np.maximum([s.discordant for s in hopeful], np.abs(loss))
    minus, plus = (discordant + loss) / 2, (discordant - loss) / 2
    differing = np.maximum(_differing(one, hopeful), discordant)
    level, delta = one.locked.guarantee.level or 0.0, one.task.promise.delta * FIRST_SHARE
    rows = rows_for_each(minus, plus, level, delta)
    return np.asarray(rows * differing, dtype=np.float64)


def _differing(one: Certified, hopeful: Sequence[Searched]) -> Floats:
    """Return the share of rows on which a policy's answer differs from the ceiling's, if known."""
    table = one.certify_table
    codes = delivered(hopeful, table).codes
    own = table.answers.get(one.task.ceiling, np.full(table.n, UNKNOWN, dtype=np.int32))
    return np.asarray(((codes != own) & (codes != UNKNOWN) & (own != UNKNOWN)).mean(axis=1))
