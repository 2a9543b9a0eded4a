"""`--fail-if 'waste_usd>500'`: one figure of the audit compared with a number, for CI."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from stepdown.audit.bill import AuditReport, Measure
from stepdown.errors import ConfigError

_SHAPE = re.compile(r"\s*([A-Za-z_0-9]+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


class Gate(Struct, frozen=True):
    """A comparison that says when the audit has failed."""

    metric: str
    sign: str
    limit: float

    def fires(self, report: AuditReport) -> tuple[bool, float]:
        """Return whether it holds, and the figure.

        Raises:
            ConfigError: the figure is unknown in this log, so nothing can be said.
        """
        value = METRICS[self.metric](report)
        if value is None:
            raise ConfigError(
                f"--fail-if: {self.metric} is unknown in this log.",
                "Choose a figure that the log tells, such as calls or error_share.",
            )
        return _OPERATORS[self.sign](value, self.limit), value


def gate_of(text: str) -> Gate:
    """Read `METRIC OP NUMBER`.

    Raises:
        ConfigError: it has another form, or names no metric; names the nearest.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--fail-if {text!r} cannot be read.",
            "Write METRIC OP NUMBER, such as 'waste_usd>500'. OP is one of > >= < <= == !=.",
        )
    metric, sign, limit = found.groups()
    if metric not in METRICS:
        near = difflib.get_close_matches(metric, METRICS, n=1, cutoff=0.4)
        hint = f"Nearest: {near[0]}. " if near else ""
        raise ConfigError(
            f"--fail-if: there is no metric {metric!r}.", f"{hint}Known: {', '.join(METRICS)}."
        )
    return Gate(metric, sign, float(limit))


def _waste(report: AuditReport, end: Callable[[Measure], float | None]) -> float:
    """Return the sum over steps of the largest measure of each: measures of one step overlap."""
    return sum(max((end(m) or 0.0 for m in step.measures), default=0.0) for step in report.steps)


def _share(part: float, report: AuditReport) -> float | None:
    return part / report.calls if report.calls else None


def _saved(report: AuditReport, end: str) -> float:
    savings = [step.advice.saving for step in report.steps]
    return sum(float(getattr(saving, end)) for saving in savings if saving is not None)


METRICS: Mapping[str, Callable[[AuditReport], float | None]] = {
    "calls": lambda r: r.calls,
    "cost_usd": lambda r: r.cost.usd,
    "cost_usd_month": lambda r: (
        None if r.cost.usd is None or r.month_factor is None else r.cost.usd * r.month_factor
    ),
    "usd_per_message": lambda r: r.usd_per_message,
    "waste_usd": lambda r: _waste(r, lambda m: m.high_usd),
    "waste_usd_low": lambda r: _waste(r, lambda m: m.low_usd),
    "saving_usd_low": lambda r: _saved(r, "low_usd"),
    "saving_usd_high": lambda r: _saved(r, "high_usd"),
    "error_share": lambda r: _share(r.errors, r),
    "retries": lambda r: sum(step.retries for step in r.steps),
    "unknown_cost_calls": lambda r: r.cost.unknown,
    "unnamed_share": lambda r: _share(r.read.unnamed, r),
    "estimated_share": lambda r: _share(r.input_tokens.estimated, r),
    "refused_rows": lambda r: r.read.refused_rows,
    "steps": lambda r: len(r.steps),
}
