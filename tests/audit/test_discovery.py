"""Steps of unnamed calls are found where sentences of their prompts vary, and in long logs."""

import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from tests.audit.test_cluster import NAMES, TASKS, Call, answer, paragraph

from stepdown.audit.cluster import Seen, StepIndex, discover, form_of
from stepdown.audit.learning import Learning
from stepdown.audit.rules import Rules
from stepdown.audit.shape import shape_of
from stepdown.audit.sketch import hash64, hashes64
from stepdown.core.request import Message

WORDS = (
    "answer check customer order policy refund parcel date never always write read name price "
    "account team note tone polite short long rule case agent escalate ticket product label field "
    "reason delay broken wrong missing invoice tax card bank form line word list step part"
)
VOCABULARY = WORDS.split()
SHARES = [6, 5, 5, 4, 3, 2]


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(VOCABULARY) for _ in range(rng.randint(6, 14))).capitalize() + "."


def prompts(rng: random.Random, shared: int, own: int) -> dict[str, list[str]]:
    """Return each step's prompt: sentences of the house, sentences of its own, and its task."""
    house = [sentence(rng) for _ in range(shared)]
    found = {step: [*house, *(sentence(rng) for _ in range(own)), TASKS[step]] for step in TASKS}
    for lines in found.values():
        rng.shuffle(lines)
    return found


def varied(lines: list[str], places: list[int], rng: random.Random) -> str:
    return " ".join(sentence(rng) if n in places else line for n, line in enumerate(lines))


def anywhere(n: int) -> Callable[[list[str], random.Random], str]:
    return lambda lines, rng: varied(lines, rng.sample(range(len(lines)), n), rng)


def at_places(*places: int) -> Callable[[list[str], random.Random], str]:
    return lambda lines, rng: varied(lines, list(places), rng)


def with_names(lines: list[str], rng: random.Random) -> str:
    """Put a name into every fifth sentence."""
    told = [
        line.replace(" ", f" {rng.choice(NAMES)} ", 1) if n % 5 == 0 else line
        for n, line in enumerate(lines)
    ]
    return " ".join(told)


def with_sentence(lines: list[str], rng: random.Random) -> str:
    return f"{lines[0]} {sentence(rng)}"


# What varies in a call's prompt: sentences of the house, of the step, which vary; and whether the
# prompt is a system prompt or stands before the message.
KINDS: dict[str, tuple[int, int, Callable[[list[str], random.Random], str], bool]] = {
    "3 of 30 sentences anywhere": (0, 29, anywhere(3), True),
    "3 of 30 sentences at their places": (0, 29, at_places(4, 11, 20), True),
    "6 of 30 sentences anywhere": (0, 29, anywhere(6), True),
    "3 of 30 anywhere, 24 of them shared by all steps": (24, 5, anywhere(3), True),
    "3 of 30 at their places, 24 shared": (24, 5, at_places(4, 11, 20), True),
    "names inside sentences": (24, 5, with_names, True),
    "a short prompt of two sentences, one varies": (0, 0, with_sentence, True),
    "3 of 12 sentences before the message": (0, 11, anywhere(3), False),
}


def log(kind: str, seed: int, n: int = 700) -> Iterator[Call]:
    shared, own, vary, system = KINDS[kind]
    rng = random.Random(f"{kind} {seed}")
    said = prompts(rng, shared, own)
    for _ in range(n):
        step = rng.choices(list(TASKS), SHARES)[0]
        prompt, text = vary(said[step], rng), paragraph(rng)
        messages = (
            (Message("system", prompt), Message("user", text))
            if system
            else (Message("user", f"{prompt}\n\n{text}"),)
        )
        yield step, messages, (), answer(step, rng)


def agreement(calls: list[Call], sessions: list[int] | None = None) -> float:
    """Return the adjusted Rand index of what the audit finds from its sample."""
    seen = [
        Seen(form, shape_of(text), None if sessions is None else sessions[place])
        for place, (_, said, tools, text) in enumerate(calls)
        if (form := form_of(said, tools))
    ]
    learning = Learning(Rules().learn)
    places = np.array([one.session or 0 for one in seen], dtype=np.uint64)
    learning.add(hashes64(f"call {n}" for n in range(len(seen))), places, seen.__getitem__)
    index = StepIndex(discover(learning.seen(), Rules()))
    found = [index.find(one.form) for one in seen]
    return float(
        adjusted_rand_score([step for step, *_ in calls], [-1 if p is None else p for p in found])
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_steps_are_found_though_sentences_of_their_prompts_vary(kind: str, seed: int) -> None:
    assert agreement(list(log(kind, seed))) >= 0.95


def test_steps_that_look_alike_are_told_apart_by_sessions_also_in_a_long_log() -> None:
    """Three steps write prose under one house's prompt: only whole sessions show that all three
    stand in each, and of 1,000 sessions a sample of calls holds hardly two of one."""
    rng = random.Random("sessions")
    said = prompts(rng, 24, 5)
    calls: list[Call] = []
    sessions: list[int] = []
    for number in range(1000):
        for step in ("draft", "polish", "summary"):
            messages = (
                Message("system", varied(said[step], [3], rng)),
                Message("user", paragraph(rng)),
            )
            calls.append((step, messages, (), answer(step, rng)))
            sessions.append(hash64(f"session {number}"))
    assert agreement(calls, sessions) >= 0.95
