"""The tiers of a project that an audit writes: an expert to train, and today's models.

Today's model stands there twice: as its logged answers, which need no key, and live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from stepdown.adapters.prices.listed import listed_as
from stepdown.config.drafted import ROWS, Part
from stepdown.errors import ConfigError

EXPERT = "expert"
WIRES = ("openai", "anthropic", "azure", "bedrock")
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
CANDIDATES = """\
# Other tiers to try: uncomment one, and put its name before the last in the `tiers` of a task.
# [tiers.small]
# model = "openai:NAME-OF-A-SMALL-MODEL"     # any server with the OpenAI wire
# base_url = "http://127.0.0.1:8000/v1"
# price = { usd_per_hour = 1.2, source = "what your machine costs" }
"""


def tier_name(model: str) -> str:
    """Return the name of the tier of a model of today."""
    bare = model.rpartition("/")[2]
    kept = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in bare)
    return kept.strip("-") or "today"


def expert() -> Part:
    """Return the expert that ships, for tasks whose answer is one of some labels."""
    price = {"usd_per_hour": 0.085, "source": "assumption: put in what your machine costs"}
    return Part(
        section="tiers",
        name=EXPERT,
        keys={"model": "head:static-minilm-256", "price": _inline(price)},
        comments=(
            "Ships with Stepdown; a head is trained on the logged answers: `stepdown train`.",
        ),
    )


def of_today(models: Iterable[str], period: str, today: date) -> list[Part]:
    """Return the tiers of the models that answer today."""
    return [part for model in models for part in _two(model, period, today)]


def _two(model: str, period: str, today: date) -> Iterable[Part]:
    name, listed = tier_name(model), _listed(model, today)
    priced = {} if listed is None else {"priced_as": listed}
    said = f"answers logged from {model}{period}; the references are these same answers"
    unpriced = () if listed else (f"No list price is known of {model}: add `price` here.",)
    yield Part(
        section="tiers",
        name=name,
        keys={"model": f"recorded:{ROWS}", "recording": said, "place": "vendor", **priced},
        comments=(
            "Today's model, as its logged answers: `stepdown eval` and `certify` need no key.",
            *unpriced,
        ),
    )
    provider, _, bare = (listed or model).rpartition("/")
    wire = provider if provider in WIRES else "openai"
    key = KEYS.get(provider, "API_KEY_OF_TODAYS_MODEL")
    yield Part(
        section="tiers",
        name=f"{name}-live",
        keys={
            "model": f"{wire}:{_asked(model, bare)}",
            "place": "vendor",
            "api_key_env": key,
            **priced,
        },
        comments=(
            f"The same model, live. To serve new messages put it in the place of {name!r},",
            "then certify again: a lock holds for the models that it was made with.",
        ),
    )


def _asked(model: str, bare: str) -> str:
    """Return the id that the log knows the model by: it may be dated, where the list's is not."""
    return model.rpartition("/")[2] or bare


def _listed(model: str, today: date) -> str | None:
    try:
        return listed_as(model, at=today)
    except ConfigError:
        return None


def _inline(pairs: Mapping[str, Any]) -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    table.update(pairs)
    return table
