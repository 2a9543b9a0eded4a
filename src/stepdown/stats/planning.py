"""Say before spending how many rows and labels a promise needs, by the test that will be run.

Exact sums over outcomes (see `power`): each promise here is one exact test on independent 0/1
rows. `rehearsal` simulates whole paths, graded scores and labelling that stops early. The rates
are the caller's: from a pilot, or a question of "what if". A plan is a forecast, not a promise.
"""

import math
from dataclasses import dataclass
from typing import Literal

from stepdown.errors import DataError
from stepdown.stats.power import ROW_CAP, LabelsNeeded, labels_needed, labels_needed_kept

Promise = Literal["max_loss", "floor", "min_score", "min_agreement", "max_disagreement", "recall"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows to collect and the labels to buy for the chance `power` of a certificate.

    None where `cap` rows do not reach it; `power` is then what they reach. `labels` is the
    expected number when every row that can matter is labelled: stopping once the question is
    decided needs fewer.
    """

    promise: Promise
    rows: int | None
    labels: int | None
    power: float
    cap: int
    method: str
    labelled: str


def plan_max_loss(
    kept: float,
    disagree: float,
    loss: float,
    gain: float,
    max_loss: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
) -> Plan:
    """Plan non-inferiority of one policy with 0/1 scores: label the disagreements alone.

    `kept` is a share of all rows; of the kept answers `disagree` differ from the ceiling's,
    `loss` score 1 less and `gain` 1 more. `delta` is what the start of the path may spend.
    """
    check_shares(kept=kept, disagree=disagree, loss=loss, gain=gain)
    if loss + gain > disagree + 1e-12:
        raise DataError(
            f"loss {loss} and gain {gain} exceed the disagreements, {disagree}.",
            "Equal answers have equal scores under a deterministic scorer.",
        )
    found = labels_needed(kept * loss, kept * gain, max_loss, delta, power, cap=cap)
    return _plan("max_loss", found, 1.0, kept * disagree, "disagreements of kept answers")


def plan_min_score(
    kept: float,
    score: float,
    target: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
) -> Plan:
    """Plan a least accuracy of the kept answers, assumed to be `score`: label those kept."""
    check_shares(kept=kept, score=score)
    found = labels_needed_kept(score, target, delta, power, cap=cap)
    return _plan("min_score", found, kept, kept, "kept answers")


def plan_floor(
    score: float, floor: float, delta: float, power: float = 0.8, *, cap: int = ROW_CAP
) -> Plan:
    """Plan a floor under the task's delivered score, assumed to be `score`: label every row."""
    check_shares(score=score)
    found = labels_needed_kept(score, floor, delta, power, cap=cap)
    return _plan("floor", found, 1.0, 1.0, "every row")


def plan_min_agreement(
    kept: float,
    agree: float,
    target: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
) -> Plan:
    """Plan a least agreement of the kept answers with the ceiling: rows, and no labels at all."""
    check_shares(kept=kept, agree=agree)
    found = labels_needed_kept(agree, target, delta, power, cap=cap)
    return _plan("min_agreement", found, kept, 0.0, "none: answers are compared")


def plan_max_disagreement(
    kept: float,
    disagree: float,
    limit: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
) -> Plan:
    """Plan a limit on rows kept and different from the ceiling's answer: rows, and no labels.

    `disagree` is a share of the kept answers, `limit` of all rows.
    """
    check_shares(kept=kept, disagree=disagree)
    found = labels_needed_kept(1.0 - kept * disagree, 1.0 - limit, delta, power, cap=cap)
    return _plan("max_disagreement", found, 1.0, 0.0, "none: answers are compared")


def plan_recall(
    prevalence: float,
    recall: float,
    target: float,
    delta: float,
    power: float = 0.8,
    *,
    cap: int = ROW_CAP,
) -> Plan:
    """Plan the recall of a label carried by `prevalence` of the rows: each row must be labelled.

    `cap` counts rows that carry it. Only these test, and they are not known without a label.
    """
    check_shares(prevalence=prevalence, recall=recall)
    found = labels_needed_kept(recall, target, delta, power, cap=cap)
    return _plan("recall", found, prevalence, 1.0, "every row, to find those that carry the label")


def _plan(
    promise: Promise, found: LabelsNeeded, testing: float, labelled: float, which: str
) -> Plan:
    """Return rows of traffic, of which `testing` test and `labelled` need a label."""
    usable = found.rows is not None and testing > 0.0
    rows = math.ceil(found.rows / testing) if usable and found.rows is not None else None
    labels = None if rows is None else math.ceil(rows * labelled - 1e-9)
    chance = found.power if testing > 0.0 else 0.0
    return Plan(promise, rows, labels, chance, found.cap, found.method, which)


def check_shares(**rates: float) -> None:
    """Raise DataError, naming the rate, unless all are shares."""
    for name, rate in rates.items():
        if not 0.0 <= rate <= 1.0:
            raise DataError(f"{name} is {rate!r}; it is a share, 0..1.")
