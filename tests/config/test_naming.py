"""Names that would be read as something else are refused where they are written."""

import pytest

from stepdown.config.naming import check_task, check_tier, nearest
from stepdown.config.schema import PriceKeys
from stepdown.errors import ConfigError


@pytest.mark.parametrize("name", ["gpt-4.1", "mistralai/Mixtral-8x7B", "small one", "grand modèle"])
def test_a_tier_may_be_named_as_models_are(name: str) -> None:
    check_tier(name)


@pytest.mark.parametrize("name", ["a=b", "?vote", "draft>polish", "triage", "draw", "prompt", " "])
def test_a_tier_is_not_named_like_a_signal_or_an_outcome(name: str) -> None:
    with pytest.raises(ConfigError, match="the name"):
        check_tier(name)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", ""])
def test_a_task_is_not_named_like_a_path(name: str) -> None:
    with pytest.raises(ConfigError, match="slash"):
        check_task(name)


@pytest.mark.parametrize("name", ["intent", "intent v2", "absicht.de"])
def test_other_names_of_tasks_are_fine(name: str) -> None:
    check_task(name)


def test_a_key_with_its_parts_in_another_order_is_the_nearest() -> None:
    keys = PriceKeys.__struct_fields__
    assert nearest("usd_per_mtok_input", keys, "keys") == "Did you mean `input_usd_per_mtok`?"
    assert nearest("usd_per_hours", keys, "keys") == "Did you mean `usd_per_hour`?"
