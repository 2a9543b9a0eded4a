"""Steps of unnamed calls: told apart by prompts, tools and answers, in whatever order they come."""

import json
import random

import pytest

from stepdown.audit import Rules
from stepdown.audit.cluster import Seen, StepIndex, discover, form_of
from stepdown.audit.shape import shape_of
from stepdown.core.request import Message

SAID = (
    "order parcel lamp refund invoice delivery broken late account password chair money please "
    "help week wrong size store payment customer number missing letter garden phone label"
)
WORDS = SAID.split()
NAMES = [f"{a}{b}" for a in ("Ann", "Bob", "Cle", "Dor") for b in ("a", "el", "ine", "us")]
HOUSE = (
    "You are part of the support desk of {shop}. Today is {date}. The agent on duty is {name}. "
    "Be precise, never invent facts, and keep to the house style at all times.\n"
)
TASKS = {
    "intent": "Classify the intent of the customer's message. Answer with exactly one label.",
    "urgency": "Rate how urgent the customer's message is. Answer with exactly one label.",
    "extract": "Extract order id, product and amount. Return a JSON object with these fields.",
    "draft": "Write a polite reply to the customer that answers every point of the message.",
    "polish": "Improve the wording of the drafted reply without changing what it says to them.",
    "summary": "Summarise the conversation so far for the next colleague who takes the case over.",
}
LABELS = {"intent": ["refund", "delivery", "invoice"], "urgency": ["low", "normal", "high"]}
Call = tuple[str, tuple[Message, ...], tuple[str, ...], str]


def sentence(rng: random.Random, n: int = 12) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(n)).capitalize() + "."


def paragraph(rng: random.Random) -> str:
    return " ".join(sentence(rng, rng.randint(6, 15)) for _ in range(rng.randint(3, 7)))


def answer(step: str, rng: random.Random) -> str:
    if step in LABELS:
        return rng.choice(LABELS[step])
    if step == "extract":
        return json.dumps({"order": rng.randint(1, 999), "product": rng.choice(WORDS), "usd": 3})
    return " ".join(sentence(rng) for _ in range(6))


def prompt(kind: str, step: str, rng: random.Random, pool: list[str]) -> tuple[str, str]:
    """Return a system prompt and a user message of one shape of log."""
    house = HOUSE.format(
        shop=rng.choice(["Acme", "Lamp & Co", "Nordhaus"]),
        date=f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        name=rng.choice(NAMES),
    )
    task, text = TASKS[step], paragraph(rng)
    examples = "\n".join(f"Q: {sentence(rng)}\nA: {answer(step, rng)}" for _ in range(3))
    return {
        "the same words": (task, text),
        "names and dates": (house + task, text),
        "a paragraph of each customer": (f"{house}{task}\nWhat we know:\n{paragraph(rng)}", text),
        "a paragraph before": (f"Customer: {paragraph(rng)}\n{house}{task}", text),
        "one of five policies": (f"{house}{task}\nPolicy:\n{rng.choice(pool)}", text),
        "examples that vary": (f"{task}\nExamples:\n{examples}", text),
        "no system prompt": ("", f"{task}\n\nMessage:\n{text}"),
        "the task after the text": ("", f"Message: {text}\n---\n{task}"),
        "one prompt for all": ("You are a helpful assistant.", f"{task}\n\n{text}"),
    }[kind]


def log(kind: str, n: int = 700) -> list[Call]:
    rng = random.Random(f"{kind} 3")
    pool = [paragraph(rng) for _ in range(5)]
    calls = []
    for _ in range(n):
        step = rng.choices(list(TASKS), [6, 5, 5, 4, 3, 2])[0]
        system, user = prompt(kind, step, rng, pool)
        said = (Message("system", system),) if system else ()
        calls.append((step, (*said, Message("user", user)), (), answer(step, rng)))
    return calls


def found(calls: list[Call]) -> list[str]:
    """Return the fingerprint of each call's step."""
    seen = [
        Seen(form, shape_of(text))
        for _, said, tools, text in calls
        if (form := form_of(said, tools))
    ]
    index = StepIndex(discover(seen, Rules()))
    places = [index.find(call.form) for call in seen]
    return ["" if place is None else index.found[place].fingerprint for place in places]


def agreement(calls: list[Call]) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score([step for step, *_ in calls], found(calls)))


KINDS = [
    "the same words",
    "names and dates",
    "a paragraph of each customer",
    "a paragraph before",
    "one of five policies",
    "examples that vary",
    "no system prompt",
    "the task after the text",
    "one prompt for all",
]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_found_without_names(kind: str) -> None:
    assert agreement(log(kind)) >= 0.95


def test_two_steps_with_one_prompt_are_told_apart_by_their_tools() -> None:
    rng = random.Random(5)
    tools = {"help": ("refund", "search"), "book": ("book", "cancel")}
    calls: list[Call] = []
    for _ in range(300):
        step = rng.choice(list(tools))
        said = (Message("system", "You are the shop's assistant."), Message("user", paragraph(rng)))
        calls.append((step, said, tools[step], paragraph(rng)))
    assert agreement(calls) == 1.0


def test_what_is_found_does_not_depend_on_the_order_of_calls() -> None:
    calls = log("a paragraph of each customer", 300)
    shuffled = list(enumerate(calls))
    random.Random(1).shuffle(shuffled)
    again = dict(
        zip([place for place, _ in shuffled], found([c for _, c in shuffled]), strict=True)
    )
    assert [again[place] for place in range(len(calls))] == found(calls)
