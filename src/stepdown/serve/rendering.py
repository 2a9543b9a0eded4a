"""An answer as the caller gets it: rendered by the contract, as calls where it calls tools."""

from __future__ import annotations

import msgspec

from stepdown.core.asked import Asked
from stepdown.core.call import Call, Choice
from stepdown.core.request import Capabilities, Completion, ToolCall
from stepdown.core.tool_answer import tool_calls
from stepdown.serve.planning import Plan

_DECODING = ("max_tokens", "temperature", "top_p", "seed", "stop", "tool_choice", "parallel_tools")
_UNSET = Asked()
_ONLY_OPENAI = ("seed",)  # what the Anthropic wire has no word for


def rendered(call: Call, plan: Plan, answer: str, done: Completion) -> Choice:
    """Return a canonical answer in the shape that the caller parses.

    Calls are native where the caller sent tools, else text.
    """
    if plan.asked is None and plan.step.task.kind == "tool_call":
        if call.asked.tools:
            return _calls(call.id, answer, done)
        return Choice(text=plan.step.task.contract.render(answer))
    asked = plan.asked
    return Choice(
        text=plan.step.task.contract.render(answer),
        finish_reason=done.finish_reason,
        stop_sequence=None if asked is None else done.stop_sequence,
        tool_calls=done.tool_calls,
        logprobs=done.logprobs if asked is not None and asked.logprobs else None,
    )


def _calls(call_id: str, answer: str, done: Completion) -> Choice:
    """Return the calls of a canonical answer; where nothing is called, what the tier said.

    Ids that no vendor gave hold the request's own, so that no two of a conversation are the same.
    """
    calls = done.tool_calls or tuple(
        ToolCall(f"call_{call_id}_{number}", call.name, call.arguments)
        for number, call in enumerate(tool_calls(answer))
    )
    if calls:
        return Choice(text="", finish_reason="tool_calls", tool_calls=calls)
    return Choice(text="" if _is_json(done.text) else done.text.strip())


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def ignored(call: Call, plan: Plan, able: Capabilities | None) -> tuple[str, ...]:
    """Return the caller's parameters that changed nothing.

    A request that matches its contract runs with the decoding that was certified. One that is
    passed on may be answered by a tier (`able`) that has no word for some of them.
    """
    asked = call.asked
    if plan.asked is None:
        return (*_set_among(_DECODING, asked), *asked.extra)
    if able is None or able.wire == asked.wire:
        return ()
    unsaid = _ONLY_OPENAI if able.wire == "anthropic" else ()
    return (*_set_among(unsaid, asked), *asked.extra)


def _set_among(names: tuple[str, ...], asked: Asked) -> tuple[str, ...]:
    return tuple([name for name in names if getattr(asked, name) != getattr(_UNSET, name)])
