"""The contract finds the input in a caller's request and gives answers the caller's shape."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepdown.core.contract import Contract, Prompt
from stepdown.core.request import ImagePart, Message, TextPart

SORTER = Contract(
    user="Sort this message.\n\nMessage: {input}\n\nAnswer with one word.",
    system="You sort messages.\nBe brief.",
    output='{"intent": "{answer}"}',
)
LINES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=40).map(
    str.strip
)
WORDS = st.text("ab:{}.*\\( ", max_size=12)


def asked(text: str, system: str = "You sort messages. Be brief.") -> tuple[Message, ...]:
    return (Message("system", system), Message("user", text))


def test_the_bare_text_is_taken_out_of_the_callers_prompt() -> None:
    assert SORTER.take_input(SORTER.wrap("where is my parcel?")) == "where is my parcel?"


def test_white_space_around_and_inside_the_prompt_is_not_significant() -> None:
    loose = "  Sort  this\nmessage. Message:\twhere  is\nit?   Answer with\r\none word.\n"
    assert SORTER.take_input(asked(loose, " You sort\n messages. Be brief. ")) == "where  is\nit?"


def test_an_input_that_quotes_the_prompt_is_taken_whole() -> None:
    text = "it says: Answer with one word. Message: why?"
    assert SORTER.take_input(SORTER.wrap(text)) == text


@pytest.mark.parametrize(
    "messages",
    [
        (),
        SORTER.wrap("hello")[1:],
        asked("Sort this message. Message: hello Answer with one word.", "You sort nothing."),
        asked("hello"),
        asked("Message: hello Answer with one word."),
        (*SORTER.wrap("hello"), Message("assistant", "spam")),
        (Message("user", "before"), *SORTER.wrap("hello")),
        (SORTER.wrap("x")[0], Message("user", (TextPart("hello"), ImagePart("data:,")))),
        (SORTER.wrap("x")[0], Message("user", None)),
    ],
    ids=[
        "nothing",
        "no system prompt",
        "another system prompt",
        "another prompt",
        "half a prompt",
        "an answer at the end",
        "an earlier turn",
        "an image",
        "no content",
    ],
)
def test_a_request_of_another_shape_does_not_match(messages: tuple[Message, ...]) -> None:
    assert SORTER.take_input(messages) is None


def test_a_developer_message_counts_as_the_system_prompt() -> None:
    user = SORTER.wrap("hello")[1]
    developer = Message("developer", "You sort messages. Be brief.")
    assert SORTER.take_input((developer, user)) == "hello"


def test_a_contract_without_a_system_prompt_takes_any() -> None:
    free = Contract()
    assert free.take_input(asked("hello", "whatever")) == "hello"
    assert free.take_input((Message("user", "hello"),)) == "hello"
    assert free.wrap("hello") == (Message("user", "hello"),)


def test_a_blank_message_is_an_empty_input() -> None:
    assert Contract().take_input((Message("user", " \n "),)) == ""


@given(LINES)
@example("a {answer} b")
@example('"}')
def test_what_is_rendered_is_parsed_back(answer: str) -> None:
    assert SORTER.parse(SORTER.render(answer)) == answer


@given(WORDS, WORDS, LINES)
def test_every_template_parses_what_it_rendered(before: str, after: str, answer: str) -> None:
    contract = Contract(output=f"{before}{{answer}}{after}")
    assert contract.parse(contract.render(answer)) == answer


@given(LINES)
def test_what_is_wrapped_is_taken_back(text: str) -> None:
    assert SORTER.take_input(SORTER.wrap(text)) == text


def test_an_answer_of_another_shape_is_none() -> None:
    assert SORTER.parse("spam") is None
    assert Contract(output="AB{answer}BC").parse("ABC") is None


def test_a_long_run_of_white_space_does_not_take_quadratic_time() -> None:
    contract = Contract(user="Message: {input}\nAnswer:")
    start = time.process_time()
    assert contract.take_input((Message("user", "Message: x" + " " * 100_000 + "y"),)) is None
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "keys",
    [{"user": "no mark"}, {"user": "{input} {input}"}, {"output": ""}, {"output": "{answer}" * 2}],
)
def test_a_contract_that_loses_the_input_or_the_answer_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        Contract(**keys)


def test_the_digest_names_the_contract() -> None:
    assert SORTER.digest == Contract(SORTER.user, SORTER.system, SORTER.output).digest
    assert SORTER.digest != Contract(SORTER.user, None, SORTER.output).digest


def test_a_prompt_carries_the_text_and_the_labels() -> None:
    prompt = Prompt(user="{labels}? {input}", system="One of {labels}.")
    assert prompt.messages("is {labels} here", ("x", "y")) == (
        Message("system", "One of x, y."),
        Message("user", "x, y? is {labels} here"),
    )
    assert Prompt().messages("hello") == (Message("user", "hello"),)


@pytest.mark.parametrize("user", ["", "hello", "{input} and {input}"])
def test_a_prompt_that_drops_or_doubles_the_message_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        Prompt(user=user)
