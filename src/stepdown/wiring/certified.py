"""What came of certification, as a report and as plain data: short tables first, details after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, to_builtins

from stepdown.certify.evidence import Certified
from stepdown.certify.verdict import Kind, Verdict, verdict
from stepdown.core.lock import Estimate
from stepdown.core.policy import to_plain
from stepdown.core.replay_array import ReplayedArray, replay_array
from stepdown.core.report import Cell, Claim, Column, Document, Plot, Prose, Section, Table
from stepdown.wiring.alternatives import alternatives, alternatives_table
from stepdown.wiring.certified_plots import plots
from stepdown.wiring.estimating import claim_of, groups_of, saving_of
from stepdown.wiring.evaluating import recorded_notes
from stepdown.wiring.pipeline_report import pipeline_section, pipelines_section
from stepdown.wiring.pipelining import CertifiedPipeline
from stepdown.wiring.policy_states import is_long, state_lines, states_table
from stepdown.wiring.policy_words import policy_words
from stepdown.wiring.promise_words import guarantee_words, promise_words, short_words
from stepdown.wiring.workspace import Workspace

SOURCE = "certify rows"
SAVED = (
    "saved: 1 - mean cost / mean cost of the baseline, paired by row, with Fieller's interval of a "
    "ratio of means."
)
FOOTER = "Policies were searched on the tune rows and tested on the certify rows."
TONES: Any = {"route": "good", "declared": "warn", "change_tiers": "warn"}
KINDS: dict[Kind, str] = {
    "route": "Route",
    "do_not_route": "Do not route",
    "change_tiers": "Change tiers",
    "fine_tune": "Fine-tune",
    "label_more": "Label more",
    "declared": "Declared, not certified",
}


class About(Struct, frozen=True, kw_only=True):
    """What the report says of where the rows came from; `notes` stand under its tables."""

    name: str
    rows: str
    baseline: str | None
    notes: tuple[str, ...] = ()


def as_data(one: Certified) -> dict[str, Any]:
    """Return one task's certification as plain JSON."""
    stated = one.locked.guarantee
    return {
        "task": one.task.name,
        **to_plain(one.locked),
        "verdict": to_builtins(verdict(one)),
        "promise": guarantee_words(stated, one.task.ceiling),
        "policy_words": policy_words(one.locked.policy, one.locked.signals),
        "saved": to_builtins(_saved(one, None)),
        "alternatives": [to_builtins(tried) for tried in alternatives(one)],
    }


def document(
    workspace: Workspace,
    found: Sequence[Certified],
    together: Sequence[CertifiedPipeline] = (),
) -> Document:
    """Return the report of a project's pipelines, and of its tasks alone."""
    every = [*found, *(step for one in together for step in one.steps)]
    used = dict.fromkeys(tier for one in every for tier in one.task.tiers)
    about = About(
        name=workspace.project.name,
        rows=workspace.whole_split.description,
        baseline=workspace.project.baseline,
        notes=tuple(recorded_notes(workspace, used)),
    )
    return report(about, found, together)


def report(
    about: About,
    found: Sequence[Certified],
    together: Sequence[CertifiedPipeline] = (),
) -> Document:
    """Return the report: what is promised, what it would cost, then each pipeline and task."""
    first = Section("Promises", (_promises(about, found), _money(about, found)))
    joint = [pipelines_section(together, about.notes)] if together else []
    return Document(
        title="Certify",
        subtitle=about.name,
        facts=(("rows", about.rows),),
        sections=(
            *joint,
            *(pipeline_section(one) for one in together),
            *((first,) if found else ()),
            *(Section(one.task.name, tuple(_blocks(one))) for one in found),
        ),
        footer=FOOTER,
    )


def _promises(about: About, found: Sequence[Certified]) -> Table:
    columns = (
        Column("task"),
        Column("state"),
        Column("promise"),
        Column("bound", numeric=True),
        Column("n", numeric=True),
        Column("keeps", numeric=True),
        Column("labels used", numeric=True, optional=True),
    )
    notes = ("keeps: share of certify rows that the ceiling did not answer.", _of_deltas(found))
    return Table(
        title="What may be promised",
        columns=columns,
        rows=tuple(map(_promise_row, found)),
        notes=(*notes, *_labels_note(found), *about.notes),
    )


def _of_deltas(found: Sequence[Certified]) -> str:
    said = " or ".join(f"{d:.3g}" for d in sorted({one.task.promise.delta for one in found}))
    over = {one.task.promise.over for one in found}
    whole = "for each task" if over == {"task"} else "for all tasks of the project together"
    both = len(over) > 1
    return (
        f"A certified promise is wrong with chance {said} at most, "
        f"{'for each task or all together, as stated below' if both else whole}."
    )


def _labels_note(found: Sequence[Certified]) -> tuple[str, ...]:
    if all(one.locked.guarantee.labels_used is None for one in found):
        return ()
    return ("labels used: rows whose right answer had to be known for the test.",)


