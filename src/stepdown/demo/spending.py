"""What a live frontier tier will cost, before a cent is spent."""

from __future__ import annotations

from datetime import date
from importlib.resources import files

import msgspec

from stepdown.errors import ConfigError


def expected(frontier: str, messages: int) -> float:
    """Return the dollars that the demo's calls of `provider:MODEL` cost at list price, estimated.

    Every step of every tune and certify row is asked once, and each served message at most once
    more; tokens are those of the recorded answers.

    Raises:
        ConfigError: the provider is not one that the demo calls, or the model has no list price.
    """
    from stepdown.adapters.prices.listed import price_of
    from stepdown.adapters.prices.tokens import estimate_tokens
    from stepdown.config.project import load_project
    from stepdown.core.request import Usage, encode_answer

    provider, _, model = frontier.partition(":")
    if provider not in ("openai", "anthropic") or not model:
        raise ConfigError(
            f"--frontier {frontier!r} is not a model.", "Write anthropic:MODEL or openai:MODEL."
        )
    price = price_of(f"{provider}/{model}", at=date.today())  # noqa: DTZ011 - a price of today
    root = files("stepdown.demo") / "project"
    rows = [msgspec.json.decode(x) for x in (root / "frontier.jsonl").read_bytes().splitlines()]
    texts = {
        row["id"]: row["text"]
        for row in map(msgspec.json.decode, (root / "messages.jsonl").read_bytes().splitlines())
    }
    from pathlib import Path

    project = load_project(Path(str(root)))
    total = 0.0
    for task in project.tasks.values():
        for row in rows:
            said = row.get(task.name) or row["draft"]
            answer = said if isinstance(said, str) else encode_answer(said)
            prompt = sum(estimate_tokens(m.text) for m in task.contract.wrap(texts[row["id"]]))
            usage = Usage(input_tokens=prompt, output_tokens=estimate_tokens(answer))
            total += price.cost_usd(usage, None) or 0.0
    a_message = total / len(rows)
    return a_message * (len(rows) // 2 + messages)


def spend_words(frontier: str, cost: float) -> str:
    """Say what will be spent."""
    return (
        f"The demo will call {frontier} for about ${cost:.2f} at list price "
        "(estimated tokens; the provider's bill decides)."
    )
