"""The audit as pictures: what each step costs, and how the bill would step down."""

from __future__ import annotations

from stepdown.audit.bill import AuditReport, StepBill
from stepdown.core.report import Bar, Bars

MOST_BARS = 12
DARK = (
    "Dark: at worst; light: at best. Each step with its largest saving without another model, then "
    "another model for the rest, as in the table."
)


def spend_bars(report: AuditReport) -> tuple[Bars, ...]:
    """Return the bars of what steps cost, none where fewer than two costs are known."""
    known = [step for step in report.steps if step.cost.usd]
    if len(known) < 2:
        return ()
    factor = report.month_factor or 1.0
    bars = [Bar.of(step.name, factor * (step.cost.usd or 0.0)) for step in known[:MOST_BARS]]
    rest = known[MOST_BARS:]
    if rest:
        usd = factor * sum(step.cost.usd or 0.0 for step in rest)
        bars.append(Bar.of(f"{len(rest)} more steps", usd))
    when = "a month" if report.month_factor else "in the log"
    return (Bars(title=f"What each step costs {when}", bars=tuple(bars), unit="usd"),)


def waterfall(report: AuditReport) -> tuple[Bars, ...]:
    """Return the bill of today, what each step might save, and the bill that is left.

    None where nothing is to be saved, or no cost is known.
    """
    factor = report.month_factor or 1.0
    known = [step for step in report.steps if step.cost.usd]
    saving = sorted((s for s in known if _most(s) > 0), key=lambda s: (-_most(s), s.name))
    if not saving:
        return ()
    today = factor * sum(step.cost.usd or 0.0 for step in known)
    bars, level = [Bar.of("today", today, total=True)], today
    for step in saving[:MOST_BARS]:
        bars.append(_down(step.name, level, factor * _least(step), factor * _most(step)))
        level -= factor * _most(step)
    rest = saving[MOST_BARS:]
    if rest:
        least, most = (factor * sum(map(each, rest)) for each in (_least, _most))
        bars.append(_down(f"{len(rest)} more steps", level, least, most))
        level -= most
    worst = today - factor * sum(map(_least, saving))
    bars.append(Bar("after", max(level, 0.0), worst, total=True))
    return (
        Bars(
            title="From today's bill to what is left"
            + (", a month" if report.month_factor else ", over the log"),
            bars=tuple(bars),
            unit="usd",
            notes=(DARK,),
        ),
    )


def _down(label: str, level: float, least: float, most: float) -> Bar:
    return Bar(label, level - least, max(level - most, 0.0), level)


def _least(step: StepBill) -> float:
    return max(0.0, (step.cost.usd or 0.0) - (step.after_high_usd or 0.0))


def _most(step: StepBill) -> float:
    return max(0.0, (step.cost.usd or 0.0) - (step.after_low_usd or 0.0))