def _promise_row(one: Certified) -> tuple[Cell, ...]:
    stated = one.locked.guarantee
    bound = stated.bound if stated.state == "certified" else None
    return (
        one.task.name,
        stated.state,
        short_words(stated.promise, stated.level),
        None if bound is None else Claim(bound, "score"),
        Claim(stated.n_certify, "count"),
        Claim(1 - one.locked.kept.get(one.task.ceiling, 0.0), "share"),
        None if stated.labels_used is None else Claim(stated.labels_used, "count"),
    )


def _money(about: About, found: Sequence[Certified]) -> Table:
    columns = (
        Column("task"),
        Column(f"{about.baseline or 'ceiling'}, $/1k", numeric=True),
        Column("policy, $/1k", numeric=True),
        Column("saved", numeric=True),
        Column("score", numeric=True, optional=True),
        Column("ceiling", numeric=True, optional=True),
    )
    return Table(
        title="What it would cost",
        columns=columns,
        rows=tuple(_money_row(one, about.baseline) for one in found),
        notes=(SAVED, *about.notes),
    )


def _money_row(one: Certified, baseline: str | None) -> tuple[Cell, ...]:
    expected = one.locked.expected
    before = expected.get("baseline_usd")
    return (
        one.task.name,
        Claim(_per_1k(before), "usd"),
        Claim(_per_1k(expected.get("cost_usd")), "usd"),
        claim_of(_saved(one, baseline)),
        claim_of(expected.get("score")),
        claim_of(expected.get("ceiling_score")),
    )


def _per_1k(one: Estimate | None) -> float | None:
    """Dollars for 1,000 calls, None where the cost of a call is unknown."""
    return None if one is None or one.value is None or one.unknown else one.value * 1000


def _done(one: Certified) -> ReplayedArray:
    return replay_array(one.locked.policy, one.certify_table, one.locked.signals)


def _saved(one: Certified, baseline: str | None) -> Estimate | None:
    """Return the share saved against the baseline, the ceiling where none is named."""
    table = one.certify_table
    name = baseline or one.task.ceiling
    if name not in table.cost_usd or not table.n:
        return None
    groups = groups_of(table.groups, table.query_ids)
    return saving_of(_done(one).cost_usd, table.cost_usd[name], SOURCE, groups)


def verdict_words(found: Verdict) -> str:
    """Return a verdict as a sentence."""
    return f"{KINDS[found.kind]}: {found.reason}"


def _blocks(one: Certified) -> Iterator[Prose | Table | Plot]:
    """Yield a task's verdict and promise, then its tables, then its plots, then the method."""
    stated, advice = one.locked.guarantee, verdict(one)
    yield Prose(verdict_words(advice), TONES.get(advice.kind, "plain"))
    yield Prose(f"Policy: {policy_words(one.locked.policy, one.locked.signals)}.")
    yield Prose(f"Promise: {guarantee_words(stated, one.task.ceiling)}.")
    if stated.why and stated.why != advice.reason:
        yield Prose(stated.why)
    for said in (*advice.notes, *one.warnings, *_unusable(one)):
        yield Prose(said, "warn")
    if is_long(one.locked.policy, one.locked.signals):
        yield states_table(state_lines(one.locked.policy, one.locked.signals, _done(one)))
    yield _keeping(one)
    if stated.beside:
        yield _beside(one)
    tried = alternatives_table(one)
    if tried is not None:
        yield tried
    yield from plots(one)
    yield from _details(one)


def _unusable(one: Certified) -> Iterator[str]:
    """Say which tiers gave answers that cannot be used: a policy never sends them."""
    table = one.certify_table
    for tier in one.task.tiers:
        if tier not in table.failure:
            continue
        failed = int(((table.failure[tier] != 0) & table.available[tier]).sum())
        if failed:
            yield f"{failed} of {table.n} answers of {tier!r} on certify rows could not be used."


def _keeping(one: Certified) -> Table:
    kept = sorted(one.locked.kept.items(), key=lambda pair: -pair[1])
    names = {"None": "nobody"}
    rows = tuple((names.get(tier, tier), Claim(share, "share")) for tier, share in kept)
    columns = (Column("tier"), Column("answers of certify rows", numeric=True))
    return Table(title="What each tier keeps", columns=columns, rows=rows)


def _beside(one: Certified) -> Table:
    columns = (
        Column("promise beside it"),
        Column("seen", numeric=True),
        Column("bound", numeric=True),
        Column("n", numeric=True),
        Column("state"),
    )
    rows = tuple(
        (
            promise_words(other.promise, other.level, one.task.ceiling),
            claim_of(other.estimate),
            None if other.bound is None else Claim(other.bound, "score"),
            Claim(other.n, "count"),
            "certified" if other.certified else "estimated",
        )
        for other in one.locked.guarantee.beside
    )
    return Table(title="What is promised beside it", columns=columns, rows=rows)


def _details(one: Certified) -> Iterator[Prose]:
    stated = one.locked.guarantee
    if stated.method:
        yield Prose(f"Method: {stated.method}. {' '.join(stated.assumptions)}")
