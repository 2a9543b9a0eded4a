"""Small interval bars beside figures: one scale per column, so that rows can be compared."""

from collections.abc import Sequence

from msgspec import Struct

from stepdown.adapters.render.axis import drawable
from stepdown.adapters.render.markup import Markup, tag
from stepdown.core.report import Claim

_WIDTH, _HEIGHT, _EDGE = 64, 10, 3


class Span(Struct, frozen=True):
    """The ends of the scale that a column shares."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return _EDGE + share * (_WIDTH - 2 * _EDGE)


def whisker(claim: Claim, scale: Span) -> Markup:
    """Draw an interval and its value; hidden from screen readers, which have the text."""
    if not _complete(claim):
        return Markup()
    low, value, high = (scale.at(v or 0.0) for v in (claim.low, claim.value, claim.high))
    middle = _HEIGHT // 2
    return tag(
        "svg",
        tag("line", x1=0, y1=middle, x2=_WIDTH, y2=middle),
        tag("path", d=f"M{low:.1f},{middle}H{high:.1f}M{low:.1f},2v6M{high:.1f},2v6"),
        tag("circle", cx=value, cy=middle, r=2.2),
        class_="bar",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        aria_hidden="true",
    )


def span(claims: Sequence[Claim]) -> Span | None:
    """Return a scale for the claims of a column, when two or more have intervals of one unit."""
    own = [claim for claim in claims if _complete(claim)]
    if len(own) < 2 or len({claim.unit for claim in own}) > 1:
        return None
    ends = [v for claim in own for v in (claim.low, claim.value, claim.high) if v is not None]
    low, high = min(ends), max(ends)
    return Span(low, high) if high > low else None


def _complete(claim: Claim) -> bool:
    return drawable(claim.value) and drawable(claim.low) and drawable(claim.high)
