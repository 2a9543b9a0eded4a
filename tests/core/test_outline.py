"""The outline of a request tells its shape and holds nothing of its text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.asked import Asked, Format, Tool
from stepdown.core.outline import outline
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall


def test_it_tells_who_speaks_how_long_and_what_is_asked_for() -> None:
    messages = (
        Message("system", "Be kind."),
        Message("user", (TextPart("look"), ImagePart("https://x.example"))),
        Message("assistant", None, (ToolCall("c", "f", "{}"),)),
    )
    asked = Asked(tools=(Tool("f"),), n=2, logprobs=True, format=Format("json_object"))
    told = outline(messages, asked).split(" · ")
    assert told[0].startswith("system #")
    assert told[0].endswith(" of 8 characters")
    assert told[1:] == [
        "user of 4 characters and other parts",
        "assistant of 0 characters and 1 calls",
        "1 tools",
        "format json_object",
        "n 2",
        "log-probabilities",
    ]


def test_one_template_has_one_digest_whatever_the_message() -> None:
    one = outline((Message("system", "Sort this."), Message("user", "abc")), Asked())
    two = outline((Message("system", "Sort  this."), Message("user", "xyz")), Asked())
    other = outline((Message("system", "Sort it."), Message("user", "abc")), Asked())
    assert one.split(" of ")[0] == two.split(" of ")[0] != other.split(" of ")[0]


@given(st.text(alphabet="QXZJVW", min_size=4), st.sampled_from(["system", "user", "tool"]))
def test_no_text_of_a_message_is_in_it(secret: str, role: str) -> None:
    assert secret not in outline((Message(role, secret),), Asked())


def test_a_long_conversation_is_told_in_a_few_words() -> None:
    told = outline((Message("user", "x"),) * 500, Asked())
    assert told.endswith("494 more")
    assert len(told) < 300
