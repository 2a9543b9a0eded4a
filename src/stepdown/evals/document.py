"""The eval as a report: for each task the decision, who passes, and what each tier costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.evals.asking import SCORER_RAISED
from stepdown.evals.summary import Summary, TierFigures

RECORDED = "recorded: {said}; replayed, latency unknown, tokens estimated."
RUN_DIGITS = 12  # of a run's digest: enough to name it
TIER, COUNT = Column("tier"), Column("n", numeric=True)


def eval_document(
    summaries: Sequence[Summary],
    *,
    split: str = "",
    notes: Mapping[str, Sequence[str]] | None = None,
) -> Document:
    """Return the report on one or more tasks, fit for 80 columns.

    `split` says which rows were used; `notes` are further sentences per task, such as how its
    references were made.
    """
    more = notes or {}
    return Document(
        title="Eval",
        subtitle=", ".join(summary.task for summary in summaries),
        facts=_facts(summaries, split),
        sections=tuple(_section(summary, more.get(summary.task, ())) for summary in summaries),
        footer=_footer(summaries),
    )


def _facts(summaries: Sequence[Summary], split: str) -> tuple[tuple[str, str], ...]:
    runs = [f"{s.task} {s.run.removeprefix('sha256:')[:RUN_DIGITS]}" for s in summaries if s.run]
    found = (("rows", split), ("runs" if len(runs) > 1 else "run", ", ".join(runs)))
    return tuple((name, said) for name, said in found if said)


def _section(summary: Summary, notes: Sequence[str]) -> Section:
    decision = summary.decision
    spread = _spread(summary)
    return Section(
        title=summary.task,
        blocks=(
            Prose(decision.text, "warn" if decision.chosen is None else "good"),
            *_stopped(summary),
            *_raised(summary),
            _scores(summary, notes),
            *(() if spread is None else (spread,)),
            _costs(summary),
        ),
    )


def _stopped(summary: Summary) -> tuple[Prose, ...]:
    """Say which tiers ended early: what they show is not about the whole set."""
    return tuple(
        Prose(
            f"{f.tier} was stopped after {summary.samples - f.unscored:,} of "
            f"{summary.samples:,} samples: {f.stopped.rstrip('.')}.",
            "bad",
        )
        for f in summary.tiers
        if f.stopped is not None
    )


def _raised(summary: Summary) -> tuple[Prose, ...]:
    """Say on how many answers the scorer itself failed: their 0 is not the tier's fault."""
    counts = [(f.tier, f.failures.get(SCORER_RAISED, 0)) for f in summary.tiers]
    said = ", ".join(f"{count:,} of {tier}" for tier, count in counts if count)
    if not said:
        return ()
    text = (
        f"The scorer raised, by answers: {said}. These count 0 (on the ceiling's answer the "
        "ceiling counts as right): `stepdown eval show --failures` names each error."
    )
    return (Prose(text, "bad"),)


def _scores(summary: Summary, notes: Sequence[str]) -> Table:
    of_all = any(f.score_of_all is not None for f in summary.tiers)
    columns = (
        TIER,
        Column("score", numeric=True),
        COUNT,
        *((Column("of all rows", numeric=True),) if of_all else ()),
        Column("against the ceiling", numeric=True),
        *((Column("pairs", numeric=True),) if _apart(summary) else ()),
        *((Column("floor"),) if summary.floor_given else ()),
        Column("verdict"),
    )
    basis = (_floor_note(summary), _test_note(summary), *_count_notes(summary))
    return Table(
        title=f"Score by {summary.scorer}, 0 to 1",
        columns=columns,
        rows=tuple(_score_row(summary, f, of_all) for f in summary.tiers),
        notes=(*basis, *notes, *_recorded(summary)),
    )


def _apart(summary: Summary) -> bool:
    """Say whether a score is over other rows than its difference to the ceiling."""
    return any(f.score.n != f.paired for f in summary.tiers)


def _score_row(summary: Summary, figures: TierFigures, of_all: bool) -> tuple[Cell, ...]:
    whole = figures.score_of_all or figures.score
    return (
        figures.tier,
        _plain_n(figures.score),
        Claim(figures.score.n, "count"),
        *((_plain_n(whole),) if of_all else ()),
        None if figures.difference is None else _plain_n(figures.difference),
        *((Claim(figures.paired, "count"),) if _apart(summary) else ()),
        *((FLOOR_WORDS.get(figures.floor_verdict or ""),) if summary.floor_given else ()),
        _verdict(figures) if summary.ceiling_asked else "ceiling not asked",
    )


FLOOR_WORDS = {"met": "met", "missed": "missed", "undecided": "open", "no_data": "no scores"}


REPEATS = (
    "Scores above are means of each sample's repeats, and samples count as rows: repeats lower "
    "only the part within (Miller 2024)."
)


def _spread(summary: Summary) -> Table | None:
    """Return the table of variances, None where each sample was asked once."""
    rows = tuple(
        (
            f.tier,
            Claim(math.sqrt(f.between), "score"),
            Claim(math.sqrt(f.within), "score"),
            Claim(f.between / (f.between + f.within) if f.between + f.within else None, "share"),
        )
        for f in summary.tiers
        if f.between is not None and f.within is not None
    )
    if not rows:
        return None
    return Table(
        title=f"Spread of the score, each sample asked {summary.repeat} times",
        columns=(
            TIER,
            Column("sd between samples", numeric=True),
            Column("sd within a sample", numeric=True),
            Column("share between", numeric=True),
        ),
        rows=rows,
        notes=(REPEATS,),
    )


