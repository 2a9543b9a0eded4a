"""How much of a prompt a cache could have held, against counting by hand over all pairs."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.audit.prefixes import Prompt, borders_of, cut, least_tokens
from stepdown.audit.repeats import Repeats
from stepdown.audit.rules import Rules

RULES = Rules()
DAY_S = 1_793_610_000.0  # begins a window of five minutes


def prompt(*texts: str, model: str = "gpt-4.1", tools: str = "", size: int = 0) -> Prompt:
    return Prompt(model, tools, size, texts)


def saved_tokens(prompts: Sequence[Prompt], at_s: Sequence[float] | None = None) -> float:
    """Return the tokens that caches would have given, at a dollar a million tokens."""
    moments = np.array(at_s or [DAY_S] * len(prompts))
    found = borders_of(prompts, moments, np.ones(len(prompts)), RULES)
    repeats = Repeats()
    repeats.extend(found.digests, np.zeros(len(found.digests), bool), found.pico)
    return repeats.duplicates_pico / 1e6


def longest_common(texts: Sequence[str], earlier: Sequence[Sequence[str]]) -> int:
    """Return the bytes of the longest beginning in whole messages or blocks that came before."""
    best = 0
    for other in earlier:
        same = 0
        for mine, theirs in zip(texts, other, strict=False):
            a, b = mine.encode(), theirs.encode()
            alike = next(
                (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
                min(len(a), len(b)),
            )
            if alike == len(a) == len(b):
                same += len(a)
                continue
            same += alike
            same -= same % 4096
            break
        best = max(best, same if same >= 4096 else 0)
    return best


def test_the_sum_over_borders_is_the_longest_common_beginning_of_each_prompt() -> None:
    rng = random.Random(11)
    head = "".join(rng.choice("abcdef ") for _ in range(30_000))
    said = [
        [head[: rng.choice((3000, 5000, 9000, 14_000))] + str(rng.randrange(3)), head[:6000]]
        for _ in range(40)
    ]
    wanted = sum(longest_common(texts, said[:place]) for place, texts in enumerate(said))
    assert saved_tokens([prompt(*texts) for texts in said]) == pytest.approx(wanted / 4)
    shuffled = random.Random(3).sample(said, len(said))
    assert saved_tokens([prompt(*texts) for texts in shuffled]) == pytest.approx(wanted / 4)


def test_a_conversation_that_grows_reads_all_of_its_past_again() -> None:
    turns = ["x" * 8000, "y" * 600, "z" * 600, "w" * 600]
    said = [turns[:n] for n in range(1, 5)]
    assert saved_tokens([prompt(*texts) for texts in said]) == (8000 + 8600 + 9200) / 4


def test_what_differs_in_the_middle_of_a_long_prompt_keeps_the_blocks_before_it() -> None:
    first, second = "a" * 10_000 + "1" + "b" * 5000, "a" * 10_000 + "2" + "b" * 5000
    assert saved_tokens([prompt(first), prompt(second)]) == 8192 / 4


def test_a_beginning_that_is_too_short_another_model_or_another_time_saves_nothing() -> None:
    short, long = prompt("x" * 4000), prompt("x" * 8000)
    assert saved_tokens([short, short]) == 0
    assert saved_tokens([long, prompt("x" * 8000, model="gpt-5")]) == 0
    assert saved_tokens([long, prompt("x" * 8000, tools="f", size=20)]) == 0
    assert saved_tokens([long, long], [DAY_S, DAY_S + 301]) == 0
    assert saved_tokens([long, long], [DAY_S, DAY_S + 299]) == 2000
    assert saved_tokens([long, long], [DAY_S, float("nan")]) == 0


def test_definitions_of_tools_stand_before_the_messages_and_are_cached_with_them() -> None:
    one = prompt("x" * 3000, tools="f,g", size=5000)
    assert saved_tokens([one, one]) == 8000 / 4


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4.1", 1024),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-haiku-4-5", 4096),
        ("anthropic.claude-opus-4-5-v1:0", 4096),
        ("claude-3-5-haiku-latest", 2048),
        ("gemini-2.5-flash", 2048),
        ("gemini-3-pro-preview", 4096),
        ("some-model", 1024),
    ],
)
def test_each_provider_has_its_least_cached_length(model: str, tokens: int) -> None:
    assert least_tokens(model, RULES) == tokens


def test_a_very_long_prompt_has_few_borders() -> None:
    borders = list(cut(prompt("x" * 8_000_000), RULES))
    assert len(borders) < 400
    assert sum(more for _, more in borders) == 2_000_000


@given(st.lists(st.text(alphabet="aé", max_size=3000), max_size=6))
def test_borders_add_up_to_the_prompt(texts: list[str]) -> None:
    size = sum(len(text.encode()) for text in texts)
    told = sum(more for _, more in cut(prompt(*texts), RULES))
    assert told == (size / 4 if size >= 4096 else 0)
