"""The canonical answer of a tool_call task, and how it is read off what a model said.

It is the JSON text of an array of `{"arguments": {...}, "name": "..."}`, keys sorted, calls in the
order of the model; `[]` says that nothing is to be called. Several calls of a task whose order
counts stand in `{"calls": [...]}`: `answers.answer_key` takes a bare array in any order, and an
object to the letter, so that every comparison of answers keeps the task's word without knowing the
task. It does not know which call is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from stepdown.core.request import Tool, ToolCall, encode_answer

NO_CALL = "[]"
IN_ORDER = "calls"
_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_WRAPPERS = (IN_ORDER, "tool_calls")
_ARGUMENTS = ("arguments", "parameters", "input")


class NoCallsError(ValueError):
    """A text or a call that cannot be read as tool calls; says why."""


def calls_text(calls: Sequence[ToolCall]) -> str:
    """Return native tool calls as the canonical answer.

    Raises:
        NoCallsError: arguments that are no JSON object.
    """
    return encode_answer([_call(call.name, call.arguments) for call in calls])


def written_calls(text: str) -> str:
    """Return the calls that a model wrote as text, as the canonical answer.

    Read are an array of calls, one call, `{"calls": [...]}`, and `<tool_call>` elements; a call is
    `{"name": ..., "arguments": {...}}` (or `parameters`, `input`), or has these in `function`.

    Raises:
        NoCallsError: the text is nothing of that.
    """
    tagged = _TAGGED.findall(text)
    found = [_decoded(each) for each in tagged] if tagged else _listed(_decoded(text))
    return encode_answer([plain_call(each) for each in found])


def in_order(answer: str) -> str:
    """Return a canonical answer as one whose calls are compared in their order."""
    calls = calls_in(answer)
    return answer if len(calls) < 2 else encode_answer({IN_ORDER: calls})


def calls_in(answer: str) -> list[dict[str, Any]]:
    """Return the calls of a canonical answer, each with `name` and `arguments`.

    Raises:
        NoCallsError: it is none.
    """
    return [plain_call(each) for each in _listed(_decoded(answer))]


def tool_calls(answer: str) -> tuple[ToolCall, ...]:
    """Return a canonical answer as native calls, for a caller; ids number them."""
    return tuple(
        ToolCall(f"call_{number}", call["name"], encode_answer(call["arguments"]))
        for number, call in enumerate(calls_in(answer))
    )


def unknown_call(answer: str, tools: Sequence[Tool]) -> str | None:
    """Return the name of the first call of a function that is not among the tools."""
    known = {tool.name for tool in tools}
    return next((call["name"] for call in calls_in(answer) if call["name"] not in known), None)


def misfit(answer: str, tools: Sequence[Tool]) -> str:
    """Return how the first wrong call breaks its function's schema, nothing when none does.

    Parameters that are no JSON Schema themselves say nothing about a call.
    """
    from stepdown.core.json_schema import schema_problem, violation

    schemas = {tool.name: tool.parameters for tool in tools}
    for call in calls_in(answer):
        schema = schemas.get(call["name"], {})
        wrong = "" if schema_problem(schema) else violation(schema, call["arguments"])
        if wrong:
            return f"the call of {call['name']!r} breaks its schema {wrong}"
    return ""


def calls_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """Return the JSON Schema of calls as text, for tiers that are told of tools in words."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _parameters(tool)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    listed = {"type": "array", "items": {"anyOf": calls}}
    return {
        "type": "object",
        "properties": {"calls": listed},
        "required": ["calls"],
        "additionalProperties": False,
    }


def _parameters(tool: Tool) -> Mapping[str, Any]:
    return tool.parameters or {"type": "object", "properties": {}}


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text.strip())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NoCallsError(f"no JSON: {error}") from None


def _listed(found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        inside = next((found[key] for key in _WRAPPERS if key in found and len(found) == 1), None)
        found = [found] if inside is None else inside
    if not isinstance(found, list):
        raise NoCallsError(f"expected a list of calls, got {type(found).__name__}")
    return found


def plain_call(plain: Any) -> dict[str, Any]:
    """Return one call as `name` and `arguments`.

    Raises:
        NoCallsError: it has no name, or its arguments are no object.
    """
    said = plain.get("function", plain) if isinstance(plain, Mapping) else plain
    if isinstance(said, str) and isinstance(plain, Mapping):
        said = {**plain, "name": said}
    if not isinstance(said, Mapping) or not isinstance(said.get("name"), str) or not said["name"]:
        raise NoCallsError("a call without a name")
    given: Any = next((said[key] for key in _ARGUMENTS if key in said), {})
    return _call(said["name"], given)


def _call(name: str, arguments: Any) -> dict[str, Any]:
    found = _decoded(arguments or "{}") if isinstance(arguments, str) else arguments
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise NoCallsError(f"the arguments of {name!r} are no object")
    return {"name": name, "arguments": dict(found)}
