"""Certificates and records for the tests of review: SYNTHETIC, made here by rule."""

from __future__ import annotations

import datetime as dt

import numpy as np

from stepdown.core.lock import Guarantee, LockedTask, Marked, Watched, task_digest
from stepdown.core.policy import Policy, cascade
from stepdown.review.alarms import Chances
from stepdown.review.assessing import Asked
from stepdown.review.seen import Audit, Day, FirstCall, Seen
from stepdown.review.withdrawing import Acts, Certificate

START = dt.date(2026, 9, 1)
NOW = "2026-11-20T12:00:00.000+00:00"
FAMILIAR = Marked((0.2, 0.4, 0.6, 0.8, 0.9), (40, 100, 200, 300, 360), 400)


def at(day: int, place: int = 0) -> str:
    return f"{(START + dt.timedelta(day)).isoformat()}T10:{place // 60 % 60:02d}:{place % 60:02d}"


def locked(
    promise: str = "max_disagreement",
    level: float = 0.06,
    *,
    reference: str = "ceiling",
    policy: Policy | None = None,
    watched: Watched | None = None,
    review_by: str = "2026-12-20",
) -> LockedTask:
    return LockedTask(
        policy=policy or cascade(("small", "big"), (0.8,)),
        contract="c",
        settings="s",
        guarantee=Guarantee(
            state="certified",
            promise=promise,
            level=level,
            delta=0.1,
            reference=reference,
            date="2026-08-31",
            review_by=review_by,
        ),
        tiers={},
        watched=watched,
    )


def audits(
    rate: float, days: int, n: int = 100, *, first: int = 0, seed: int = 0, group: str = ""
) -> list[Audit]:
    """`n` audits a day of which a share `rate` loses; surer answers lose less often."""
    rng, found = np.random.default_rng(seed), []
    for day in range(first, first + days):
        for place in range(n):
            lost = float(rng.random() < rate)
            name = f"d{day}-{place}"
            sure = 0.82 + 0.06 * rng.random() if lost else 0.82 + 0.18 * rng.random()
            found.append(
                Audit(
                    trace_id=name,
                    at=f"{at(day, place)}+00:00",
                    group=group or name,
                    propensity=0.1,
                    loss=lost,
                    confidence=sure,
                    tier="small",
                )
            )
    return found


def calls(
    share: float, days: int, n: int = 100, *, first: int = 0, seed: int = 1
) -> list[FirstCall]:
    """`n` first calls a day; a share lies below .2 in familiarity, the rest evenly above."""
    rng, found = np.random.default_rng(seed), []
    for day in range(first, first + days):
        for place in range(n):
            low = rng.random() < share
            seen = 0.2 * rng.random() if low else 0.2 + 0.8 * rng.random()
            name = f"c{day}-{place}"
            found.append(
                FirstCall(trace_id=name, at=f"{at(day, place)}+00:00", group=name, familiarity=seen)
            )
    return found


def seen_of(records: list[Audit], first_calls: list[FirstCall] | None = None) -> Seen:
    days: dict[str, int] = {}
    for one in records:
        days[one.at[:10]] = days.get(one.at[:10], 0) + 10
    return Seen(
        audits=tuple(records),
        calls=tuple(first_calls or ()),
        days=tuple(Day(day=d, requests=n, open=n, open_kept=n) for d, n in days.items()),
        requests=sum(days.values()),
        covered=sum(days.values()),
        kept=sum(days.values()),
    )


def asked(
    task: LockedTask,
    *,
    now: str = NOW,
    acts: Acts = Acts(),
    chances: Chances = Chances(),
    **more: object,
) -> Asked:
    return Asked(
        certificate=Certificate("intent", task_digest(task), "sha256:lock"),
        locked=task,
        promise="at most 6% of all answers differ",
        chances=chances,
        acts=acts,
        now=now,
        **more,  # type: ignore[arg-type]
    )
