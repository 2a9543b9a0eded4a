"""What a tier that is priced as a model costs: one's own price stands before the list's."""

from datetime import date
from pathlib import Path

import pytest

from stepdown.adapters.prices import price_of, tier_price
from stepdown.core.own_price import OwnPrice, OwnPrices
from stepdown.errors import ConfigError
from stepdown.wiring.environment import Environment
from stepdown.wiring.workspace import Workspace

TODAY = date(2026, 11, 22)
OURS = OwnPrice(
    input_usd_per_mtok=1.0, output_usd_per_mtok=4.0, cached_usd_per_mtok=0.2, source="contract 7"
)


def test_without_an_own_price_the_list_counts() -> None:
    assert tier_price("openai/gpt-4.1", OwnPrices(), TODAY) == price_of("openai/gpt-4.1", at=TODAY)


@pytest.mark.parametrize("key", ["openai/gpt-4.1", "openai/*"])
def test_an_own_price_stands_before_the_list(key: str) -> None:
    price = tier_price("openai/gpt-4.1", OwnPrices({key: (OURS,)}), TODAY)
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (1.0, 4.0)
    assert price.cached_usd_per_mtok == 0.2
    assert (price.basis, price.source) == ("your_rate", "contract 7")


def test_a_discount_is_taken_off_the_list_price() -> None:
    own = OwnPrices({"openai/*": (OwnPrice(multiplier=0.5, source="half"),)})
    price = tier_price("openai/gpt-4.1", own, TODAY)
    listed = price_of("openai/gpt-4.1", at=TODAY)
    assert listed.input_usd_per_mtok is not None
    assert price.input_usd_per_mtok == listed.input_usd_per_mtok / 2
    assert price.basis == "your_rate"


def test_an_own_price_of_another_day_does_not_count() -> None:
    old = OwnPrice(input_usd_per_mtok=1.0, output_usd_per_mtok=4.0, until=date(2026, 1, 1))
    assert (
        tier_price("openai/gpt-4.1", OwnPrices({"openai/gpt-4.1": (old,)}), TODAY).basis == "list"
    )


def test_a_model_that_nobody_lists_may_have_an_own_price_and_else_is_an_error() -> None:
    own = OwnPrices({"acme/secret-1": (OURS,)})
    assert tier_price("acme/secret-1", own, TODAY).input_usd_per_mtok == 1.0
    with pytest.raises(ConfigError, match="secret-1"):
        tier_price("acme/secret-1", OwnPrices(), TODAY)


def test_the_tiers_of_a_project_cost_what_its_prices_say(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "1", "text": "a", "intent": "x"}\n')
    (tmp_path / "stepdown.toml").write_text(
        """
[project]
name = "desk"

[data]
path = "rows.jsonl"
id = "id"
input = "text"

[prices."openai/gpt-4.1"]
input_usd_per_mtok = 1.0
output_usd_per_mtok = 4.0
source = "contract 7"

[tiers.frontier]
model = "openai:gpt-4.1"
place = "vendor"
priced_as = "openai/gpt-4.1"

[tasks.intent]
kind = "classify"
labels = ["x", "y"]
tiers = ["frontier"]
reference = "intent"
"""
    )
    workspace = Workspace.open(tmp_path, Environment.current())
    price = workspace.tiers["frontier"].price
    assert (price.input_usd_per_mtok, price.basis, price.source) == (1.0, "your_rate", "contract 7")
