"""What a span of a model call says: in attributes of any family, flattened or not, or in events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stepdown.adapters.logs.cells import mapping
from stepdown.adapters.logs.said import (
    answer_message,
    answer_text,
    messages_of,
    schema_of,
    tools_of,
    unpacked,
)
from stepdown.core.usage_log import Content

_MESSAGES = ("gen_ai.input.messages", "gen_ai.prompt")
_ANSWERS = ("gen_ai.output.messages", "gen_ai.completion")
# Lists that are flattened into attributes: OpenLLMetry's, then OpenInference's.
_FLAT_ASKED = ("gen_ai.prompt", "llm.prompts", "llm.input_messages")
_FLAT_SAID = ("gen_ai.completion", "llm.completions", "llm.output_messages")
_PLACE = re.compile(r"^(\d+)\.(.+)$")
# Events of version 1.36 and before; the latest conventions put all into one event.
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def said_in(raw: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Content:
    """Return what a span (with its plain attributes) says."""
    from stepdown.adapters.logs.otel import metadata_of

    span, attributes = raw
    events = _events(span)
    attributes = {**attributes, **events}
    asked = _told(attributes, _MESSAGES, _FLAT_ASKED, "input.value")
    said = answer_message(_told(attributes, _ANSWERS, _FLAT_SAID, "output.value"))
    parameters = mapping(unpacked(attributes.get("llm.invocation_parameters")))
    return Content(
        messages=messages_of(asked, attributes.get("gen_ai.system_instructions")),
        answer=answer_text(said),
        tools=tools_of(_tools(attributes, parameters)),
        called=() if said is None else tuple(call.name for call in said.tool_calls),
        schema=schema_of(parameters),
        metadata=metadata_of(attributes),
    )


def _told(
    attributes: Mapping[str, Any], names: tuple[str, ...], flat: tuple[str, ...], last: str
) -> Any:
    for name in names:
        if attributes.get(name):
            return unpacked(attributes[name])
    for prefix in flat:
        found = _unflattened(attributes, f"{prefix}.")
        if found:
            return found
    return _value(attributes.get(last))


def _value(value: Any) -> Any:
    """Return OpenInference's input or output as a whole: often the request's body as JSON."""
    found = unpacked(value)
    if isinstance(found, dict) and "messages" in found:
        return found["messages"]
    return found


def _unflattened(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        place = _PLACE.match(key[len(prefix) :])
        if place is not None:
            rows.setdefault(int(place[1]), {})[place[2].removeprefix("message.")] = value
    return [_message(rows[number]) for number in sorted(rows)]


def _message(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return one message of flat names: `content`, `tool_calls.0.name`, `contents.0...text`."""
    calls: dict[str, dict[str, Any]] = {}
    texts: dict[str, Any] = {}
    for key, value in flat.items():
        kind, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        if kind == "tool_calls":
            plain = name.removeprefix("tool_call.").removeprefix("function.")
            calls.setdefault(number, {})[plain] = value
        elif kind == "contents" and name.endswith("text"):
            texts[number] = value
    content = flat.get("content")
    if content is None and texts:
        content = "\n".join(str(texts[number]) for number in sorted(texts))
    found = {"role": flat.get("role", "user"), "content": unpacked_blocks(content)}
    if calls:
        found["tool_calls"] = [calls[number] for number in sorted(calls)]
    return found


def unpacked_blocks(content: Any) -> Any:
    """Return content blocks that were written as JSON text; other text stays as it is."""
    found = unpacked(content)
    blocks = isinstance(found, list) and found and all(isinstance(b, dict) for b in found)
    return found if blocks and all("type" in block for block in found) else content


def _events(span: Mapping[str, Any]) -> dict[str, Any]:
    from stepdown.adapters.logs.otel import plain_attributes

    asked: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    for event in span.get("events") or ():
        told = {**plain_attributes(event), **mapping(event.get("body"))}
        role = _EVENT_ROLES.get(str(event.get("name")))
        if role is not None:
            asked.append({"role": role, **told})
        elif event.get("name") == "gen_ai.choice":
            found.setdefault("gen_ai.output.messages", [_choice(told)])
        else:
            found |= {key: value for key, value in told.items() if key.startswith("gen_ai.")}
    return {**found, "gen_ai.input.messages": asked} if asked else found


def _choice(told: Mapping[str, Any]) -> dict[str, Any]:
    message = unpacked(told.get("message"))
    return {"role": "assistant", **(message if isinstance(message, dict) else told)}


def _tools(attributes: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    from stepdown.adapters.logs.otel import flat_list

    found = attributes.get("gen_ai.tool.definitions")
    if found is not None:
        return found
    flat = flat_list(attributes, "llm.tools", "tool.json_schema")
    return [unpacked(tool) for tool in flat] or parameters.get("tools")
