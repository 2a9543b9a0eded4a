"""Examples as turns of a language model: the request that is served, and the answer to learn.

The request comes from where serving takes it (`core.requesting`), its tokens from the runtime
that will answer (`ports.prompter`). So the model is trained on what it will read, to the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.request import Request, encode_answer
from stepdown.core.requesting import request_for
from stepdown.core.task import Task
from stepdown.ports.learner import Turn
from stepdown.ports.prompter import Prompter, Tokens
from stepdown.ports.trainer import Example


class Turns(Struct, frozen=True):
    """Turns, and how many examples did not fit the context."""

    turns: tuple[Turn, ...]
    too_long: int = 0


def turns_of(
    task: Task, tier: str, examples: Sequence[Example], prompter: Prompter, limit: int
) -> Turns:
    """Return the examples as turns of at most `limit` tokens; longer ones are counted, not cut."""
    forks = _Forks(task, prompter)
    found = [_turn(task, tier, example, prompter, forks) for example in examples]
    kept = tuple(turn for turn in found if turn.length <= limit)
    return Turns(kept, len(found) - len(kept))


def answer_text(task: Task, answer: Any) -> str:
    """Return an answer as the tier is to write it: text, or JSON in the order of the schema.

    JSON has no white space, because the runtime allows none where a schema binds it.
    """
    if isinstance(answer, str) and not task.structured:
        return answer
    schema = task.schema
    if schema is None:
        return encode_answer(answer)
    return msgspec.json.encode(_ordered(answer, schema)).decode()


def _ordered(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return an object with its keys in the order of the schema's properties, deep."""
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_ordered(one, schema["items"]) for one in value]
    properties = schema.get("properties")
    if not isinstance(value, Mapping) or not isinstance(properties, Mapping):
        return value
    known = {name: _ordered(value[name], properties[name]) for name in properties if name in value}
    return {**known, **{name: one for name, one in value.items() if name not in known}}


def _turn(task: Task, tier: str, example: Example, prompter: Prompter, forks: _Forks) -> Turn:
    request = request_for(task, tier, example.id, example.input)
    answer = prompter.answer(request, answer_text(task, example.answer))
    return Turn(
        prompter.prompt(request),
        answer,
        forks.choices(request, answer) if task.labels else (),
        example.wrong is not None and example.wrong != example.answer,
    )


class _Forks:
    """The labels of a task as a tree of tokens: what may stand at each place of an answer."""

    def __init__(self, task: Task, prompter: Prompter) -> None:
        self._task, self._prompter = task, prompter
        self._paths: tuple[Tokens, ...] = ()

    def choices(self, request: Request, answer: Tokens) -> tuple[Tokens, ...]:
        """Return for each token of `answer` the tokens that may stand there, ascending."""
        if not self._paths:  # one tier's prompt begins every answer alike
            self._paths = tuple(self._prompter.answer(request, name) for name in self._task.labels)
        return tuple(self._after(answer[:at]) for at in range(len(answer)))

    def _after(self, prefix: Tokens) -> Tokens:
        at = len(prefix)
        found = {path[at] for path in self._paths if len(path) > at and path[:at] == prefix}
        return tuple(sorted(found))
