"""What was said in a call, from the JSON that any log holds of it, as our messages and answer.

It reads the shapes of OpenAI (Chat Completions, Responses), Anthropic, Bedrock's Converse and
OpenTelemetry's parts, and what mixes them; what it does not know it leaves out. Values may be JSON
inside a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stepdown.core.asked import Tool
from stepdown.core.request import ImagePart, Message, TextPart, ToolCall
from stepdown.core.usage_log import Content

Part = TextPart | ImagePart
_PLAIN_ROLES = ("system", "user", "assistant")
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "developer": "system"}


def content_of(request: Any, response: Any, metadata: Mapping[str, Any] | None = None) -> Content:
    """Return what a request and its response say; each is a body of any of the wires."""
    asked = unpacked(request)
    asked = asked if isinstance(asked, dict) else {"messages": asked}
    said = answer_message(response)
    called = tuple([call.name for call in said.tool_calls]) if said and said.tool_calls else ()
    if _BESIDE.isdisjoint(asked):  # nearly every call
        messages = messages_of(_conversation(asked))
        answer = answer_text(said)
        return Content(messages=messages, answer=answer, called=called, metadata=metadata or {})
    return Content(
        messages=messages_of(_conversation(asked), _system(asked)),
        answer=answer_text(said),
        tools=tools_of(first_of(asked, "tools", "functions", "toolConfig")),
        called=called,
        schema=schema_of(asked),
        metadata=metadata or {},
    )


def unpacked(value: Any) -> Any:
    """Return a value that may be JSON inside a string."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return value


def messages_of(value: Any, system: Any = None) -> tuple[Message, ...] | None:
    """Return messages, None where the log holds none."""
    said = unpacked(value)
    if not said:
        return None
    before = () if system is None else (Message("system", _text(unpacked(system))),)
    if isinstance(said, str):
        return (*before, Message("user", said))
    if isinstance(said, dict):
        said = said.get("messages", [said])
    found = list(before)
    for row in said if isinstance(said, list) else ():
        plain = _plain(row)
        if plain is not None:
            found.append(plain)
        elif isinstance(row, str | dict):
            found += _messages(row)
    return tuple(found)


def answer_message(value: Any) -> Message | None:
    """Return the message that answers, from a response's body or from what a log kept of it."""
    value = unpacked(value)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return Message("assistant", value)
    if isinstance(value, list):
        return _last_said(value)
    return _from_body(value) if isinstance(value, dict) else None


def answer_text(said: Message | None) -> str | None:
    """Return an answer as text; calls of tools without text as JSON; None where there is none."""
    if said is None:
        return None
    if said.tool_calls and not said.text:
        return msgspec.json.encode({"tool_calls": said.tool_calls}).decode()
    return None if said.content is None else said.text


def tools_of(value: Any) -> tuple[Tool, ...]:
    """Return the functions that a model was offered."""
    found = unpacked(value)
    if isinstance(found, dict):  # Converse
        found = found.get("tools")
    if not isinstance(found, list):
        return ()
    return tuple(tool for tool in map(_tool, found) if tool is not None)


