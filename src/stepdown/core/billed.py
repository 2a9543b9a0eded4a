"""What was billed: sums by day, model and way of processing, ours or a provider's."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

TOKENS = ("input", "cached", "written", "written_1h", "output")  # classes, apart from each other


class BilledLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a bill; None is not said. `tokens` are by class, no token in two of them."""

    day: str | None = None
    model: str | None = None
    processing: str | None = None
    calls: int | None = None
    tokens: Mapping[str, int] = {}
    cost_usd: float | None = None
    unpriced_calls: int = 0
    item: str = ""


class BilledSums(Struct, frozen=True, kw_only=True):
    """A bill: where it comes from, its lines, and what was left out of it, counted."""

    source: str
    form: str
    lines: tuple[BilledLine, ...]
    left_out: Mapping[str, int] = {}

    @property
    def cost_usd(self) -> float | None:
        """The sum of the lines whose cost is known; None when none is."""
        known = [line.cost_usd for line in self.lines if line.cost_usd is not None]
        return sum(known) if known else None
