"""Synthetic streams of losses and of traffic: alarms, the audit estimate, the budget of audits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stepdown.certify.watched import QUANTILES
from stepdown.config.schema import AuditingKeys
from stepdown.core.lock import Guarantee, LockedTask, Marked, Watched
from stepdown.core.policy import cascade
from stepdown.review.alarms import Chances, alarms
from stepdown.review.seen import FirstCall
from stepdown.review.votes import Votes
from stepdown.stats.audited_loss import audited_loss
from stepdown.stats.restarts import Watch, after_day, begun, watch
from stepdown.wiring.audit_purses import LATE_S, Purses

Floats = NDArray[np.float64]
DAYS, ALPHA, DROP_ON = 92, 0.05, 30
RATES = {"the promise is .94": 0.06, "the floor is .90": 0.10}
BEFORE, AFTER, RAMP = 0.06, 0.15, 30
ENDS = (0.15, 0.18)


def rung_on(seen: Watch, rates: Sequence[float], n: int, seed: int) -> int | None:
    """Return the day on which the alarm rings on a stream of `n` votes a day."""
    rng, state = np.random.default_rng(seed), begun(seen)
    for day, rate in enumerate(rates):
        state = after_day(seen, state, (rng.random(n) < rate).astype(float), day)
        if state.rings:
            return day
    return None


def false_alarms(name: str, allowed: float, streams: int) -> dict[str, Any]:
    """Count alarms in a quarter at exactly the allowed loss."""
    seen = watch(allowed, days=DAYS, alpha=ALPHA)
    rung = [rung_on(seen, [allowed] * DAYS, 100, seed) is not None for seed in range(streams)]
    test = stats.binomtest(sum(rung), streams, ALPHA, alternative="greater")
    return {
        "name": name,
        "allowed": allowed,
        "alarms": sum(rung),
        "streams": streams,
        "share": sum(rung) / streams,
        "p_value": float(test.pvalue),
    }


def signs(kind: str, streams: int) -> dict[str, Any]:
    """Count alarms without labels in a quarter, with certify rows and traffic of one kind."""
    rung = [_sign(kind, np.random.default_rng(30_000 + seed)) for seed in range(streams)]
    test = stats.binomtest(sum(rung), streams, ALPHA, alternative="greater")
    return {
        "name": kind,
        "alarms": sum(rung),
        "streams": streams,
        "share": sum(rung) / streams,
        "p_value": float(test.pvalue),
    }


def _sign(kind: str, rng: np.random.Generator, rows: int = 350, n: int = 100) -> bool:
    """Whether the alarm rings: confidence lies as Beta(8, 2), 30% of tiers disagree."""
    sure, unlike = rng.beta(8, 2, rows), int((rng.random(rows) < 0.3).sum())
    cuts = np.quantile(sure, QUANTILES)
    below = tuple(int((sure < cut).sum()) for cut in cuts)
    signals = {"confidence": Marked(tuple(cuts.tolist()), below, rows)}
    watched = (
        Watched(n=rows, tier="small", signals=signals)
        if kind == "confidence"
        else Watched(n=rows, paired=rows, unlike=unlike)
    )
    days = []
    for day in range(DAYS):
        at = (date(2026, 1, 1) + timedelta(day)).isoformat()
        values, agree = rng.beta(8, 2, n), rng.random(n) >= 0.3
        calls = (
            FirstCall(trace_id="", at=at, group="", confidence=float(c), agree=bool(a))
            for c, a in zip(values, agree, strict=True)
        )
        days.append((at, tuple(calls)))
    task = LockedTask(
        policy=cascade(("small", "big"), (0.8,)),
        contract="",
        settings="",
        guarantee=Guarantee(state="ceiling"),
        tiers={},
        watched=watched,
    )
    found = alarms(task, Votes(), Votes(days=tuple(days)), Chances(signs=ALPHA, days=DAYS))
    return any(one.rings for one in found)


def drops(name: str, allowed: float, n: int, streams: int) -> dict[str, Any]:
    """Count days from a drop to its alarm; what rang before the drop is counted apart."""
    seen = watch(allowed, days=DAYS, alpha=ALPHA)
    rates = [BEFORE] * DROP_ON + [AFTER] * (DAYS - DROP_ON)
    found = [rung_on(seen, rates, n, 10_000 + seed) for seed in range(streams)]
    days = [day - DROP_ON + 1 for day in found if day is not None and day >= DROP_ON]
    late = [DAYS] * sum(day is None for day in found)
    return {
        "name": name,
        "audits_a_day": n,
        "streams": streams,
        "before": sum(day is not None and day < DROP_ON for day in found),
        "not_found": len(late),
        "median_days": float(np.median(days + late)),
        "p90_days": float(np.quantile(days + late, 0.9)),
        "goal": {100: 5, 30: 14}[n],
        "must": {100: 7, 30: 18}[n],
    }


def drifts(end: float, n: int, streams: int) -> dict[str, Any]:
    """Drift from the promise's loss to `end` in 30 days: found before it doubled?"""
    seen, first = watch(BEFORE, days=DAYS, alpha=ALPHA), 20
    ramp = [BEFORE + (end - BEFORE) * (day + 1) / RAMP for day in range(RAMP)]
    doubled = first + next(day for day, rate in enumerate(ramp) if rate >= 2 * BEFORE)
    rates = [BEFORE] * first + ramp + [end] * (DAYS - first - RAMP)
    found = [rung_on(seen, rates, n, 20_000 + seed) for seed in range(streams)]
    late = [DAYS if day is None else day for day in found if day is None or day >= first]
    return {
        "end": end,
        "audits_a_day": n,
        "streams": streams,
        "before_it": streams - len(late),
        "doubles_after_days": doubled - first + 1,
        "median_days": float(np.median(late)) - first + 1,
        "found_in_time": sum(day < doubled for day in late) / len(late),
    }