def schema_of(asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema that the answer had to obey."""
    shape = first_of(asked, "response_format", "output_format")
    if shape is None:
        outer = first_of(asked, "text", "output_config")
        shape = outer.get("format") if isinstance(outer, dict) else None
    if not isinstance(shape, dict):
        return None
    inner = shape.get("json_schema")
    found = inner.get("schema") if isinstance(inner, dict) else shape.get("schema")
    return found if isinstance(found, dict) else None


def first_of(value: Mapping[str, Any], *names: str) -> Any:
    """Return the first of some keys that holds anything."""
    for name in names:
        found = value.get(name)
        if found is not None and found not in ("", []):
            return found
    return None


_SYSTEM = ("system", "instructions", "system_instruction", "systemInstruction")
# What a request may hold beside its conversation.
_BESIDE = frozenset(
    (
        *_SYSTEM,
        *("tools", "functions", "toolConfig"),
        *("response_format", "output_format", "text", "output_config"),
    )
)


def _conversation(asked: Mapping[str, Any]) -> Any:
    found = first_of(asked, "messages", "input", "prompt", "inputText")
    return found if found is not None else first_of(asked, "contents")


def _system(asked: Mapping[str, Any]) -> Any:
    return first_of(asked, *_SYSTEM)


def _plain(row: Any) -> Message | None:
    """Return a message of a role and a text, as nearly every one is; None: it is another."""
    if type(row) is not dict or len(row) != 2:
        return None
    role, content = row.get("role"), row.get("content")
    if type(content) is not str:
        return None
    return Message(role if role in _PLAIN_ROLES else _role(row), content)


def _messages(row: Any) -> Iterable[Message]:
    if isinstance(row, str):
        return (Message("user", row),)
    kind = row.get("type")
    if kind == "function_call":
        return (Message("assistant", None, tool_calls=(_call(row),)),)
    if kind == "function_call_output":
        result = _content(row.get("output"))
        return (Message("tool", result, tool_call_id=_word(row.get("call_id"))),)
    if kind in ("reasoning", "item_reference"):
        return ()
    return _whole_message(row)


def _whole_message(row: Mapping[str, Any]) -> Iterable[Message]:
    row = _inner(row)
    content = row.get("parts") if row.get("content") is None else row.get("content")
    blocks = content if isinstance(content, list) else []
    results = [block for block in blocks if _kind(block) in _RESULTS]
    role = _role(row)
    calls = (*_calls_beside(row), *(_call(block) for block in blocks if _kind(block) in _CALLS))
    for result in results:  # answers of tools come before what the user says next
        yield _result(result)
    rest = [block for block in blocks if _kind(block) not in (*_RESULTS, *_CALLS)]
    if results and not rest and not calls:
        return
    said = _content(rest) if isinstance(content, list) else _content(content)
    yield Message(
        role=role,
        content=(None if calls and not said else said),
        tool_calls=calls,
        tool_call_id=_word(row.get("tool_call_id")),
        name=_word(row.get("name")),
    )


_RESULTS = ("tool_result", "toolResult", "tool_call_response")
_CALLS = ("tool_use", "toolUse", "tool_call")


def _inner(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message in what wraps it (LangChain's serialised messages, `{"message": {}}`)."""
    for name in ("message", "data", "kwargs"):
        inner = row.get(name)
        if isinstance(inner, dict) and "content" in inner and "content" not in row:
            return {"role": row.get("role") or _class_role(row), **inner}
    return row


def _class_role(row: Mapping[str, Any]) -> str | None:
    named = row.get("id")
    last = str(named[-1]).lower() if isinstance(named, list) and named else str(row.get("type", ""))
    for word in ("human", "system", "tool"):
        if word in last:
            return word
    return "assistant" if "ai" in last else None


def _role(row: Mapping[str, Any]) -> str:
    role = row.get("role")
    if role is None:
        kind = row.get("type")
        role = kind if kind in ("human", "ai", "system", "tool", "user", "assistant") else "user"
    return ROLES.get(str(role).lower(), str(role))


def _kind(block: Any) -> str:
    if not isinstance(block, dict):
        return ""
    kind = block.get("type")
    if kind is not None:
        return str(kind)
    return next((name for name in ("toolUse", "toolResult") if name in block), "")


def _content(content: Any) -> str | tuple[Part, ...] | None:
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return str(content)
    parts = tuple(part for part in map(_part, content) if part is not None)
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return parts or None


def _part(part: Any) -> Part | None:
    if isinstance(part, str):
        return TextPart(part)
    if not isinstance(part, dict) or _kind(part) in ("thinking", "reasoning"):
        return None
    for name in ("text", "content"):
        if isinstance(part.get(name), str):
            return TextPart(part[name])
    return _image(part)


def _image(part: Mapping[str, Any]) -> ImagePart | None:
    image = part.get("image_url") or part.get("image")
    if isinstance(image, dict):
        image = image.get("url")
    source = part.get("source")
    if image is None and isinstance(source, dict) and _kind(part) == "image":
        data = f"data:{source.get('media_type')};base64,{source.get('data')}"
        image = source.get("url") or data
    return ImagePart(image) if isinstance(image, str) else None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("parts") or value.get("content") or value
    return Message("system", _content(value)).text


def _calls_beside(row: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    found = unpacked(row.get("tool_calls"))
    calls = found if isinstance(found, list) else []
    old = row.get("function_call")
    return tuple(
        _call(call) for call in (*calls, *([old] if old else [])) if isinstance(call, dict)
    )


def _call(call: Mapping[str, Any]) -> ToolCall:
    inner = call.get("function") or call.get("toolUse") or call
    inner = inner if isinstance(inner, dict) else call
    given = first_of(inner, "arguments", "input", "args")
    raw = given if isinstance(given, str) else msgspec.json.encode(given or {}).decode()
    told = first_of(call, "call_id", "id", "tool_call.id") or inner.get("toolUseId") or ""
    return ToolCall(str(told), str(inner.get("name") or ""), raw)


def _result(block: Mapping[str, Any]) -> Message:
    inner = block.get("toolResult", block)
    told = first_of(inner, "tool_use_id", "toolUseId", "id")
    said = _content(first_of(inner, "content", "result", "response"))
    return Message("tool", said, tool_call_id=_word(told))


def _tool(tool: Any) -> Tool | None:
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function") or tool.get("toolSpec") or tool
    if not isinstance(inner, dict) or not inner.get("name"):
        return None
    shape = first_of(inner, "parameters", "input_schema", "inputSchema") or {}
    shape = shape.get("json", shape) if isinstance(shape, dict) else {}
    return Tool(str(inner["name"]), str(inner.get("description") or ""), shape)


def _from_body(body: Mapping[str, Any]) -> Message | None:
    choices = body.get("choices")
    if isinstance(choices, list):
        return _from_choice(choices[0]) if choices and isinstance(choices[0], dict) else None
    output = body.get("output")
    if isinstance(output, list):  # Responses
        return _joined(output)
    if isinstance(output, dict):  # Converse
        return answer_message(output)
    if isinstance(output, str):
        return Message("assistant", output)
    generations = body.get("generations")
    if isinstance(generations, list) and generations:  # LangChain
        flat = generations[0]
        return answer_message(flat[0] if isinstance(flat, list) and flat else flat)
    return _from_message(body)


def _from_choice(choice: Mapping[str, Any]) -> Message | None:
    made = choice.get("message")
    if isinstance(made, dict):
        if _is_plain(made):  # nearly every answer
            return Message("assistant", made["content"])
        return next(iter(_whole_message({"role": "assistant", **made})), None)
    return Message("assistant", choice["text"]) if isinstance(choice.get("text"), str) else None


def _is_plain(made: Mapping[str, Any]) -> bool:
    """Tell whether a message is the assistant's, with text and no calls or name."""
    return (
        isinstance(made.get("content"), str)
        and made.get("role", "assistant") == "assistant"
        and not made.get("tool_calls")
        and not made.get("function_call")
        and made.get("name") is None
        and made.get("tool_call_id") is None
    )


def _from_message(body: Mapping[str, Any]) -> Message | None:
    for name in ("message", "messages"):
        if isinstance(body.get(name), dict | list):
            return answer_message(body[name])
    if "content" in body or "parts" in body or "tool_calls" in body or "kwargs" in body:
        return next(iter(_whole_message({"role": "assistant", **body})), None)
    for name in ("text", "completion", "outputText", "generation", "output_text"):
        if isinstance(body.get(name), str):
            return Message("assistant", body[name])
    return None


def _last_said(rows: list[Any]) -> Message | None:
    """Return the first message of a list of choices, or the blocks of one message as it."""
    if not rows:
        return None
    head = rows[0]
    if isinstance(head, list):
        return _last_said(head)
    if isinstance(head, str):
        return Message("assistant", head)
    if isinstance(head, dict) and ("role" in head or "message" in head or "parts" in head):
        return answer_message(head)
    return _joined(rows)


def _joined(items: list[Any]) -> Message | None:
    """Return one message of the items of an answer (`output`, or content blocks)."""
    calls: list[ToolCall] = []
    texts: list[str] = []
    for item in items:
        kind = _kind(item)
        if kind in ("function_call", *_CALLS):
            calls.append(_call(item))
        elif kind == "message":
            texts.append(Message("assistant", _content(item.get("content"))).text)
        elif (part := _part(item)) is not None and isinstance(part, TextPart):
            texts.append(part.text)
    if not calls and not texts:
        return None
    return Message("assistant", "".join(texts) if texts else None, tool_calls=tuple(calls))


def _word(value: Any) -> str | None:
    return None if value is None else str(value)
