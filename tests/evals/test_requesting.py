"""What is asked of a tier, and how its answer is read: shared by eval and serving."""

import pytest
from eval_fakes import DRAFT_TASK, FIELD_TASK, LABEL_TASK, LABELS
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stepdown.core.contract import Contract, Prompt
from stepdown.core.request import Capabilities, Completion
from stepdown.core.requesting import match_label, read_answer, request_for
from stepdown.core.task import Task

SHAPED = replace(LABEL_TASK, contract=Contract(user="Classify: {input}", output="Intent: {answer}"))


def read(
    task: Task, text: str, reason: str = "stop", tier: str = "small"
) -> tuple[str | None, str | None]:
    answer = read_answer(task, tier, Completion(text=text, finish_reason=reason))
    return answer.text, answer.failure


def test_a_tier_without_a_prompt_gets_the_callers_request() -> None:
    request = request_for(SHAPED, "big", "r1", "where is it?")
    assert request.messages[0].text == "Classify: where is it?"
    assert (request.id, request.input, request.labels) == ("r1", "where is it?", LABELS)


def test_a_tier_with_a_prompt_gets_its_own() -> None:
    task = replace(SHAPED, prompts={"small": Prompt("{input} ->", "One of {labels}", 4)})
    request = request_for(task, "small", "r1", "hi")
    assert [m.text for m in request.messages] == ["One of refund, order status, other", "hi ->"]
    assert request.max_tokens == 4


def test_log_probabilities_are_asked_for_where_they_are_evidence_and_to_be_had() -> None:
    able = Capabilities(logprobs=True)
    assert request_for(DRAFT_TASK, "small", "r", "x", capabilities=able).logprobs
    assert request_for(LABEL_TASK, "small", "r", "x", capabilities=able).logprobs
    told = Capabilities(logprobs=True, labels=True)  # a distribution over labels says more
    assert not request_for(LABEL_TASK, "small", "r", "x", capabilities=told).logprobs
    assert not request_for(DRAFT_TASK, "small", "r", "x", capabilities=Capabilities()).logprobs


@pytest.mark.parametrize("text", ["refund", " REFUND ", "Intent: refund", "intent:refund".title()])
def test_a_label_is_read_bare_or_in_the_callers_shape(text: str) -> None:
    assert read(SHAPED, text) == ("refund", None)


def test_labels_that_differ_only_in_case_need_their_exact_spelling() -> None:
    assert match_label(("A", "a"), "a") == "a"
    assert match_label(("A", "a", "B"), "b") == "B"
    assert match_label(("Aa", "aA"), "aa") is None


@pytest.mark.parametrize(
    "text", ['{"amount":null,"order":"7"}', '```json\n{"order": "7", "amount": null}\n```']
)
def test_an_object_is_read_into_one_canonical_form(text: str) -> None:
    assert read(FIELD_TASK, text) == ('{"amount":null,"order":"7"}', None)


@pytest.mark.parametrize(
    ("task", "text", "reason", "failure"),
    [
        (LABEL_TASK, "maybe", "stop", "invalid_output"),
        (LABEL_TASK, "ref", "length", "truncated"),
        (FIELD_TASK, '{"order": "7"', "length", "truncated"),
        (DRAFT_TASK, "Dear custo", "length", "truncated"),
        (DRAFT_TASK, "  ", "stop", "invalid_output"),
        (DRAFT_TASK, "no", "content_filter", "refusal"),
        (LABEL_TASK, "refund", "refusal", "refusal"),
    ],
)
def test_an_unusable_answer_has_a_kind(task: Task, text: str, reason: str, failure: str) -> None:
    assert read(task, text, reason) == (None, failure)


def test_a_label_that_is_whole_is_not_truncated_by_its_token_limit() -> None:
    assert read(LABEL_TASK, "refund", "length") == ("refund", None)


def test_free_text_of_a_tier_that_got_the_callers_request_is_taken_out_of_their_shape() -> None:
    task = replace(
        DRAFT_TASK, contract=Contract(output="Reply: {answer}"), prompts={"small": Prompt()}
    )
    assert read(task, "Reply: Hello.", tier="big") == ("Hello.", None)
    assert read(task, "Hello.", tier="big") == (None, "invalid_output")
    assert read(task, "Hello.", tier="small") == ("Hello.", None)


@given(st.text(), st.sampled_from([LABEL_TASK, FIELD_TASK, DRAFT_TASK, SHAPED]))
def test_any_text_is_read_as_an_answer_or_as_a_failure(text: str, task: Task) -> None:
    answer, failure = read(task, text)
    assert (answer is None) != (failure is None)
