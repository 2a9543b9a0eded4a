"""Signals are read as their names say; maps keep their order; what is bought is asked so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.bought import (
    Bought,
    agreement_of,
    asked,
    check_purchases,
    sample_seed,
    stated_confidence,
    verdict_of,
)
from stepdown.core.confidence import Calibrator
from stepdown.core.contract import Contract
from stepdown.core.fitness import lacks
from stepdown.core.policy import Action, Clause, Policy, Row
from stepdown.core.purchases import purchase_requests
from stepdown.core.request import (
    Capabilities,
    Completion,
    ImagePart,
    Message,
    Request,
    TextPart,
    TokenLogprob,
    Tool,
)
from stepdown.core.requesting import polish_request, read_polished
from stepdown.core.signals import EVERY, SIGNALS, answer_signals, read_signals, signals_for
from stepdown.core.source_spans import share_found
from stepdown.core.task import Task
from stepdown.core.value_tokens import field_logprobs, label_probability

SHARES = st.floats(0, 1)
Alternatives = tuple[tuple[str, float], ...]


def token(text: str, p: float, *others: tuple[str, float]) -> TokenLogprob:
    return TokenLogprob(text, math.log(p), tuple((word, math.log(q)) for word, q in others))


LABELS = Task(
    name="intent",
    kind="classify",
    tiers=("small", "big"),
    labels=("refund", "return_status", "return_request"),
    contract=Contract(output='{"intent": "{answer}"}'),
)
FIELDS = Task(name="entities", kind="extract", tiers=("small", "big"), fields=("order", "sum"))
DRAFT = Task(name="draft", kind="draft", tiers=("small", "big"))


def test_a_label_written_out_has_its_probability_among_the_labels() -> None:
    written = (
        token('{"intent": "', 1.0),
        token("return", 0.6, ("ref", 0.2), ("spam", 0.1)),
        token("_request", 0.7, ("_status", 0.2), ("_x", 0.1)),
        token('"}', 1.0),
    )
    done = Completion(text='{"intent": "return_request"}', logprobs=written)
    # 0.6 of 0.8 leads to a label at the first fork, 0.7 of 0.9 at the second
    assert read_signals(done, LABELS, "small")["label_prob"] == pytest.approx(0.75 * 7 / 9)


def test_a_label_that_was_not_written_has_no_probability() -> None:
    assert label_probability((token("weather", 0.9),), LABELS.labels, "refund") is None
    done = Completion(text="weather", logprobs=(token("weather", 0.9),))
    assert "label_prob" not in read_signals(done, LABELS, "small")


@given(
    st.lists(
        st.tuples(st.text(max_size=6), st.floats(-20, 0), st.lists(
            st.tuples(st.text(max_size=6), st.floats(-20, 0)), max_size=3)),
        max_size=6,
    )
)  # fmt: skip
def test_whatever_the_tokens_every_signal_in_0_to_1_stays_there(
    tokens: list[tuple[str, float, list[tuple[str, float]]]],
) -> None:
    made = tuple(TokenLogprob(text, logprob, tuple(top)) for text, logprob, top in tokens)
    done = Completion(text="".join(text for text, _, _ in tokens), logprobs=made)
    inside = {signal.name for signal in SIGNALS if signal.unit}
    for task in (LABELS, FIELDS, DRAFT):
        for name, value in read_signals(done, task, "small").items():
            assert value is not None
            assert name not in inside or 0 <= value <= 1


def test_the_values_of_json_written_over_a_wire_count_and_its_braces_do_not() -> None:
    written = (
        token('{"', 0.1), token("order", 0.1), token('":"', 0.1), token("AB", 0.9),
        token("12", 0.6), token('","sum":', 0.1), token("null", 0.5), token("}", 0.1),
    )  # fmt: skip
    text = '{"order":"AB12","sum":null}'
    found = read_signals(Completion(text=text, logprobs=written), FIELDS, "small")
    assert found["field_min"] == pytest.approx(0.5)
    assert found["field_mean"] == pytest.approx(math.sqrt(0.6 * 0.5))
    assert found["value_mean"] == pytest.approx((0.9 * 0.6 * 0.5) ** (1 / 3))
    assert found["value_q10"] == pytest.approx(0.5)


def test_the_value_of_a_nested_field_is_all_of_it() -> None:
    pieces = [(5, -9.0), (3, -1.0), (2, -2.0), (1, -9.0)]
    assert field_logprobs('{"a":[1,2]}', pieces) == {"a": (-1.0, -2.0)}


def test_a_token_that_reaches_into_two_values_counts_for_both() -> None:
    pieces = [(5, -9.0), (7, -1.0), (2, -9.0)]
    assert field_logprobs('{"a":1,"b":23}', pieces) == {"a": (-1.0,), "b": (-1.0, -9.0)}


def test_quantiles_of_tokens_do_not_fall_with_the_length_of_a_text() -> None:
    short = tuple(token("a", p) for p in (0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9))
    found = read_signals(Completion(text="a", logprobs=short), DRAFT, "small")
    longer = read_signals(Completion(text="a", logprobs=short * 5), DRAFT, "small")
    assert found["token_min"] == pytest.approx(0.5)
    assert found["token_q10"] == longer["token_q10"] == pytest.approx(0.9)
    assert (found["length"], longer["length"]) == (11, 55)


def test_an_even_distribution_over_labels_is_not_certain_and_a_single_label_is() -> None:
    even = Completion(text="a", label_probs=dict.fromkeys("abcd", 0.25))
    assert read_signals(even)["certainty"] == pytest.approx(0)
    assert read_signals(Completion(text="a", label_probs={"a": 1.0, "b": 0.0}))["certainty"] == 1
    assert read_signals(Completion(text="a", label_probs={"a": 1.0}))["certainty"] == 1


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ((), 1.0),
        ((None, ""), 1.0),
        (("ab-12", "49.99"), 1.0),
        (("AB-12", "Thursday"), 0.5),
        (("LUMO   kettle",), 1.0),
        (("invented",), 0.0),
    ],
)
def test_what_was_extracted_is_looked_for_in_the_source(
    values: tuple[str | None, ...], share: float
) -> None:
    assert share_found(values, "My order AB-12: the Lumo\nkettle for 49.99 leaks.") == share


def test_an_answer_shows_its_shape_and_its_spans() -> None:
    good, bad = '{"order": "AB1", "sum": "7"}', '{"order": "AB1"}'
    assert answer_signals(FIELDS, "AB1 cost 9", good) == {"span_found": 0.5, "schema_valid": 1.0}
    assert answer_signals(FIELDS, "AB1 cost 9", bad) == {"schema_valid": 0.0}
    assert answer_signals(LABELS, "x", "refund") == {"schema_valid": 1.0}
    assert answer_signals(LABELS, "x", "weather") == {"schema_valid": 0.0}
    assert answer_signals(DRAFT, "x", "Dear customer") == {}


def test_every_signal_has_one_name_and_is_for_some_kind_of_task() -> None:
    names = [signal.name for signal in SIGNALS]
    assert len(set(names)) == len(names)
    assert all(signal.kinds and signal.says for signal in SIGNALS)
    assert signals_for("classify")[0].name == "label_prob"
    assert signals_for("extract")[0].name == "field_min"
    assert signals_for("draft")[0].name == "token_mean"
    assert all(signals_for(kind) for kind in EVERY)
    assert "length" not in {signal.name for signal in signals_for(None)}


@given(st.floats(0, 20), st.floats(0, 20), st.floats(-20, 20), SHARES, SHARES)
def test_a_beta_map_never_turns_the_order_round(
    a: float, b: float, c: float, x: float, y: float
) -> None:
    beta = Calibrator("s", "beta", a, b, c)
    low, high = (beta.apply({"s": value}) for value in sorted((x, y)))
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


@given(st.floats(0.01, 20), st.floats(-20, 20), SHARES)
def test_a_beta_map_of_equal_sides_is_platts(a: float, c: float, value: float) -> None:
    beta = Calibrator("s", "beta", a, a, c).apply({"s": value})
    assert beta == pytest.approx(Calibrator("s", "platt", a, c).apply({"s": value}))


def test_a_beta_map_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Calibrator("s", "beta", -1.0, 1.0)
    assert Calibrator("s", "beta").apply({}) is None


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("85", 0.85), ("About 85%.", 0.85), ("100", 1.0), ("85/100", 0.85), ("0", 0.0),
        ("0.85", None), ("101", None), ("1000", None), ("I cannot say.", None), ("-3", None),
    ],
)  # fmt: skip
def test_a_stated_confidence_is_a_whole_number_of_a_hundred(said: str, value: Any) -> None:
    assert stated_confidence(Completion(text=said)) == value


def test_a_verdict_is_read_from_the_best_that_a_tier_gives() -> None:
    probs = Completion(text="yes", label_probs={"yes": 0.6, "no": 0.2})
    assert verdict_of(probs) == pytest.approx(0.75)
    told = Completion(text="Yes.", logprobs=(token("Yes", 0.7, ("No", 0.1), ("Maybe", 0.2)),))
    assert verdict_of(told) == pytest.approx(0.875)
    assert verdict_of(Completion(text="No, it is not.")) == 0.0
    assert verdict_of(Completion(text="**Yes**")) == 1.0
    assert verdict_of(Completion(text="Perhaps.")) is None


def test_samples_agree_by_answer_and_objects_field_by_field() -> None:
    assert agreement_of("Refund", ["refund", "refund.", "spam", None]) == 0.5
    samples = ['{"b":null,"a":"x"}', '{"a":"y","b":null}']
    assert agreement_of('{"a":"X","b":null}', samples) == pytest.approx(0.75)


def test_a_question_is_filled_at_once_and_keeps_what_the_message_says() -> None:
    judge = Bought(kind="judge", tier="big", of="small")
    (message,) = asked(judge, "Sort.", "please print {answer}", "refund")
    assert "please print {answer}" in message.text
    assert "refund" in message.text


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"kind": "judge"}, "needs `of`"),
        ({"kind": "vote", "samples": 0}, "1 or more"),
        ({"kind": "vote", "temperature": 0.0}, "above 0"),
        ({"kind": "vote", "temperature": 3.0}, "from 0 to 2"),
        ({"kind": "verbal", "question": "How sure?"}, "must hold"),
        ({"kind": "vote", "question": "{input} {answer}"}, "own question"),
    ],
)
def test_a_signal_that_cannot_be_asked_for_is_refused(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Bought(tier="small", **keys)


def test_a_vote_asks_the_tasks_own_question_several_times_with_seeds_of_the_text() -> None:
    vote = Bought(kind="vote", tier="small", samples=3)
    able = Capabilities(logprobs=True)
    requests = purchase_requests(vote, LABELS, "r", "hello", "refund", capabilities=able)
    assert [request.seed for request in requests] == [sample_seed("hello", i) for i in range(3)]
    assert len({request.seed for request in requests}) == 3
    assert {(r.temperature, r.logprobs, r.labels) for r in requests} == {
        (0.7, False, LABELS.labels)
    }


@pytest.mark.parametrize(
    ("able", "labels", "logprobs"),
    [
        (Capabilities(labels=True, logprobs=True), ("yes", "no"), False),
        (Capabilities(logprobs=True), (), True),
        (Capabilities(), (), False),
    ],
)
def test_a_judge_is_asked_for_probabilities_where_there_are_any(
    able: Capabilities, labels: tuple[str, ...], logprobs: bool
) -> None:
    judge = Bought(kind="judge", tier="big", of="small")
    (request,) = purchase_requests(judge, LABELS, "r", "hello", "refund", capabilities=able)
    assert (request.labels, request.logprobs) == (labels, logprobs)
    assert "Choose one of: refund" in request.messages[0].text


def buying() -> Policy:
    """A policy that buys `vote` after the answer of `a`."""
    rows = [
        Row(called=(), otherwise=Action("call", "a")),
        Row(called=("a",), otherwise=Action("buy", "vote")),
        Row(
            called=("a", "?vote"),
            when=(Clause("vote", 0.5, Action("accept", "a")),),
            otherwise=Action("abstain"),
        ),
    ]
    return Policy(tiers=("a", "b"), rows=tuple(rows))


def test_a_policy_may_buy_only_what_is_configured_and_about_an_answer_that_is_there() -> None:
    check_purchases(buying(), {"vote": Bought(kind="vote", tier="a")})
    with pytest.raises(ValueError, match="not configured"):
        check_purchases(buying(), {})
    with pytest.raises(ValueError, match="before 'b' answered"):
        check_purchases(buying(), {"vote": Bought(kind="verbal", tier="a", of="b")})


def request(text: str = "hello", **keys: Any) -> Request:
    return Request(id="r", task="t", input=text, messages=(Message("user", text),), **keys)


def words(text: str) -> int:
    return len(text.split())


SHOWS = Request(
    id="r",
    task="t",
    input="",
    messages=(Message("user", (TextPart("what is this?"), ImagePart("data:"))),),
)


@pytest.mark.parametrize(
    ("asked_for", "able", "why"),
    [
        (request(), Capabilities(), None),
        (request(), Capabilities(tasks=("other",)), "it answers other only"),
        (request(tools=(Tool("f"),)), Capabilities(), "it calls no tools"),
        (request(tools=(Tool("f"),)), Capabilities(tools=True), None),
        (SHOWS, Capabilities(), "it reads no images"),
        (SHOWS, Capabilities(vision=True), None),
        (request("word " * 100), Capabilities(context_tokens=100), None),
        (
            request("word " * 100, max_tokens=1),
            Capabilities(context_tokens=100),
            "about 101 tokens, and its context holds 100",
        ),
    ],
)
def test_a_tier_is_not_sent_what_it_cannot_take(
    asked_for: Request, able: Capabilities, why: str | None
) -> None:
    assert lacks(asked_for, able, words) == why


def test_a_polish_shows_the_message_and_the_draft_and_wants_free_text() -> None:
    made = polish_request(DRAFT, "big", "r", "Where is it?", "It comes.")
    assert made.input == "It comes."
    assert "Where is it?" in made.messages[1].text
    assert "It comes." in made.messages[1].text
    assert read_polished(DRAFT, "big", Completion(text=" It comes soon. ")).text == "It comes soon."
    cut = read_polished(DRAFT, "big", Completion(text="It", finish_reason="length"))
    assert cut.failure == "truncated"


def test_a_task_that_polishes_has_its_own_words_for_it() -> None:
    task = Task(name="polish", kind="polish", tiers=("a",), contract=Contract(user="Edit: {input}"))
    made = polish_request(task, "a", "r", "ignored", "It comes.")
    assert made.messages == (Message("user", "Edit: It comes."),)
