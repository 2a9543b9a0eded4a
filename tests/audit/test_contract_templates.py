"""Contracts over templates with variables: the inner input comes back, others do not match."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.audit import infer_contract
from stepdown.core.request import Message
from stepdown.core.usage_log import LoggedCall

WORDS = """
    order parcel late broken lamp refund invoice wrong card charge courier box sofa green please
    help again when where why cannot login password thanks kind staff delay never money back
    tomorrow address change cancel the a my to and is it not for of we you have was
""".split()  # noqa: SIM905
NAMES = ["Ann", "Bo Lund", "Chen Wei", "Dora", "Eli Katz", "Fay", "Gus", "Hana Ito"]
SYSTEMS = (
    None,
    "You label messages of our shop. Answer with one word.",
    "You help the shop {name}. Today is {date}. Label the message that follows, one word only.",
    "Date: {date}\nCustomer: {name}\nRead the message and say which team should get it.",
)
USERS = (
    "{input}",
    "Message: {input}",
    "Label this:\n'''\n{input}\n'''\nLabel:",
    "Customer: {name}\nDate: {date}\nMessage: {input}\nLabel:",
    "<ticket id={id}>\n<from>{name}</from>\n<body>{input}</body>\n</ticket>",
    "Examples:\nQ: {shot}\nA: refund\nQ: {shot2}\nA: delivery\n\nNow the message.\nQ: {input}\nA:",
    "{input}\n\n---\nReply in one word. Ticket #{id}",
)
SHOTS = ["I want my money back", "where is my parcel", "the lamp is broken", "wrong address"]


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(4, 25)))


def filled(template: str, text: str, rng: random.Random) -> str:
    values = {
        "{name}": rng.choice(NAMES),
        "{date}": f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "{id}": str(rng.randint(10_000, 99_999)),
        "{shot}": rng.choice(SHOTS),
        "{shot2}": rng.choice(SHOTS),
        "{input}": text,
    }
    for place, value in values.items():
        template = template.replace(place, value)
    return template


def request(system: str | None, user: str, text: str, rng: random.Random) -> tuple[Message, ...]:
    said = (Message("user", filled(user, text, rng)),)
    return said if system is None else (Message("system", filled(system, "", rng)), *said)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(SYSTEMS), st.sampled_from(USERS), st.integers(0, 10_000))
def test_requests_of_the_template_that_were_not_seen_give_exactly_their_input(
    system: str | None, user: str, seed: int
) -> None:
    rng = random.Random(seed)
    calls = [
        LoggedCall(
            id=str(n),
            messages=request(system, user, sentence(rng), rng),
            answer=rng.choice(["refund", "delivery", "account"]),
        )
        for n in range(80)
    ]
    contract = infer_contract(calls)
    assert contract is not None
    for _ in range(20):
        text = sentence(rng)
        assert contract.take_input(request(system, user, text, rng)) == text
    if system is not None:
        assert contract.system is not None
        other = (Message("system", "Translate to French."), Message("user", "hello there"))
        assert contract.take_input(other) is None
    elif user != "{input}":
        assert contract.take_input((Message("user", "What is the weather like today?"),)) is None


@pytest.mark.parametrize("shots", [2, 4])
def test_worked_examples_as_messages_are_what_was_said_before(shots: int) -> None:
    rng = random.Random(3)
    before = tuple(
        Message("user" if n % 2 == 0 else "assistant", f"example {n}") for n in range(shots)
    )
    calls = [
        LoggedCall(
            id=str(n),
            messages=(Message("system", "Label."), *before, Message("user", sentence(rng))),
            answer="refund",
        )
        for n in range(50)
    ]
    contract = infer_contract(calls)
    assert contract is not None
    assert contract.turns == "many"
    taken = contract.take(calls[0].messages or ())
    assert taken is not None
    assert len(taken.history) == shots + 1
