"""What a tier is asked and how its answer is read: tools, schemas, history, images, vectors."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stepdown.core.answers import answer_key
from stepdown.core.bought import agreement_of
from stepdown.core.chat import messages_of, tools_of
from stepdown.core.contract import Contract, Prompt
from stepdown.core.json_schema import schema_problem, violation
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import panel
from stepdown.core.request import Completion, Context, ImagePart, Message, Tool, ToolCall
from stepdown.core.requesting import read_answer, request_for
from stepdown.core.task import Task
from stepdown.core.tool_answer import tool_calls

TOOLS = (
    Tool("book", "Book a room.", {"type": "object", "properties": {"city": {"type": "string"}}}),
    Tool("cancel"),
)
TOLD = Prompt(system="Functions: {tools}", user="{input}")
CALLS: Task = Task(
    name="t", kind="tool_call", tiers=("native", "told"), tools=TOOLS, prompts={"told": TOLD}
)
SCHEMED = Task(
    name="t",
    kind="convert",
    tiers=("a",),
    json_schema={"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
)
OSLO = '[{"arguments":{"city":"Oslo"},"name":"book"}]'
HISTORY = (Message("user", "Hello"), Message("assistant", "Where to?"))
IMAGE = "data:image/png;base64,AAAA"


def read(text: str = "", tier: str = "native", task: Task = CALLS, **more: Any) -> Any:
    return read_answer(task, tier, Completion(text=text, **more))


def test_native_calls_become_the_canonical_answer_and_back() -> None:
    answer = read(tool_calls=(ToolCall("x", "book", '{"city":  "Oslo"}'),)).text
    assert answer == OSLO
    assert tool_calls(answer) == (ToolCall("call_0", "book", '{"city":"Oslo"}'),)


@pytest.mark.parametrize(
    "text",
    [
        OSLO,
        '{"name": "book", "arguments": {"city": "Oslo"}}',
        '{"name": "book", "parameters": {"city": "Oslo"}}',
        '{"calls": [{"name": "book", "arguments": {"city": "Oslo"}}]}',
        '{"tool_calls": [{"function": {"name": "book", "arguments": "{\\"city\\": \\"Oslo\\"}"}}]}',
        '```json\n[{"name": "book", "arguments": {"city": "Oslo"}}]\n```',
        'Sure.\n<tool_call>\n{"name": "book", "arguments": {"city": "Oslo"}}\n</tool_call>',
    ],
)
def test_calls_that_are_written_as_text_are_read_in_every_documented_shape(text: str) -> None:
    assert read(text).text == OSLO
    assert read(text, "told").text == OSLO


def test_two_orders_of_calls_differ_only_where_the_task_says_that_order_counts() -> None:
    first = '[{"name": "book", "arguments": {"city": "Oslo"}}, {"name": "cancel"}]'
    second = '[{"name": "cancel"}, {"name": "book", "arguments": {"city": "Oslo"}}]'
    ordered = replace(CALLS, scoring={"ordered": True})
    for task, alike in ((CALLS, True), (ordered, False)):
        one, other = (read(text, task=task).text for text in (first, second))
        assert (answer_key(one) == answer_key(other)) == alike
        assert agreement_of(one, [other]) == alike
        assert [call.name for call in tool_calls(one)] == ["book", "cancel"]
        assert read(one, task=task).text == one
    assert read(OSLO, task=ordered).text == OSLO


@pytest.mark.parametrize(("ordered", "alike"), [(False, True), (True, False)])
def test_a_panel_takes_the_order_of_calls_as_the_task_does(ordered: bool, alike: bool) -> None:
    texts = {
        "native": '[{"name": "book", "arguments": {}}, {"name": "cancel"}]',
        "told": '[{"name": "cancel"}, {"name": "book", "arguments": {}}]',
    }
    task = replace(CALLS, scoring={"ordered": ordered})
    rows = [
        Outcome(query_id="q", tier=tier, score=1.0, answer=read(text, tier, task).text)
        for tier, text in texts.items()
    ]
    table = panel(rows)
    assert (table.answers["native"][0] == table.answers["told"][0]) == alike


def test_prose_calls_nothing_unless_json_was_asked_for() -> None:
    assert read("I cannot help with that.").text == "[]"
    assert read("I cannot help with that.", "told").failure == "invalid_output"
    assert read("[]", "told").text == "[]"
    assert read("").failure == "invalid_output"


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("x", "book", '{"city": '),
        ToolCall("x", "book", "[1]"),
        ToolCall("x", "fly", "{}"),
    ],
)
def test_broken_arguments_and_unknown_functions_are_no_answer(call: ToolCall) -> None:
    assert read(tool_calls=(call,)).failure == "invalid_output"
    assert read(tool_calls=(call,), finish_reason="length").failure == "truncated"


def test_an_input_that_brings_its_own_tools_may_call_only_these() -> None:
    own = Context(tools=(Tool("fly"),))
    done = Completion(text="", tool_calls=(ToolCall("x", "fly", "{}"),))
    assert read_answer(CALLS, "native", done, own).text == '[{"arguments":{},"name":"fly"}]'
    assert request_for(CALLS, "native", "r", "hi", context=own).tools == own.tools


def test_tools_go_to_a_tier_natively_or_in_its_prompt_and_then_it_is_asked_for_json() -> None:
    native, told = (request_for(CALLS, tier, "r", "to Oslo") for tier in CALLS.tiers)
    assert (native.tools, native.schema) == (TOOLS, None)
    assert (told.tools, told.messages[-1].text) == ((), "to Oslo")
    assert '"name":"cancel"' in told.messages[0].text
    listed: Any = told.schema
    assert violation(listed, {"calls": [{"name": "book", "arguments": {"city": "Oslo"}}]}) == ""
    assert violation(listed, {"calls": [{"name": "fly", "arguments": {}}]})


def test_a_message_that_holds_the_words_of_a_place_stays_as_it_is() -> None:
    (said,) = Prompt(user="{labels} | {input}").messages("say {tools} and {labels}", ("a", "b"))
    assert said.text == "a, b | say {tools} and {labels}"


def test_history_stands_before_the_text_and_images_beside_it() -> None:
    task = replace(CALLS, contract=Contract(system="Be brief."))
    around = Context(history=(Message("system", "Old."), *HISTORY), images=(IMAGE,))
    asked = request_for(task, "native", "r", "Oslo", context=around)
    roles = [(m.role, m.text) for m in asked.messages]
    assert roles == [("system", "Be brief."), ("user", "Hello"), ("assistant", "Where to?"),
                     ("user", "Oslo")]  # fmt: skip
    assert asked.messages[-1].content[1] == ImagePart(IMAGE)  # type: ignore[index]
    assert asked.input == "Oslo"


def test_without_a_text_the_history_says_everything() -> None:
    ended = (*HISTORY, Message("tool", "3 rooms", tool_call_id="x"))
    asked = request_for(CALLS, "native", "r", "", context=Context(history=ended))
    assert asked.messages == ended


def test_what_stands_around_is_part_of_the_question_and_nothing_else_changes_it() -> None:
    plain = request_for(CALLS, "native", "r", "Oslo")
    assert request_for(CALLS, "native", "r", "Oslo", context=Context()) == plain
    assert request_for(CALLS, "native", "r", "Oslo", context=Context(history=HISTORY)) != plain


@pytest.mark.parametrize(
    ("text", "answer", "failure"),
    [
        ('{"n": 1.50}', '{"n":1.5}', None),
        ('```json\n{"n": 1}\n```', '{"n":1}', None),
        ('{"n": "1"}', None, "invalid_output"),
        ("{}", None, "invalid_output"),
        ("n = 1", None, "invalid_output"),
        ("[" * 100_000, None, "invalid_output"),
    ],
)
def test_an_answer_obeys_its_schema_or_is_none(
    text: str, answer: str | None, failure: str | None
) -> None:
    found = read(text, "a", SCHEMED)
    assert (found.text, found.failure) == (answer, failure)


def test_a_violation_says_where_and_how() -> None:
    schema = {"properties": {"a": {"items": {"properties": {"b": {"type": "string"}}}}}}
    assert violation(schema, {"a": [{"b": "x"}, {"b": 1}]}).startswith(
        "at a[1].b: 1 is not of type"
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"type": 3},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_and_nothing_is_fetched(schema: Any) -> None:
    assert schema_problem(schema)


def test_a_vector_is_an_array_of_finite_numbers() -> None:
    task = Task(name="t", kind="embed", tiers=("a",))
    assert read("[1, 0.5]", "a", task).text == "[1.0,0.5]"
    for text in ("[]", "[1, null]", "1, 2", '["1"]', "[1e999]"):
        assert read(text, "a", task).failure == "invalid_output"
    assert not task.cascades


def test_calls_are_the_same_answer_in_any_order_and_other_lists_are_not() -> None:
    one, two = '{"name":"a","arguments":{"x":1}}', '{"arguments":{},"name":"b"}'
    assert answer_key(f"[{one},{two}]") == answer_key(f"[{two},{one}]")
    assert answer_key("[1,2]") != answer_key("[2,1]")


def test_messages_and_tools_are_read_in_the_shapes_of_the_chat_api() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    said = messages_of([{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert said[0].tool_calls == (ToolCall("c", "f", '{"x":1}'),)
    bare, wrapped = {"name": "f"}, {"type": "function", "function": {"name": "g"}}
    assert [tool.name for tool in tools_of([bare, wrapped])] == ["f", "g"]
    for wrong in ([{"role": "robot"}], "hello", [{"content": "x"}]):
        with pytest.raises(ValueError, match="messages"):
            messages_of(wrong)
    for broken in ([{"name": ""}], [bare, bare], {"name": "f"}, [{"parameters": {}}]):
        with pytest.raises(ValueError, match="tool"):
            tools_of(broken)
