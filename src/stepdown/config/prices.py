"""[prices]: prices of one's own by model, and the names by which a log calls listed models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stepdown.config.naming import nearest
from stepdown.core.own_price import OwnPrice, OwnPrices
from stepdown.errors import ConfigError

ALIASES = "aliases"


def own_prices(said: Mapping[str, Any]) -> OwnPrices:
    """Return what `[prices]` says.

    Raises:
        ConfigError: an unknown key, a price that cannot be, an alias that is no text.
    """
    models = {name: _prices(name, told) for name, told in said.items() if name != ALIASES}
    return OwnPrices(models, _aliases(said.get(ALIASES, {})))


def _aliases(said: Any) -> dict[str, str]:
    told: dict[str, Any] = said if isinstance(said, dict) else {"": said}
    for name, model in told.items():
        if not isinstance(model, str) or not model:
            raise ConfigError(
                f"prices.aliases.{name}: expected the name of a listed model, got {model!r}.",
                'For example: "prod-chat" = "openai/gpt-5.1".',
            )
    return told


def _prices(name: str, told: Any) -> tuple[OwnPrice, ...]:
    listed = told if isinstance(told, list) else [told]
    return tuple(_price(f'prices."{name}"', one) for one in listed)


def _price(place: str, told: Any) -> OwnPrice:
    if not isinstance(told, dict):
        raise ConfigError(
            f"{place}: expected a table, got {told!r}.",
            "For example: { input_usd_per_mtok = 1.0, output_usd_per_mtok = 8.0 }.",
        )
    for key in told:
        if key not in OwnPrice.__struct_fields__:
            hint = nearest(key, OwnPrice.__struct_fields__, "keys")
            raise ConfigError(f"stepdown.toml: unknown key `{place}.{key}`.", hint)
    try:
        return msgspec.convert(told, OwnPrice)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}.", "See docs/configuration.md, [prices].") from None
