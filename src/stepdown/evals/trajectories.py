"""Recorded trajectories of agents as rows: each step of the assistant, given the true history.

It replays what happened and runs no agent, so that one wrong step does not spoil the next. A row of
a step has `step.calls` (what it called, `[]` when it spoke) and `step.text` (what it said).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from stepdown.core.chat import messages_of
from stepdown.core.request import Message, ToolCall
from stepdown.errors import DataError

Row = tuple[int, Mapping[str, Any]]
STEP, TRAJECTORY, HISTORY, TEXT = "step", "trajectory", "history", "text"
CALLS, SAID = f"{STEP}.calls", f"{STEP}.text"


def steps_of(rows: Iterable[Row], *, source: str, messages: str, row_id: str) -> Iterator[Row]:
    """Yield a row for each step of the assistant in rows that hold whole trajectories.

    Its id is `TRAJECTORY#STEP`; other fields of the trajectory (its tools) stay.

    Raises:
        DataError: a row without id, messages, or steps; names file and line.
    """
    for line, row in rows:
        at = f"{source}, line {line}"
        name = row.get(row_id)
        if name is None or str(name) == "":
            raise DataError(f"{at}: {row_id!r} is empty.", "A trajectory needs an id of its own.")
        plain, said = _messages(row, messages, at)
        kept = {key: value for key, value in row.items() if key != messages}
        for number, place in enumerate(_places(said, at), 1):
            step = _step(plain, said, place, at)
            yield line, {**kept, **step, row_id: f"{name}#{number}", TRAJECTORY: str(name)}


def takes(row: Mapping[str, Any], *, calls: bool) -> bool:
    """Tell whether a step belongs to a task: every one to a task that calls, talk to the others."""
    step = row.get(STEP)
    return calls or not isinstance(step, Mapping) or (not step["calls"] and bool(step["text"]))


def _messages(row: Mapping[str, Any], path: str, at: str) -> tuple[list[Any], tuple[Message, ...]]:
    found = row.get(path)
    try:
        plain = msgspec.json.decode(found) if isinstance(found, str) else found
        return list(plain or ()), messages_of(plain)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise DataError(
            f"{at}: {path!r} holds no messages: {error}.",
            "A trajectory is a list of messages as the OpenAI chat API takes them.",
        ) from None


def _places(said: Sequence[Message], at: str) -> list[int]:
    """Return where the steps are: messages of the assistant that something came before."""
    places = [i for i, message in enumerate(said) if message.role == "assistant" and i > 0]
    if not places:
        raise DataError(
            f"{at}: no message of the assistant follows another, so there is no step to score.",
            "Leave the row out.",
        )
    return places


def _step(plain: Sequence[Any], said: Sequence[Message], place: int, at: str) -> dict[str, Any]:
    """Return a step: the user's last words are its text, all before them its history."""
    asked = said[place - 1].role == "user" and isinstance(said[place - 1].content, str)
    step = said[place]
    return {
        TEXT: said[place - 1].text if asked else "",
        HISTORY: list(plain[: place - 1 if asked else place]),
        STEP: {
            "calls": [{"name": c.name, "arguments": _arguments(c, at)} for c in step.tool_calls],
            "text": step.text.strip(),
        },
    }


def _arguments(call: ToolCall, at: str) -> Any:
    try:
        return msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        raise DataError(
            f"{at}: the arguments of {call.name!r} are no JSON: {error}.", "Correct the row."
        ) from None
