"""The task contract inferred from a log: it takes every input and parses every answer it saw."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.audit import infer_contract
from stepdown.core.request import Message
from stepdown.core.usage_log import LoggedCall

TEXTS = [f"{word} text number {n}" for n, word in enumerate(["Where", "Why", "When", "my"] * 6)]
LABELS = ["order_status", "order_late", "refund"]


def call(text: str, answer: str, system: str | None = "Label it.") -> LoggedCall:
    said = (Message("user", text),)
    before = () if system is None else (Message("system", system),)
    return LoggedCall(id=text, messages=(*before, *said), answer=answer)


def calls(user: str, output: str, answers: list[str]) -> list[LoggedCall]:
    return [
        call(user.replace("{input}", text), output.replace("{answer}", answers[i % len(answers)]))
        for i, text in enumerate(TEXTS)
    ]


@pytest.mark.parametrize(
    ("user", "output"),
    [
        ("{input}", "{answer}"),
        ("Message:\n{input}\n\nAnswer with JSON.", '{"intent": "{answer}"}'),
        ('Label this:\n"""\n{input}\n"""', "Intent: {answer}"),
        ("<message>{input}</message>", '```json\n{"intent": "{answer}"}\n```'),
    ],
)
def test_the_template_around_input_and_answer_is_found(user: str, output: str) -> None:
    contract = infer_contract(calls(user, output, LABELS))
    assert contract is not None
    assert (contract.user, contract.output, contract.system) == (user, output, "Label it.")


def test_letters_that_all_labels_share_stay_in_the_label() -> None:
    contract = infer_contract(calls("{input}", "{answer}", ["order_status", "order_late"]))
    assert contract is not None
    assert contract.parse("order_late") == "order_late"


def test_a_number_is_found_in_its_field() -> None:
    contract = infer_contract(calls("{input}", '{"stars": {answer}}', ["1", "4", "5"]))
    assert contract is not None
    assert contract.output == '{"stars": {answer}}'


def test_an_object_of_several_fields_is_the_answer_as_a_whole() -> None:
    answers = [json.dumps({"order": f"A{i}", "amount": None}) for i in range(5)]
    contract = infer_contract(calls("{input}", "```json\n{answer}\n```", answers))
    assert contract is not None
    assert contract.output == "```json\n{answer}\n```"


def test_a_few_inputs_are_not_enough_for_a_template() -> None:
    few = calls("Message: {input}", "{answer}", LABELS)[:5]
    contract = infer_contract(few)
    assert contract is not None
    assert contract.user == "{input}"


def test_system_prompts_that_differ_are_left_open() -> None:
    mixed = [call(text, "yes", f"You help {text}") for text in TEXTS]
    contract = infer_contract(mixed)
    assert contract is not None
    assert contract.system is None


def test_a_conversation_has_a_contract_of_many_turns() -> None:
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    found = infer_contract([LoggedCall(id=str(i), messages=turns, answer="d") for i in range(9)])
    assert found is not None
    assert (found.turns, found.user) == ("many", "{input}")


def test_calls_without_content_or_with_errors_have_no_contract() -> None:
    bare = LoggedCall(id="1")
    failed = LoggedCall(id="2", messages=(Message("user", "x"),), answer="y", status="error")
    assert infer_contract([bare, failed, bare]) is None


@given(
    st.text("abc \n:\"'<>{}", max_size=15),
    st.text("abc \n:\"'<>{}", max_size=15),
    st.lists(st.text("xyz 123.?\n", min_size=1, max_size=20), min_size=2, max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_a_returned_contract_takes_nearly_every_request_that_it_was_inferred_from(
    before: str, after: str, texts: list[str]
) -> None:
    rows = [call(f"{before}{text}{after}", "yes") for text in texts]
    contract = infer_contract(rows)
    if contract is not None:
        taken = sum(contract.take_input(row.messages or ()) is not None for row in rows)
        assert taken >= 0.95 * len(rows)
