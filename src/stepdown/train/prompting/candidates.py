"""The prompts that are tried: instructions, each with and without examples, within a length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from stepdown.core.contract import Prompt
from stepdown.core.task import Task
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Example
from stepdown.train.prompting.describing import describe
from stepdown.train.prompting.examples import covering, with_examples
from stepdown.train.prompting.templates import filled, shape_of, templates, today

TODAY = "today's"
CountTokens = Callable[[str], int]


class Candidate(Struct, frozen=True, kw_only=True):
    """One prompt: what it was made of, and how many tokens stand around the input (estimated)."""

    name: str
    prompt: Prompt
    examples: int = 0
    tokens: int = 0


class Made(Struct, frozen=True):
    """The candidates, today's prompt first; how many were left out because they are too long."""

    candidates: tuple[Candidate, ...]
    too_long: int


def candidates(
    task: Task,
    tier: str,
    rows: Sequence[Example],
    encoder: Encoder,
    *,
    count: CountTokens,
    most_tokens: int,
    rewritten: Sequence[str] = (),
    shots: Sequence[int] = (1, 2),
) -> Made:
    """Return what to try. `rewritten` are instructions that a larger model wrote."""
    now = today(task, tier)
    instructions = [(TODAY, now), *_templated(task, tier, rows, now)]
    instructions += [
        (f"rewritten {number}", Prompt(user=now.user, system=text, max_tokens=now.max_tokens))
        for number, text in enumerate(rewritten, 1)
    ]
    found: dict[Prompt, Candidate] = {}
    chosen = [(per, covering(rows, task, encoder, per)) for per in shots]
    for name, prompt in instructions:
        found.setdefault(_key(prompt), _candidate(name, prompt, 0, count))
        for per, examples in chosen:
            for order, shown in _orders(examples, per):
                more = with_examples(prompt, shown)
                label = f"{name} + {len(shown)} examples{order}"
                found.setdefault(_key(more), _candidate(label, more, len(shown), count))
    every = list(found.values())
    short = [one for at, one in enumerate(every) if at == 0 or one.tokens <= most_tokens]
    return Made(tuple(short), len(every) - len(short))


def _orders(examples: Sequence[Example], per: int) -> list[tuple[str, list[Example]]]:
    """Return the examples as chosen; the shorter set also backwards, since order counts."""
    there = list(examples)
    if len(there) < 2 or per > 1:
        return [("", there)] if there else []
    return [("", there), (", backwards", there[::-1])]


def _templated(
    task: Task, tier: str, rows: Sequence[Example], now: Prompt
) -> list[tuple[str, Prompt]]:
    shape, said = shape_of(task), describe(task, tier, rows)
    assert shape is not None
    return [(one.name, filled(one, task, said, now.max_tokens)) for one in templates()[shape]]


def _key(prompt: Prompt) -> Prompt:
    return prompt


def _candidate(name: str, prompt: Prompt, examples: int, count: CountTokens) -> Candidate:
    tokens = count(prompt.user) + count(prompt.system or "")
    return Candidate(name=name, prompt=prompt, examples=examples, tokens=tokens)
