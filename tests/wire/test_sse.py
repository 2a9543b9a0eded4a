from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.adapters.models.wire.sse import EventParser


def test_events_end_with_an_empty_line_and_everything_else_is_dropped() -> None:
    text = b": comment\n\nevent: a\nid: 3\ndata: one\ndata:two\n\n\n\ndata: cut"
    assert EventParser().feed(text) == [b"one\ntwo"]


def test_a_byte_order_mark_is_not_part_of_the_field() -> None:
    assert EventParser().feed(b"\xef\xbb\xbfdata: x\n\n") == [b"x"]


@settings(deadline=None)
@given(
    events=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), max_size=5
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 200), max_size=20),
)
def test_where_the_stream_is_cut_makes_no_difference(
    events: list[str], end: str, cuts: list[int]
) -> None:
    data = "".join(f"data: {event}{end}{end}" for event in events).encode() + b": end\n"
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parser = EventParser()
    found = [event for start, stop in pairwise(places) for event in parser.feed(data[start:stop])]
    assert [event.decode() for event in found] == events
