"""The bodies of llama.cpp's completion requests: a fork between labels, a text, JSON by schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepdown.adapters.models.llama.settings import LlamaSettings
from stepdown.core.request import Request

Prompt = tuple[str | int, ...]  # pieces of text, and tokens

LABEL_BIAS = 50.0  # far above the spread of logits: every other token gets no mass
COMPACT = {"whitespace_flexible": False}  # llguidance's option: no token spent on white space
BOUNDED_BY_SCHEMA = ("maxLength", "enum", "const", "pattern", "format")


def fork_body(prompt: Prompt, prefix: Sequence[int], choices: Sequence[int]) -> dict[str, Any]:
    """Return the request for the probabilities of `choices`, renormalised over them.

    Temperature 0 would give 1.0 to the first, and a grammar would let in the beginnings of other
    spellings; a bias on the choices does neither.
    """
    return {
        "prompt": [*prompt, *prefix],
        "max_tokens": 1,
        "seed": 0,
        "temperature": 1.0,
        "samplers": ["temperature"],
        "logit_bias": [[token, LABEL_BIAS] for token in choices],
        "post_sampling_probs": True,
        "n_probs": len(choices),
    }


def writing_body(prompt: Prompt, request: Request, settings: LlamaSettings) -> dict[str, Any]:
    """Return the request for text, or for JSON when there is a schema."""
    body: dict[str, Any] = {
        "prompt": list(prompt),
        "max_tokens": request.max_tokens or settings.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed or 0,
        "stop": list(request.stop),
    }
    if request.schema is not None:
        body["json_schema"] = bounded(request.schema, settings.string_chars)
    if request.logprobs or request.schema is not None:
        body["n_probs"] = max(1, request.top_logprobs)
    return body


def bounded(schema: Mapping[str, Any], string_chars: int) -> dict[str, Any]:
    """Return the schema written without white space, its top-level strings of limited length."""
    properties = {
        name: _bounded_string(field, string_chars)
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "x-guidance": COMPACT, **({"properties": properties} if properties else {})}


def _bounded_string(field: Any, string_chars: int) -> Any:
    kinds = field.get("type", ()) if isinstance(field, Mapping) else ()
    is_string = kinds == "string" or (not isinstance(kinds, str) and "string" in kinds)
    if not is_string or any(key in field for key in BOUNDED_BY_SCHEMA):
        return field
    return {**field, "maxLength": string_chars}
