"""A policy refuses every table that is not sound, and says why."""

import math

import pytest

from stepdown.core.policy import (
    Action,
    Clause,
    Policy,
    Row,
    cascade,
    policy_from_plain,
    polished,
    single,
    step_of,
    tiers_in,
    to_plain,
)

ENTRY = Row(called=(), otherwise=Action("call", "a"))
LAST = Row(called=("a",), otherwise=Action("accept", "a"))


def with_last(row: Row) -> Policy:
    return Policy(tiers=("a", "b"), rows=(ENTRY, row))


UNSOUND = {
    "no entry": (lambda: Policy(("a",), (LAST,)), "needs a row for the state"),
    "a state twice": (lambda: Policy(("a",), (ENTRY, LAST, LAST)), "names a state twice"),
    "a state without a row": (lambda: Policy(("a",), (ENTRY,)), r"no row for \['a'\]"),
    "a bought state without a row": (
        lambda: with_last(Row(called=("a",), otherwise=Action("buy", "x"))),
        r"no row for \['a', '\?x'\]",
    ),
    "a call outside its tiers": (
        lambda: with_last(Row(called=("a",), otherwise=Action("call", "z"))),
        "calls 'z', which is not in its tiers",
    ),
    "a polish outside its tiers": (
        lambda: with_last(Row(called=("a",), otherwise=Action("polish", "z"))),
        "'z', which is not in its tiers",
    ),
    "accept of what was not called": (
        lambda: Row(called=("a",), otherwise=Action("accept", "b")),
        "accepts 'b', not called",
    ),
    "accept at the entry": (
        lambda: Row(called=(), otherwise=Action("accept", "a")),
        "accepts 'a', not called",
    ),
    "a polish without a draft": (
        lambda: Row(called=("?x",), otherwise=Action("polish", "a")),
        "no draft to polish",
    ),
    "a second call of a tier": (
        lambda: Row(called=("a",), otherwise=Action("call", "a")),
        "repeats 'call a'",
    ),
    "a second purchase": (
        lambda: Row(called=("?x",), otherwise=Action("buy", "x")),
        "repeats 'buy x'",
    ),
    "a clause that repeats": (
        lambda: Row(
            called=("a",),
            when=(Clause("draw", 0.5, Action("call", "a")),),
            otherwise=Action("accept", "a"),
        ),
        "repeats 'call a'",
    ),
    "a signal of a tier not yet called": (
        lambda: with_last(
            Row(
                called=("a",),
                when=(Clause("b.confidence", 0.5, Action("accept", "a")),),
                otherwise=Action("abstain"),
            )
        ),
        "reads 'b.confidence' too early",
    ),
    "a signal of a dotted tier not yet called": (
        lambda: Policy(
            ("model-4.1",),
            (
                Row(
                    called=(),
                    when=(Clause("model-4.1.confidence", 0.5, Action("abstain")),),
                    otherwise=Action("abstain"),
                ),
            ),
        ),
        "reads 'model-4.1.confidence' too early",
    ),
    "a signal not yet bought": (
        lambda: Policy(
            ("a",),
            (
                Row(
                    called=(),
                    when=(Clause("x", 0.5, Action("abstain")),),
                    otherwise=Action("buy", "x"),
                ),
                Row(called=("?x",), otherwise=Action("abstain")),
            ),
        ),
        "reads 'x' too early",
    ),
    "a threshold that is no number": (
        lambda: Clause("draw", math.nan, Action("abstain")),
        "'draw' is not a number",
    ),
    "too few thresholds": (lambda: cascade(("a", "b"), ()), "2 tiers need 1 thresholds"),
    "an unknown action": (lambda: Action.parse("ring a"), "unknown action 'ring'"),
    "a call of nobody": (lambda: Action.parse("call"), "makes no sense"),
    "an abstention with a target": (lambda: Action.parse("abstain a"), "makes no sense"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_it_refuses(name: str) -> None:
    make, why = UNSOUND[name]
    with pytest.raises(ValueError, match=why):
        make()


def test_what_a_tier_with_a_longer_name_said_may_be_read_beside_the_shorter() -> None:
    policy = Policy(
        ("a", "a.b"),
        (
            Row(called=(), otherwise=Action("call", "a.b")),
            Row(
                called=("a.b",),
                when=(Clause("a.b.confidence", 0.5, Action("accept", "a.b")),),
                otherwise=Action("abstain"),
            ),
        ),
    )
    assert policy.signals == ("a.b.confidence",)


def test_a_cascade_has_a_row_for_each_prefix_of_its_tiers() -> None:
    policy = cascade(("a", "b", "c"), (0.8, 0.6))
    assert [row.called for row in policy.rows] == [(), ("a",), ("a", "b"), ("a", "b", "c")]
    assert policy.ceiling == "c"
    assert policy.signals == ("a.confidence", "b.confidence")


def test_a_cascade_of_one_tier_asks_that_tier_as_single_does() -> None:
    assert cascade(("a",), ()) == single("a")


@pytest.mark.parametrize("text", ["call a", "buy x", "accept a", "polish a", "abstain"])
def test_an_action_reads_what_it_wrote(text: str) -> None:
    assert str(Action.parse(text)) == text


def test_a_state_knows_its_tiers_and_what_was_bought() -> None:
    assert tiers_in(("a", "?x", "b")) == ("a", "b")
    assert step_of(Action("buy", "x")) == "?x"
    assert step_of(Action("accept", "a")) is None
    assert polished("a", "b") == "a>b"


@pytest.mark.parametrize("level", ["policy", "row", "clause"])
def test_a_plain_policy_with_an_unknown_key_is_refused(level: str) -> None:
    plain = to_plain(cascade(("a", "b"), (0.5,)))
    place = {"policy": plain, "row": plain["rows"][1], "clause": plain["rows"][1]["when"][0]}
    place[level]["sometimes"] = 1
    with pytest.raises(ValueError, match="sometimes"):
        policy_from_plain(plain)


def test_plain_values_leave_out_defaults_and_write_actions_as_words() -> None:
    plain = to_plain(cascade(("a", "b"), (0.5,)))
    assert plain["rows"][1] == {
        "called": ["a"],
        "otherwise": "call b",
        "when": [{"signal": "a.confidence", "at_least": 0.5, "then": "accept a"}],
    }
