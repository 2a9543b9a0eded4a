"""A SYNTHETIC ledger of any size, written straight into SQLite: nobody asked these requests.

Three tasks over 60 days, two tiers each; a fifth of the requests escalates, one in 200 is outside
its guarantee, one in 50 has an unknown cost, one in 500 has feedback. The figures mean nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stepdown.adapters.storage.beside_rows import encode_beside
from stepdown.adapters.storage.database import Entry, create, insert, opened
from stepdown.adapters.storage.places import DATABASE
from stepdown.adapters.storage.rows import encode_trace
from stepdown.core.beside import Feedback
from stepdown.core.request import Usage
from stepdown.core.trace import Attempt, Trace

TASKS = ("intent", "draft", "topic")
DAYS = 60
REASONS = ("low_confidence", "no_confidence", "invalid_output", "provider_error")
_BATCH = 5_000


def write_ledger(
    folder: Path, traces: int, until: datetime, tasks: tuple[str, ...] = TASKS
) -> Path:
    """Write a ledger of so many traces that ends at `until` into a folder; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATABASE
    create(path)
    draw = random.Random(f"synthetic {traces}")
    with opened(path) as db:
        db.execute("PRAGMA synchronous = OFF")
        batch: list[Entry] = []
        for number in range(traces):
            batch += _entries(draw, number, traces, until, tasks)
            if len(batch) >= _BATCH:
                insert(db, batch)
                batch = []
        insert(db, batch)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _entries(
    draw: random.Random, number: int, traces: int, until: datetime, tasks: tuple[str, ...]
) -> Iterator[Entry]:
    at = until - timedelta(days=DAYS) * (1 - (number + 1) / traces)
    trace = _trace(draw, number, at, tasks)
    yield Entry(trace, encode_trace(trace).decode())
    if number % 500 == 0:
        said = Feedback(
            id=f"f{number}", trace_id=trace.id, task=trace.task, at=trace.at,
            score=float(draw.random() < 0.93),
        )  # fmt: skip
        yield Entry(said, encode_beside(said).decode())


def _trace(draw: random.Random, number: int, at: datetime, tasks: tuple[str, ...]) -> Trace:
    name, when = f"synthetic-{number:08d}", at.astimezone(UTC).isoformat(timespec="milliseconds")
    escalated = draw.random() < 0.2
    confidence = round(draw.uniform(0, 0.799) if escalated else draw.uniform(0.8, 1), 3)
    why = draw.choices(REASONS, (80, 10, 7, 3))[0]
    known = draw.random() >= 0.02
    expert = Attempt(
        id=f"{name}/1", trace_id=name, number=1, tier="expert", started_at=when, latency_s=0.004,
        cost_usd=0.000002, cost_basis="hardware", usage=Usage(input_tokens=140, output_tokens=3),
        signals={"margin": confidence}, confidence=confidence, threshold=0.8,
        decision="call frontier" if escalated else "accept expert",
        reason=why if escalated else "confident", tier_digest="sha256:synthetic",
    )  # fmt: skip
    frontier = Attempt(
        id=f"{name}/2", trace_id=name, number=2, tier="frontier", why=why, started_at=when,
        latency_s=0.9, cost_usd=0.0006 if known else None, cost_basis="list",
        usage=Usage(input_tokens=420, output_tokens=20), decision="accept frontier",
        reason="last_tier", tier_digest="sha256:synthetic",
    )  # fmt: skip
    attempts = (expert, frontier) if escalated else (expert,)
    costs = [one.cost_usd for one in attempts if one.cost_usd is not None]
    return Trace(
        id=name,
        task=tasks[number % len(tasks)],
        at=when,
        attempts=attempts,
        answered_by=attempts[-1].tier,
        reason=attempts[-1].reason,
        latency_s=sum(one.latency_s or 0.0 for one in attempts),
        cost_usd=sum(costs) if len(costs) == len(attempts) else None,
        baseline_tier="frontier",
        baseline_usd=0.0006,
        guarantee="certified",
        outside_guarantee="deadline" if draw.random() < 0.005 else None,
        confidence=confidence,
        lock_digest="sha256:synthetic",
        input=f"a made-up message number {number}",
        answer="made up",
    )
