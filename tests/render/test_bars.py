"""Bars: what they show, how ranges and steps down are drawn, in a page and in a terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.adapters.render import bars
from stepdown.adapters.render.html import html_document
from stepdown.core.report import Bar, Bars, Document, Section

FALL = Bars(
    title="From today's bill to what is left",
    unit="usd",
    bars=(
        Bar.of("today", 100.0, total=True),
        Bar("intent", 90.0, 60.0, 100.0),
        Bar("draft", 60.0, 40.0, 60.0),
        Bar("after", 40.0, 90.0, total=True),
    ),
    notes=("Dark: at worst.",),
)


def rectangles(text: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="([^"]+)"', text)
    return [(tone, float(x), float(x) + float(width)) for x, width, tone in found]


def test_a_step_down_begins_where_the_bar_before_it_ends() -> None:
    drawn = rectangles(bars.svg(FALL, bars.WIDE, "f"))
    (today, intent, draft) = (
        next(r for r in drawn if r[0] == "total"),
        next(r for r in drawn if r[0] == "saved light"),
        [r for r in drawn if r[0] == "saved light"][1],
    )
    assert intent[2] == pytest.approx(today[2], abs=0.02)
    assert draft[2] == pytest.approx(intent[1], abs=0.02)


def test_a_saving_that_may_be_nothing_is_still_a_saving() -> None:
    tones = [tone for tone, *_ in rectangles(bars.svg(FALL, bars.WIDE, "f"))]
    assert tones.count("saved light") == 2
    assert not any(tone.startswith("spent") for tone in tones)


def test_the_value_beside_a_bar_is_its_length_or_its_range() -> None:
    told = [bars.value_text(bar, FALL) for bar in FALL.bars]
    assert told == ["$100.00", "$10.00 to $40.00", "$0.00 to $20.00", "$40.00 to $90.00"]


def test_in_a_terminal_bars_stand_under_each_other_and_fit() -> None:
    for width in (40, 80, 120):
        lines = bars.text_rows(FALL, width)
        assert len(lines) == 4
        assert max(map(len, lines)) <= width
    today, intent, *_ = bars.text_rows(FALL, 80)
    assert today.rindex(bars.FULL) == intent.rindex(bars.FULL)
    assert bars.LIGHT in intent
    narrow = bars.text_rows(FALL, 24)
    assert narrow[0] == "today: $100.00"


def test_an_unknown_value_is_not_drawn_and_stands_in_no_scale() -> None:
    odd = Bars(title="t", bars=(Bar.of("a", 1.0), Bar.of("b", float("nan"))))
    assert [bar.label for bar in bars.drawn(odd)] == ["a"]
    assert "nan" not in bars.svg(odd, bars.WIDE, "f")
    assert "unknown" in html_document(page(odd))


def test_nothing_to_draw_is_said() -> None:
    assert "nothing to draw" in html_document(page(Bars(title="t", bars=())))


def test_a_page_with_bars_has_them_in_words_for_readers_who_cannot_see() -> None:
    text = html_document(page(FALL))
    assert "The bars as a table (4)" in text
    assert "4 bars. today: $100.00; intent: $10.00 to $40.00" in text
    assert "Dark: at worst." in text


def page(block: Bars) -> Document:
    return Document(title="d", sections=(Section("s", (block,)),))


@given(
    st.lists(
        st.builds(
            Bar,
            st.text(max_size=60),
            st.floats(0, 1e9),
            st.floats(0, 1e9),
            st.floats(0, 1e9),
        ),
        max_size=8,
    )
)
def test_any_bars_stay_on_the_paper_and_in_the_width(rows: list[Bar]) -> None:
    found = Bars(title="t", bars=tuple(rows), unit="usd")
    for paper in (bars.WIDE, bars.NARROW):
        for _, left, right in rectangles(bars.svg(found, paper, "f")):
            assert 0 <= left <= right <= paper.width
    assert all(len(line) <= 100 for line in bars.text_rows(found, 100))