def estimates(streams: int) -> dict[str, Any]:
    """Bias of the estimate and misses of its interval at any of 40 looks, while traffic drifts."""
    n, errors, naive, missed = 4000, [], [], 0
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        sure = rng.random(n)
        rate = 0.25 * (1 - sure) + 0.1 * (np.arange(n) > n / 2)
        lost = np.where(sure >= 0.5, rng.random(n) < rate, False).astype(float)
        share = np.where(np.arange(n) < n / 4, 0.1, 0.05)
        drawn = rng.random(n) < share
        found = audited_loss(lost[drawn], share[drawn], n)
        errors.append((found.value or 0.0) - lost.mean())
        naive.append(lost[drawn & (sure >= 0.5)].mean() - lost.mean())
        missed += any(misses(lost, drawn, share, look) for look in range(100, n + 1, 100))
    se = float(np.std(errors)) / len(errors) ** 0.5
    test = stats.binomtest(missed, streams, 0.05, alternative="greater")
    return {
        "streams": streams,
        "bias": float(np.mean(errors)),
        "standard_error": se,
        "bias_of_kept_alone": float(np.mean(naive)),
        "missed_at_any_look": missed,
        "p_value": float(test.pvalue),
    }


def misses(lost: Floats, drawn: NDArray[np.bool_], share: Floats, look: int) -> bool:
    some = drawn[:look]
    found = audited_loss(lost[:look][some], share[:look][some], look)
    return not found.low <= lost[:look].mean() <= found.high


def budgets(months: int) -> dict[str, Any]:
    """Spend of 30 days against a budget that holds about a third of what would be drawn."""
    limit, shares, over_days = 30.0, [], 0
    for seed in range(months):
        rng, books = np.random.default_rng(seed), _Books()
        purse = Purses(
            AuditingKeys(share=1.0, usd_per_month=limit),
            books,
            today=lambda books=books: books.today,
            seconds=lambda books=books: books.now_s,
        )("task")
        for day in range(30):
            books.today = date(2026, 11, day + 1)
            n = int(rng.poisson(60)) * (10 if rng.random() < 0.1 else 1)
            for _ in range(n):
                books.now_s += 86_400 / n
                if purse.left():
                    purse.begun()
                    cost = float(rng.gamma(4.0, 0.01 / 4))
                    purse.spent(cost)
                    books.pay(cost)
            over_days += books.total() > limit * (day + 1) / 30 + 1e-9
        shares.append(books.total() / limit)
    return {
        "months": months,
        "mean_share_spent": float(np.mean(shares)),
        "largest_share_spent": float(np.max(shares)),
        "days_over": over_days,
        "days": 30 * months,
    }


class _Books:
    """Books that lag by ten seconds, as the ledger does."""

    def __init__(self) -> None:
        self.today, self.now_s = date(2026, 11, 1), 0.0
        self._paid: list[tuple[float, float]] = []
        self._sum = 0.0

    def pay(self, cost: float) -> None:
        self._paid.append((self.now_s, cost))

    def total(self) -> float:
        return self._sum + sum(cost for _, cost in self._paid)

    def __call__(self, _task: str) -> tuple[float, float]:
        old = [cost for when, cost in self._paid if when <= self.now_s - LATE_S]
        self._sum += sum(old)
        self._paid = [one for one in self._paid if one[0] > self.now_s - LATE_S]
        return 0.0, self._sum
