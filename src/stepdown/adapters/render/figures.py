"""How a figure is written: the only place that turns numbers into text for people.

Bounds are rounded outwards, so that a shown interval never claims more than the true one.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from msgspec import Struct

from stepdown.core.report import Claim, Unit

UNKNOWN = "unknown"
_SIGNIFICANT = 3
_MOST_PLACES = 12
_EXACT = Context(prec=400)
# Below this reference (seconds): factor, suffix, decimal places.
_DURATIONS = (
    (Decimal("0.0000995"), 1_000_000, " µs", 0),
    (Decimal("0.00995"), 1000, " ms", 1),
    (Decimal("0.9995"), 1000, " ms", 0),
    (Decimal("119.95"), 1, " s", 1),
)


class Style(Struct, frozen=True):
    """How numbers near one reference are written: `prefix`, value * `factor`, `suffix`."""

    prefix: str = ""
    suffix: str = ""
    factor: Decimal = Decimal(1)
    places: int = 0

    def text(self, value: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
        """Write `value` with its prefix and suffix, rounded to `places`."""
        sign = "-" if value < 0 else ""
        return f"{sign}{self.prefix}{self.bare(value, rounding).lstrip('-')}{self.suffix}"

    def bare(self, value: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
        """Write `value` without prefix and suffix."""
        rounded = self.rounded(value, rounding)
        return f"{rounded or abs(rounded):,f}"

    def rounded(self, value: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
        """Return the scaled value at this number of places."""
        scaled = _EXACT.multiply(value, self.factor)
        return scaled.quantize(self.unit, rounding=rounding, context=_EXACT)

    @property
    def unit(self) -> Decimal:
        """The smallest step that this style can show, after scaling."""
        return Decimal(1).scaleb(-self.places)


def number(value: float | None, unit: Unit = "") -> str:
    """Write one number with its unit: `$0.00123`, `61 ms`, `82.1%`, `0.913`, `12,345`.

    A number that is not zero is never written as zero (`<0.1%`), a share or a score below 1 is
    never written as 1 (`>99.9%`). None, NaN and infinities are `unknown`.
    """
    exact = _decimal(value)
    if exact is None:
        return UNKNOWN
    style = _style(exact, unit)
    if exact and not style.rounded(exact):
        return _nearly_zero(exact, style)
    if unit in ("share", "score") and exact < 1 and style.rounded(exact) >= style.factor:
        return f">{style.prefix}{style.factor - style.unit}{style.suffix}"
    return style.text(exact)


def figure(claim: Claim) -> str:
    """Write the value of a claim, without its interval."""
    return number(claim.value, claim.unit)


def interval(claim: Claim) -> str:
    """Write the interval in the units of the value: `[0.88, 0.94]`, `[≥ 0.88]`, or nothing."""
    low, high = _decimal(claim.low), _decimal(claim.high)
    if low is None and high is None:
        return ""
    style = _interval_style(_decimal(claim.value), low, high, claim.unit)
    least = "" if low is None else style.bare(low, ROUND_FLOOR)
    most = "" if high is None else style.bare(high, ROUND_CEILING)
    if least and most:
        return f"[{least}, {most}]"
    return f"[≥ {least}]" if least else f"[≤ {most}]"


def sample_size(claim: Claim) -> str:
    """Write `n=1,203`, or nothing."""
    return "" if claim.n is None else f"n={claim.n:,}"


def claim_text(claim: Claim) -> str:
    """Write a whole claim: `0.913 [0.88, 0.94] n=500 estimated`."""
    parts = (figure(claim), interval(claim), sample_size(claim), claim.note)
    return " ".join(part for part in parts if part)


def tick(value: float, unit: Unit, step: float, reference: float) -> str:
    """Write a mark of an axis, to the precision of `step`, in the scale of `reference`."""
    style = _scale(abs(_decimal(reference) or Decimal(0)), unit)
    exact, exact_step = _decimal(value) or Decimal(0), _decimal(step) or Decimal(1)
    scaled = _EXACT.multiply(exact_step, style.factor).normalize(_EXACT)
    places = min(_MOST_PLACES, max(0, -int(scaled.as_tuple().exponent)))
    return Style(style.prefix, style.suffix, style.factor, places).text(exact)


def percent(level: float) -> str:
    """Write the level of an interval: `95%`, `99.5%`."""
    return f"{100 * level:.6g}%"


def _decimal(value: float | None) -> Decimal | None:
    if value is None or not math.isfinite(value):
        return None
    return Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)


def _style(reference: Decimal, unit: Unit) -> Style:
    """Choose the style of a number and of the bounds around it."""
    size = abs(reference)
    if unit in ("count", "tokens", ""):
        return Style(places=_count_places(reference, unit))
    style = _scale(size, unit)
    if unit == "usd":
        return Style("$", places=_money_places(size))
    return style


def _scale(size: Decimal, unit: Unit) -> Style:
    if unit == "s":
        return _duration(size)
    if unit == "share":
        return Style(suffix="%", factor=Decimal(100), places=1)
    return Style("$") if unit == "usd" else Style(places=3 if unit == "score" else 0)


def _duration(size: Decimal) -> Style:
    if not size:
        return Style(suffix=" ms", factor=Decimal(1000))
    for below, factor, suffix, places in _DURATIONS:
        if size < below:
            return Style(suffix=suffix, factor=Decimal(factor), places=places)
    divisor, suffix = (60, " min") if size < 7197 else (3600, " h")
    return Style(suffix=suffix, factor=Decimal(1) / divisor, places=1)


def _money_places(size: Decimal) -> int:
    if size >= 10_000 or not size:
        return 0 if size else 2
    return 2 if size >= 1 else _significant_places(size)


def _count_places(value: Decimal, unit: Unit) -> int:
    if value == value.to_integral_value():
        return 0
    return _significant_places(value) if unit == "" else int(abs(value) < 1000)


def _significant_places(value: Decimal) -> int:
    """Return the places that show three significant digits after rounding (0.9996 is 1.00)."""
    magnitude = Context(prec=_SIGNIFICANT).plus(value).adjusted()
    return min(_MOST_PLACES, max(0, _SIGNIFICANT - 1 - magnitude))


def _nearly_zero(value: Decimal, style: Style) -> str:
    sign, relation = ("-", ">") if value < 0 else ("", "<")
    return f"{relation}{sign}{style.prefix}{style.unit:f}{style.suffix}"


def _interval_style(
    value: Decimal | None, low: Decimal | None, high: Decimal | None, unit: Unit
) -> Style:
    known = [number for number in (value, high, low) if number is not None]
    style = _style(known[0], unit)
    if unit == "score" and low is not None and high is not None and high - low >= Decimal("0.05"):
        return Style(places=2)
    return style
