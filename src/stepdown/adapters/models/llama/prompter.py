"""The prompts and answers of the embedded model in tokens, for training what it will serve."""

from __future__ import annotations

from pathlib import Path

from stepdown.adapters.models.llama.prompting import lead_of, messages_of
from stepdown.adapters.models.llama.runtime import Runtime
from stepdown.adapters.models.llama.settings import LlamaSettings
from stepdown.core.request import Request

Tokens = tuple[int, ...]


class LlamaPrompter:
    """Spell requests as `LlamaModel` asks them, by the same code and the same tokenizer."""

    def __init__(self, path: Path, settings: LlamaSettings | None = None) -> None:
        """Load the file.

        Raises:
            WeightsError: no such file, or one that llama.cpp cannot load.
        """
        self._settings = settings or LlamaSettings()
        self._runtime = Runtime(path, self._settings)

    @property
    def context_tokens(self) -> int:
        """Longest prompt and answer together."""
        return self._settings.context_tokens

    def prompt(self, request: Request) -> Tokens:
        """Return the tokens that the runtime reads before it answers."""
        return self._runtime.prompt_tokens(self._runtime.prompt(messages_of(request)))

    def answer(self, request: Request, text: str) -> Tokens:
        """Return the tokens of an answer, with those that end it."""
        lead = lead_of(messages_of(request))
        return self._runtime.tokens(lead + text) + self._runtime.end

    def close(self) -> None:
        """Free what was loaded."""
        self._runtime.close()
