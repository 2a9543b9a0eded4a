"""What llama.cpp is asked: which tokens may come, and how long strings may grow."""

from typing import Any

import pytest

from stepdown.adapters.models.llama import LlamaSettings
from stepdown.adapters.models.llama.asking import bounded, writing_body
from stepdown.adapters.models.llama.prompting import lead_of, messages_of, with_input
from stepdown.core.request import ImagePart, Message, Request, TextPart, Tool
from stepdown.errors import Unavailable


def request(**kwargs: Any) -> Request:
    return Request(**{"id": "r", "task": "t", "input": "hello", **kwargs})


def test_strings_without_a_limit_get_one_and_others_keep_theirs() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"type": "string", "maxLength": 3},
            "c": {"type": "string", "enum": ["x"]},
            "d": {"type": "number"},
        },
    }
    found = bounded(schema, 80)["properties"]
    assert found["a"] == {"type": ["string", "null"], "maxLength": 80}
    assert found["b"] == {"type": "string", "maxLength": 3}
    assert found["c"] == {"type": "string", "enum": ["x"]}
    assert found["d"] == {"type": "number"}


def test_log_probabilities_are_asked_for_only_when_wanted_or_needed() -> None:
    settings = LlamaSettings()
    assert "n_probs" not in writing_body(("p",), request(), settings)
    assert writing_body(("p",), request(logprobs=True), settings)["n_probs"] == 1
    assert writing_body(("p",), request(logprobs=True, top_logprobs=5), settings)["n_probs"] == 5
    assert writing_body(("p",), request(schema={"type": "object"}), settings)["n_probs"] == 1


def test_the_content_free_prompt_replaces_the_input_and_nothing_else() -> None:
    asked = request(input="a", messages=(Message("user", "Message: a\nLabel:"),))
    assert with_input(asked, "N/A") == [{"role": "user", "content": "Message: N/A\nLabel:"}]


def test_the_last_place_of_the_input_counts() -> None:
    said = (Message("system", "Say hello."), Message("user", "hello hello"))
    assert with_input(request(messages=said), "N/A")[1]["content"] == "hello N/A"


@pytest.mark.parametrize("text", ["", "absent"])
def test_without_the_input_in_the_messages_there_is_no_content_free_prompt(text: str) -> None:
    assert with_input(request(input=text, messages=(Message("user", "other"),)), "N/A") is None


def test_a_begun_answer_is_followed_by_a_space() -> None:
    user = {"role": "user", "content": "x"}
    assert lead_of([user]) == ""
    assert lead_of([user, {"role": "assistant", "content": "Label:"}]) == " "
    assert lead_of([user, {"role": "assistant", "content": "Label: "}]) == ""


def test_without_messages_the_bare_input_is_the_prompt() -> None:
    assert messages_of(request()) == [{"role": "user", "content": "hello"}]


def test_tools_and_images_are_refused() -> None:
    with pytest.raises(Unavailable, match="tools"):
        messages_of(request(tools=(Tool("f"),)))
    parts = (TextPart("see"), ImagePart("data:image/png;base64,"))
    with pytest.raises(Unavailable, match="images"):
        messages_of(request(messages=(Message("user", parts),)))


@pytest.mark.parametrize("name", ["context_tokens", "threads", "queue_limit", "max_tokens"])
def test_settings_under_which_nothing_runs_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LlamaSettings(**{name: 0})
