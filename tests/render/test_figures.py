"""A figure is written the same way everywhere, and never says more than is known."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.adapters.render.figures import claim_text, interval, number, percent, tick
from stepdown.core.report import Claim, Unit

FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNITS: st.SearchStrategy[Unit] = st.sampled_from(("", "usd", "s", "share", "score", "count"))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0012345, "usd", "$0.00123"),
        (0.00123, "usd", "$0.00123"),
        (0.0000000123, "usd", "$0.0000000123"),
        (0.9996, "usd", "$1.00"),
        (12.3, "usd", "$12.30"),
        (9876.543, "usd", "$9,876.54"),
        (1234567.8, "usd", "$1,234,568"),
        (-12.3, "usd", "-$12.30"),
        (0.0, "usd", "$0.00"),
        (1e-20, "usd", "<$0.000000000001"),
        (0.0004, "s", "0.4 ms"),
        (0.00996, "s", "10 ms"),
        (0.0612, "s", "61 ms"),
        (0.9996, "s", "1.0 s"),
        (1.93, "s", "1.9 s"),
        (90, "s", "90.0 s"),
        (150, "s", "2.5 min"),
        (7200, "s", "2.0 h"),
        (0.0000042, "s", "4 µs"),
        (0.0, "s", "0 ms"),
        (0.8214, "share", "82.1%"),
        (1.0, "share", "100.0%"),
        (0.99999, "share", ">99.9%"),
        (0.0001, "share", "<0.1%"),
        (-0.0001, "share", ">-0.1%"),
        (0.0, "share", "0.0%"),
        (-0.25, "share", "-25.0%"),
        (0.9134, "score", "0.913"),
        (0.99996, "score", ">0.999"),
        (1, "score", "1.000"),
        (1204, "count", "1,204"),
        (12.44, "tokens", "12.4"),
        (1234567.0, "tokens", "1,234,567"),
        (0.03456, "", "0.0346"),
        (7.0, "", "7"),
        (None, "usd", "unknown"),
        (math.nan, "score", "unknown"),
        (math.inf, "s", "unknown"),
    ],
)
def test_a_number_is_written_with_its_unit(value: float | None, unit: Unit, text: str) -> None:
    assert number(value, unit) == text


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (Claim(0.913, "score", 0.88, 0.94), "0.913 [0.88, 0.94]"),
        (Claim(0.9974, "score", 0.9951, 0.9989), "0.997 [0.995, 0.999]"),
        (Claim(0.821, "share", 0.7904, 0.8501), "82.1% [79.0, 85.1]"),
        (Claim(0.00123, "usd", 0.0011, 0.0014), "$0.00123 [0.00110, 0.00140]"),
        (Claim(0.061, "s", 0.0584, 1.2), "61 ms [58, 1,200]"),
        (Claim(0.913, "score", low=0.8861), "0.913 [≥ 0.886]"),
        (Claim(0.012, "score", high=0.0196), "0.012 [≤ 0.020]"),
        (Claim(None, "score", high=0.0196), "unknown [≤ 0.020]"),
        (Claim(0.5, "score", math.nan, math.inf), "0.500"),
        (Claim(0.913, "score", n=1203), "0.913 n=1,203"),
        (Claim(None, "s", note="recorded"), "unknown recorded"),
    ],
)
def test_a_claim_is_written_with_interval_n_and_note(claim: Claim, text: str) -> None:
    assert claim_text(claim) == text


@pytest.mark.parametrize(("level", "text"), [(0.95, "95%"), (0.995, "99.5%"), (0.9, "90%")])
def test_a_level_is_written_without_needless_digits(level: float, text: str) -> None:
    assert percent(level) == text


@pytest.mark.parametrize(
    ("value", "unit", "step", "reference", "text"),
    [
        (0.0005, "usd", 0.0005, 0.002, "$0.0005"),
        (0.85, "score", 0.05, 1, "0.85"),
        (0.8, "share", 0.2, 1, "80%"),
        (0.2, "s", 0.2, 0.8, "200 ms"),
        (1000, "count", 500, 2000, "1,000"),
        (0, "", 1, 3, "0"),
    ],
)
def test_a_mark_of_an_axis_shows_its_step(
    value: float, unit: Unit, step: float, reference: float, text: str
) -> None:
    assert tick(value, unit, step, reference) == text


@given(value=FINITE, unit=UNITS)
def test_no_number_is_written_in_scientific_notation(value: float, unit: Unit) -> None:
    assert re.fullmatch(r"[<>]?-?\$?[\d,]+(\.\d+)?(%| ms| µs| s| min| h)?", number(value, unit))


@given(value=FINITE, unit=UNITS)
def test_a_number_that_is_not_zero_is_never_written_as_zero(value: float, unit: Unit) -> None:
    text = number(value, unit)
    assert (value == 0) == (not re.search(r"[1-9]", text))


@given(low=st.floats(0, 1), width=st.floats(0, 1))
def test_a_shown_interval_of_scores_holds_the_true_one(low: float, width: float) -> None:
    high = min(1.0, low + width)
    shown = interval(Claim((low + high) / 2, "score", low, high))
    least, most = (float(part) for part in shown.strip("[]").split(", "))
    assert least <= low
    assert high <= most