def _plain_n(claim: Claim) -> Claim:
    """Return the claim without its n, which has a column of its own."""
    return Claim(claim.value, claim.unit, claim.low, claim.high, claim.level)


def _verdict(figures: TierFigures) -> str:
    if figures.stopped is not None and figures.verdict == "no_data":
        return "stopped"
    if figures.verdict == "undecided" and figures.more_labels is not None:
        return f"not decidable: label about {figures.more_labels:,} more"
    names = {"undecided": "not decidable", "no_data": "no scores"}
    return names.get(figures.verdict, figures.verdict)


def _costs(summary: Summary) -> Table:
    kept = any(f.reused for f in summary.tiers)
    columns = (
        TIER,
        Column("p50", numeric=True),
        Column("p95", numeric=True),
        Column("$/1k calls", numeric=True),
        Column("cost unknown", numeric=True, optional=True),
        *((Column("kept", numeric=True, optional=True),) if kept else ()),
        Column("failures"),
    )
    return Table(
        title="Latency and cost",
        columns=columns,
        rows=tuple(_cost_row(f, kept) for f in summary.tiers),
        notes=(*_latency_notes(summary), *_unknown_notes(summary), *_recorded(summary)),
    )


def _cost_row(figures: TierFigures, kept: bool) -> tuple[Cell, ...]:
    failed = ", ".join(f"{kind} {count:,}" for kind, count in figures.failures.items())
    return (
        figures.tier,
        _time(figures.latency_p50_s, figures),
        _time(figures.latency_p95_s, figures),
        figures.usd_per_1k,
        Claim(figures.cost_unknown, "count"),
        *((Claim(figures.reused, "count"),) if kept else ()),
        failed or "none",
    )


def _time(claim: Claim, figures: TierFigures) -> Claim:
    return Claim(claim.value, claim.unit, note="kept" if figures.latency_earlier else "")


def _latency_notes(summary: Summary) -> tuple[str, ...]:
    """Say which calls the latencies are of: an answer that was kept was not waited for now."""
    mixed = [
        f"{f.tier} over {f.latency_p50_s.n:,} calls"
        for f in summary.tiers
        if f.reused and not f.latency_earlier and f.latency_p50_s.n
    ]
    found = [f"Kept answers are left out of latency: {', '.join(mixed)}."] if mixed else []
    if any(f.latency_earlier for f in summary.tiers):
        found.append("kept: every answer was; the latency is what the run that asked measured.")
    return tuple(found)


def _floor_note(summary: Summary) -> str:
    if not summary.ceiling_asked:
        given = "" if not summary.floor_given else f" Floor {summary.floor:.3f} (given)."
        return f"The ceiling, {summary.ceiling}, was not asked.{given}"
    if summary.floor is None or summary.ceiling_score is None:
        return f"The ceiling, {summary.ceiling}, has no score here, so there is no floor."
    how = "given" if summary.floor_given else f"ceiling less {summary.decision.max_loss:g}"
    ceiling = f"Ceiling {summary.ceiling_score:.3f} ({summary.ceiling})"
    return f"{ceiling}; floor {summary.floor:.3f} ({how})."


def _test_note(summary: Summary) -> str:
    decision = summary.decision
    tests = ", ".join(("Holm (1979)", *decision.methods))
    many = summary.tasks_together
    divided = f" ({decision.delta * many:g} divided among {many} tasks)" if many > 1 else ""
    tiers = "1 tier" if decision.candidates == 1 else f"{decision.candidates} tiers"
    return (
        f"passes: loses less than {decision.max_loss:g} against the ceiling on the same rows; "
        f"{tiers} tested at once, chance of any wrong pass {decision.delta:g}{divided}: "
        f"{tests}. A decision of this eval, not a certificate."
    )


def _count_notes(summary: Summary) -> tuple[str, ...]:
    lines = [f"{f.tier}: {f.unscored:,} not scored" for f in summary.tiers if f.unscored]
    grouped = summary.groups < summary.samples
    by = (f"{summary.samples:,} samples in {summary.groups:,} groups.",) if grouped else ()
    return (*by, f"Left out: {'; '.join(lines)}.") if lines else by


def _unknown_notes(summary: Summary) -> tuple[str, ...]:
    unknown = [f"{f.tier} {f.cost_unknown:,}" for f in summary.tiers if f.cost_unknown]
    return (f"Calls without a known cost: {', '.join(unknown)}.",) if unknown else ()


def _recorded(summary: Summary) -> tuple[str, ...]:
    said = [f"{figures.tier}: {figures.recorded}" for figures in summary.tiers if figures.recorded]
    return (RECORDED.format(said=", ".join(said)),) if said else ()


def _footer(summaries: Sequence[Summary]) -> str:
    """State what several tasks mean for the chance of a wrong pass (a union bound)."""
    if len(summaries) < 2:
        return ""
    whole = sum(s.decision.delta for s in summaries)
    if summaries[0].tasks_together > 1:
        return (
            f"{len(summaries)} tasks share their chance of a wrong pass: that any tier of any task "
            f"passes wrongly has a chance of at most {min(1.0, whole):g}."
        )
    return (
        f"{len(summaries)} tasks: each has its own chance of a wrong pass; it is not divided among "
        f"them. That any tier of any task passes wrongly may have a chance of up to "
        f"{min(1.0, whole):g}; --family divides delta."
    )
