"""The eval as a report: for each task the decision, who passes, and what each tier costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.evals.summary import Summary, TierFigures

RECORDED = "recorded: {said}; replayed, latency unknown, tokens estimated."
SCORES = (
    Column("tier"),
    Column("score", numeric=True),
    Column("against the ceiling", numeric=True),
    Column("n", numeric=True, optional=True),
    Column("verdict"),
)
COSTS = (
    Column("tier"),
    Column("p50", numeric=True),
    Column("p95", numeric=True),
    Column("$/1k calls", numeric=True),
    Column("cost unknown", numeric=True, optional=True),
    Column("failures"),
)


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
        facts=(("rows", split),) if split else (),
        sections=tuple(_section(summary, more.get(summary.task, ())) for summary in summaries),
        footer=_footer(summaries),
    )


def _section(summary: Summary, notes: Sequence[str]) -> Section:
    decision = summary.decision
    return Section(
        title=summary.task,
        blocks=(
            Prose(decision.text, "warn" if decision.chosen is None else "good"),
            _scores(summary, notes),
            _costs(summary),
        ),
    )


def _scores(summary: Summary, notes: Sequence[str]) -> Table:
    rows = tuple(_score_row(figures) for figures in summary.tiers)
    basis = (_floor_note(summary), _test_note(summary), *_count_notes(summary))
    return Table(
        title=f"Score by {summary.scorer}, 0 to 1",
        columns=SCORES,
        rows=rows,
        notes=(*basis, *notes, *_recorded(summary)),
    )


def _score_row(figures: TierFigures) -> tuple[Cell, ...]:
    return (
        figures.tier,
        _plain_n(figures.score),
        None if figures.difference is None else _plain_n(figures.difference),
        Claim(figures.paired, "count"),
        _verdict(figures),
    )


def _plain_n(claim: Claim) -> Claim:
    """Return the claim without its n, which has a column of its own."""
    return Claim(claim.value, claim.unit, claim.low, claim.high, claim.level)


def _verdict(figures: TierFigures) -> str:
    if figures.verdict == "undecided" and figures.more_labels is not None:
        return f"not decidable: label about {figures.more_labels:,} more"
    names = {"undecided": "not decidable", "no_data": "no scores"}
    return names.get(figures.verdict, figures.verdict)


def _costs(summary: Summary) -> Table:
    return Table(
        title="Latency and cost",
        columns=COSTS,
        rows=tuple(_cost_row(figures) for figures in summary.tiers),
        notes=(*_unknown_notes(summary), *_recorded(summary)),
    )


def _cost_row(figures: TierFigures) -> tuple[Cell, ...]:
    failed = ", ".join(f"{kind} {count:,}" for kind, count in figures.failures.items())
    return (
        figures.tier,
        figures.latency_p50_s,
        figures.latency_p95_s,
        figures.usd_per_1k,
        Claim(figures.cost_unknown, "count"),
        failed or "none",
    )


def _floor_note(summary: Summary) -> str:
    if summary.floor is None or summary.ceiling_score is None:
        return f"The ceiling, {summary.ceiling}, has no score here, so there is no floor."
    how = "given" if summary.floor_given else f"ceiling less {summary.decision.max_loss:g}"
    ceiling = f"Ceiling {summary.ceiling_score:.3f} ({summary.ceiling})"
    return f"{ceiling}; floor {summary.floor:.3f} ({how})."


def _test_note(summary: Summary) -> str:
    decision = summary.decision
    tests = ", ".join(("Holm (1979)", *decision.methods))
    return (
        f"passes: loses less than {decision.max_loss:g} against the ceiling on the same rows; "
        f"{decision.candidates} tiers tested at once, chance of any wrong pass {decision.delta:g}: "
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
    if len(summaries) < 2:
        return ""
    return (
        f"{len(summaries)} tasks: each has its own chance of a wrong pass; it is not divided "
        "among them."
    )
