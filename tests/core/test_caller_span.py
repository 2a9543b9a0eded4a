"""Follows W3C Recommendation "Trace Context", section 3.2 (level 1, 2021-11-23)."""

from __future__ import annotations

import pytest

from stepdown.core.caller_span import CallerSpan, read_caller_span
from stepdown.core.hints import read_hints

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RIGHT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("said", "sampled"),
    [
        (RIGHT, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_traceparent_names_the_span_of_the_caller(said: str, sampled: bool) -> None:
    assert read_caller_span(said) == CallerSpan(TRACE, SPAN, sampled)
    assert read_hints({"traceparent": said}).caller_span == CallerSpan(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "said",
    [
        "",
        RIGHT.upper(),
        f" {RIGHT}",
        f"{RIGHT}\n",
        f"{RIGHT}-00",
        f"{RIGHT}00",
        f"cc-{TRACE}-{SPAN}-01.x",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        f"{RIGHT},{RIGHT}",
    ],
)
def test_a_traceparent_that_breaks_the_format_is_as_if_it_was_not_sent(said: str) -> None:
    assert read_caller_span(said) is None
    assert read_hints({"traceparent": said}).caller_span is None
