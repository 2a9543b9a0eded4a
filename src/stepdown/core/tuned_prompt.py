"""A tuned prompt: the value, its bytes, and the task that asks with it. It reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.contract import Prompt
from stepdown.core.task import Task

READERS = ("llama", "openai", "anthropic", "azure", "bedrock", "any-llm")
"""The adapters (what stands before the colon in `model`) whose tiers read prompts."""


class TunedPrompt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prompt of a tier of a task. `before` is what it had, None for the caller's own request.

    `model` is the tier's model as configured when it was tuned; the card holds plain values.
    """

    task: str
    tier: str
    model: str
    prompt: Prompt
    before: Prompt | None = None
    card: Mapping[str, Any] = {}
    format: Literal["stepdown-prompt/1"] = "stepdown-prompt/1"


def dump_prompt(tuned: TunedPrompt) -> bytes:
    """Return the bytes of the file; equal values give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(tuned, order="sorted"), indent=2) + b"\n"


class PromptTerms(Struct, frozen=True, kw_only=True):
    """What a user may say: money, and the tier that rewrites the instruction (None: none).

    `most_tokens` bounds a prompt, counted by `count`, around the input.
    """

    max_usd: float | None = None
    rewrite_by: str | None = None
    most_tokens: int = 700


def with_prompt(task: Task, tier: str, prompt: Prompt) -> Task:
    """Return a task whose tier has a prompt of its own."""
    return msgspec.structs.replace(task, prompts={**task.prompts, tier: prompt})
