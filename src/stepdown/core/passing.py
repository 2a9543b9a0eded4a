"""A request that is passed on as it is, and its answer: nobody knows what shape is expected."""

from __future__ import annotations

import msgspec

from stepdown.core.asked import Asked
from stepdown.core.request import Completion, Message, Request
from stepdown.core.requesting import Answer


def as_asked(request: Request, messages: tuple[Message, ...], asked: Asked) -> Request:
    """Return the request as the caller wrote it, with everything that they asked for."""
    shape = asked.format
    return msgspec.structs.replace(
        request,
        messages=messages,
        labels=(),
        schema=None if shape is None else shape.schema,
        tools=asked.tools,
        max_tokens=asked.max_tokens,
        temperature=request.temperature if asked.temperature is None else asked.temperature,
        seed=asked.seed,
        stop=asked.stop,
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        asked=asked,
    )


def read_as_it_is(completion: Completion) -> Answer:
    """Return the text of an answer as it came.

    A cut answer or a refusal is the caller's to handle, as it is today.
    """
    return Answer(completion.text)
