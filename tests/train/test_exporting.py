"""Examples as lines for other trainers: each shape, and each documented rule."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest
from msgspec.structs import replace

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.core.request import Message
from stepdown.errors import ConfigError
from stepdown.train.exporting import (
    FORMATS,
    Dialogue,
    axolotl_config,
    custom_id,
    lines_of,
    problems_of,
    rules_of,
)

ONE = Dialogue(
    id="r1",
    messages=(Message(role="system", content="Choose."), Message(role="user", content="Hi")),
    answer="billing",
)
ASKED = [{"role": "system", "content": "Choose."}, {"role": "user", "content": "Hi"}]
SAID = {"role": "assistant", "content": "billing"}


def line(name: str, **said: object) -> dict[str, object]:
    found = lines_of(name, [ONE], estimate_tokens, **said)  # type: ignore[arg-type]
    assert found[0].data.endswith(b"\n")
    assert found[0].tokens > 0
    return dict(json.loads(found[0].data))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("openai", {"messages": [*ASKED, SAID]}),
        ("axolotl", {"messages": [*ASKED, SAID]}),
        ("unsloth", {"conversations": [*ASKED, SAID]}),
        ("trl", {"prompt": ASKED, "completion": [SAID]}),
    ],
)
def test_each_trainer_gets_the_shape_that_it_documents(name: str, shape: object) -> None:
    assert line(name) == shape


def test_a_batch_request_has_the_system_prompt_beside_the_messages_and_no_answer() -> None:
    assert line("anthropic-batch", model="m", max_tokens=99) == {
        "custom_id": "r1",
        "params": {
            "model": "m", "max_tokens": 99, "system": "Choose.",
            "messages": [{"role": "user", "content": "Hi"}],
        },
    }  # fmt: skip


@pytest.mark.parametrize("sample", ["r1", "a/b c", "ü", "x" * 65, ""])
def test_every_id_becomes_one_that_a_batch_accepts(sample: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", custom_id(sample))
    assert custom_id(sample) == custom_id(sample)


def test_two_odd_ids_stay_two() -> None:
    assert custom_id("a b") != custom_id("a/b")


def test_every_format_names_a_document_and_the_day_it_was_read() -> None:
    for name in FORMATS:
        rules = rules_of(name)
        assert rules.source.startswith("https://")
        assert rules.read >= date(2026, 11, 1)
        assert "assistant" in rules.roles
    with pytest.raises(ConfigError, match="'csv' is unknown"):
        rules_of("csv")


def problems(name: str, *dialogues: Dialogue) -> list[str]:
    lines = lines_of(name, dialogues, estimate_tokens)
    return problems_of(name, dialogues, lines, "train.jsonl")


def test_fewer_than_ten_examples_are_refused_by_openai_alone() -> None:
    assert problems("openai", ONE) == ["train.jsonl has 1 examples; at least 10 are asked for"]
    assert problems("trl", ONE) == []
    assert problems("openai", *[ONE] * 10) == []


def test_an_example_that_is_too_long_is_named() -> None:
    long = replace(ONE, id="r9", answer="word " * 70_000)
    found = problems("openai", *[ONE] * 10, long)
    assert len(found) == 1
    assert "r9 has about 70,0" in found[0]
    assert problems("trl", long) == []


def test_what_no_trainer_can_learn_from_is_named() -> None:
    empty = replace(ONE, answer="  ")
    odd = replace(ONE, messages=(Message(role="developer", content="x"), ONE.messages[1]))
    ends = replace(ONE, messages=(*ONE.messages, Message(role="assistant", content="y")))
    assert "empty answer" in problems("trl", empty)[0]
    assert "role 'developer'" in problems("trl", odd)[0]
    assert problems("openai", *[odd] * 10) == []
    assert "not the user's" in problems("trl", ends)[0]


def test_a_file_that_is_too_large_is_refused() -> None:
    lines = lines_of("openai", [ONE] * 10, estimate_tokens)
    big = [replace(one, data=b"x" * 60_000_000) for one in lines]
    found = problems_of("openai", [ONE] * 10, big, "train.jsonl")
    assert "600,000,000 bytes" in found[0]


def test_the_configuration_of_axolotl_names_both_files() -> None:
    text = axolotl_config("train.jsonl", "validation.jsonl")
    assert text.count("type: chat_template") == 2
    assert "test_datasets" not in axolotl_config("train.jsonl", None)
