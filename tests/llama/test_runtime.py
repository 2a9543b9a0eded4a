"""The runtime's end: llama.cpp hangs when it is told to stop before its loop has begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepdown.adapters.models.llama.runtime import Runtime
from stepdown.adapters.models.llama.settings import LlamaSettings


class Counting:
    """The server, with a count of what was asked of it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.asked = 0

    def handle_completions(self, *given: Any) -> Any:
        self.asked += 1
        return self._server.handle_completions(*given)


def opened(gguf: Path) -> tuple[Runtime, Counting]:
    runtime = Runtime(gguf, LlamaSettings(context_tokens=256))
    counting = Counting(runtime._server)
    runtime._server = counting
    return runtime, counting


def test_a_model_that_was_never_asked_answers_once_before_it_is_closed(gguf: Path) -> None:
    runtime, counting = opened(gguf)
    runtime.close()
    assert counting.asked == 1


def test_a_model_that_has_answered_is_closed_at_once(gguf: Path) -> None:
    runtime, counting = opened(gguf)
    runtime.ask({"prompt": "a", "max_tokens": 1})
    runtime.close()
    runtime.close()
    assert counting.asked == 1
