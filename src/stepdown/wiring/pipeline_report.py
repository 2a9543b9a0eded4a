"""What came of a pipeline, as tables and plain data: the promise, the money, which steps moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import to_builtins

from stepdown.core.lock import Estimate
from stepdown.core.policy import to_plain
from stepdown.core.report import Claim, Column, Prose, Section, Table
from stepdown.wiring.estimating import claim_of, saving_of
from stepdown.wiring.pipelining import CertifiedPipeline
from stepdown.wiring.policy_short import short_policy
from stepdown.wiring.policy_words import policy_words
from stepdown.wiring.promise_words import guarantee_words, short_words

SOURCE = "certify messages"
SCORES = {
    "worst": "A message is as good as its worst step.",
    "mean": "A message is as good as the mean of its steps.",
}


def pipeline_data(one: CertifiedPipeline) -> dict[str, Any]:
    """Return one pipeline's certification as plain JSON."""
    stated = one.steps[0].locked.guarantee
    return {
        "pipeline": one.name,
        "state": one.state,
        "score": one.keys.score,
        "promise": guarantee_words(stated, one.steps[0].task.ceiling),
        "level": stated.level,
        "delta": stated.delta,
        "bound": stated.bound,
        "n_messages": one.joint.test.n,
        "left_out": one.left_out,
        "loss": to_builtins(stated.loss),
        "saved": to_builtins(_saved(one)),
        "combinations": len(one.joint.test.combos),
        "chosen": one.joint.test.chosen,
        **to_builtins(one.joint.amounts()),
        "warnings": list(one.warnings),
        "steps": [_step_data(one, place) for place in range(len(one.steps))],
    }


def _step_data(one: CertifiedPipeline, place: int) -> dict[str, Any]:
    step = one.steps[place]
    return {
        "task": step.task.name,
        "takes": one.keys.takes.get(step.task.name),
        "moved": bool(one.joint.combo[place]),
        **to_plain(step.locked),
        "policy_words": policy_words(step.locked.policy, step.locked.signals),
    }


def _saved(one: CertifiedPipeline) -> Estimate | None:
    costs, joint = one.joint.rows.costs, one.joint
    return saving_of(costs[joint.combo], costs[joint.test.combos[0]], SOURCE, joint.codes)


def pipelines_section(found: Sequence[CertifiedPipeline], said: Sequence[str] = ()) -> Section:
    """Return the section with one row for each pipeline; `said` stands under the table."""
    columns = (
        Column("pipeline"),
        Column("state"),
        Column("promise"),
        Column("bound", numeric=True),
        Column("messages", numeric=True),
        Column("before, $/1k", numeric=True),
        Column("after, $/1k", numeric=True),
        Column("saved", numeric=True, optional=True),
    )
    notes = (
        "before: the ceiling of every step; after: the locked policies; for 1,000 messages.",
        *dict.fromkeys(SCORES[one.keys.score] for one in found),
        *said,
    )
    rows = tuple(
        (
            one.name,
            one.state,
            short_words("max_loss", one.joint.max_loss),
            Claim(one.joint.bound, "score") if one.state == "certified" else None,
            Claim(one.joint.test.n, "count"),
            _per_1k(one.joint.amounts()["message_ceiling_usd"]),
            _per_1k(one.joint.amounts()["message_cost_usd"]),
            claim_of(_saved(one)),
        )
        for one in found
    )
    table = Table(title="One promise per message", columns=columns, rows=rows, notes=notes)
    return Section("Pipelines", (table,))


def _per_1k(one: Estimate) -> Claim:
    return Claim(None if one.value is None or one.unknown else one.value * 1000, "usd")


def pipeline_section(one: CertifiedPipeline) -> Section:
    """Return the section of one pipeline: verdict, promise, and what each step does."""
    return Section(f"Pipeline {one.name}", tuple(_blocks(one)))


def _blocks(one: CertifiedPipeline) -> Iterator[Prose | Table]:
    stated = one.steps[0].locked.guarantee
    moved = sum(bool(level) for level in one.joint.combo)
    if one.state == "certified":
        said = f"{moved} of {len(one.steps)} steps move down, and the promise of the message holds."
        yield Prose(said, "good")
    else:
        yield Prose(stated.why)
        yield from _more(one)
    yield Prose(f"Promise: {guarantee_words(stated, one.steps[0].task.ceiling)}.")
    if one.left_out:
        total = one.left_out + one.joint.test.n
        yield Prose(
            f"{one.left_out} of {total} certify messages are left out: some step has no reference, "
            "or no score of its ceiling, for them.",
            "warn",
        )
    for said in one.warnings:
        yield Prose(said, "warn")
    yield _steps(one)
    yield Prose(f"Method: {stated.method}. {' '.join(stated.assumptions)}")


def _more(one: CertifiedPipeline) -> Iterator[Prose]:
    needed, n = one.joint.needed, one.joint.test.n
    if needed is not None and needed > n:
        yield Prose(f"Undecided on {n} certify messages: about {needed - n} more would decide.")


def _steps(one: CertifiedPipeline) -> Table:
    columns = (
        Column("step"),
        Column("takes", optional=not one.keys.takes),
        Column("policy"),
        Column("keeps", numeric=True),
        Column("before, $/1k", numeric=True),
        Column("after, $/1k", numeric=True),
    )
    before, after = one.joint.test.combos[0], one.joint.combo
    rows = tuple(
        (
            step.task.name,
            one.keys.takes.get(step.task.name, "the message"),
            short_policy(step.locked.policy, step.locked.signals),
            Claim(1 - step.locked.kept.get(step.task.ceiling, 0.0), "share"),
            _per_1k(one.joint.step_cost(before, place)),
            _per_1k(one.joint.step_cost(after, place)),
        )
        for place, step in enumerate(one.steps)
    )
    notes = ("keeps: share of certify rows that the ceiling did not answer.",)
    return Table(title="Which steps moved", columns=columns, rows=rows, notes=notes)
