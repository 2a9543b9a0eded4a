"""Streamed cost equals whole cost to the last token, for every provider's way of counting."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from usage_corpus import CASES, PRICE, Case

from stepdown.adapters.models.wire.bedrock import EventStream
from stepdown.adapters.models.wire.chat_answer import ChatReading, read_chat
from stepdown.adapters.models.wire.converse_answer import ConverseReading, read_converse
from stepdown.adapters.models.wire.hosted import Parser, Reading
from stepdown.adapters.models.wire.messages_answer import MessageReading, read_message
from stepdown.adapters.models.wire.sse import EventParser
from stepdown.core.request import Completion, Request, Usage

ASKED = Request(id="1", task="t", input="Hello")


def whole(case: Case) -> Completion:
    data = msgspec.json.encode(case.whole)
    if case.wire == "openai":
        return read_chat(data, ASKED)
    return read_message(data) if case.wire == "anthropic" else read_converse(data)


def streamed(case: Case, size: int) -> Completion:
    """The answer of a stream that comes in pieces of `size` bytes."""
    made: dict[str, tuple[Parser, Reading]] = {
        "openai": (EventParser(), ChatReading(ASKED)),
        "anthropic": (EventParser(), MessageReading()),
        "bedrock": (EventStream(), ConverseReading()),
    }
    parser, reading = made[case.wire]
    for start in range(0, len(case.stream), size):
        for event in parser.feed(case.stream[start : start + size]):
            reading.take(event)
    assert reading.done
    return reading.completion()


def called(done: Completion) -> list[tuple[str, str, object]]:
    return [(call.id, call.name, json.loads(call.arguments)) for call in done.tool_calls]


@pytest.mark.parametrize("size", [1, 13, 100_000])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stream_costs_what_the_whole_answer_costs_to_the_last_token(
    case: Case, size: int
) -> None:
    one, other = whole(case), streamed(case, size)
    assert one.usage == other.usage == case.usage
    assert called(one) == called(other)
    paid = {PRICE.cost_usd(done.usage, 1.0) for done in (one, other)}
    assert len(paid) == 1
    cost = paid.pop()
    if case.micro_usd is None:
        assert cost is None
    else:
        assert cost == pytest.approx(case.micro_usd / 1e6, rel=1e-12)


def test_a_stream_without_usage_is_unknown_and_never_free() -> None:
    counted = [case for case in CASES if case.micro_usd is None]
    assert [PRICE.cost_usd(streamed(case, 7).usage, 1.0) for case in counted] == [None]
    assert PRICE.cost_usd(Usage(input_tokens=5), 1.0) is None


def test_every_case_names_its_document() -> None:
    assert all(case.document for case in CASES)
    assert Path(__file__).with_name("usage_corpus.py").read_text().count("read 2026-11") == 1


def test_what_a_cache_took_costs_its_own_price_or_else_what_input_costs() -> None:
    usage = Usage(input_tokens=100, output_tokens=0, cache_write_tokens=60)
    assert PRICE.cost_usd(usage, 1.0) == pytest.approx((40 * 3 + 60 * 3.75) / 1e6)
    plain = msgspec.structs.replace(PRICE, cache_write_usd_per_mtok=None)
    assert plain.cost_usd(usage, 1.0) == pytest.approx(100 * 3 / 1e6)
