"""How the embedded model runs: sizes and limits, and the settings that decide its answers."""

from __future__ import annotations

from msgspec import Struct

LEAST = {
    "context_tokens": 256,
    "threads": 1,
    "kept_prompts_mb": 0,
    "queue_limit": 1,
    "max_tokens": 1,
    "string_chars": 1,
}


class LlamaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one embedded model.

    Args:
        context_tokens: longest prompt and answer together, 256 or more.
        threads: threads that compute. On two cores that nobody else uses, 2 is
            faster; on busy ones threads wait for each other, and 2 was slower, once by 23 times.
        kept_prompts_mb: memory for prompts that were read before, so that a task's unchanged
            beginning is not read again when the tasks alternate.
        queue_limit: calls that may wait; one more is refused as overloaded.
        max_tokens: longest answer when the request does not say.
        string_chars: longest string in a JSON answer where the schema does not say; a weak model
            otherwise writes digits until it is cut off.
        content_free: texts that say nothing; what the model answers to them is its prior over
            the labels, which is taken off. Empty: no correction.
        pinned: read every prompt anew, so that the same request gives the same numbers whatever
            was asked before. Without it a label's log-probability moved by up to 0.39 and its
            probability by up to 0.13 (SmolLM2-135M, 96 pairs of calls): what was kept decides in
            which batches a prompt is read, and so how numbers are rounded.
    """

    context_tokens: int = 4096
    threads: int = 1
    kept_prompts_mb: int = 512
    queue_limit: int = 64
    max_tokens: int = 256
    string_chars: int = 80
    content_free: tuple[str, ...] = ("N/A", "")
    pinned: bool = False

    def __post_init__(self) -> None:
        """Refuse settings under which nothing runs."""
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")

    def deciding(self) -> dict[str, object]:
        """Return the settings that change answers; the others change time and memory only."""
        return {
            "context_tokens": self.context_tokens,
            "max_tokens": self.max_tokens,
            "string_chars": self.string_chars,
            "content_free": self.content_free,
            "pinned": self.pinned,
        }
