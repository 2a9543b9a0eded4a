"""`--fail-if`: a metric, an operator and a number."""

import pytest

from stepdown.audit import audit
from stepdown.audit.gate import METRICS, gate_of
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import LoggedCall
from stepdown.errors import ConfigError
from stepdown.ports.price_book import Rates


class NoPrices:
    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        return None


REPORT = audit(
    [Batch.of([LoggedCall(id="1", step="a", cost_usd=2.5), LoggedCall(id="2", step="a")])],
    NoPrices(),
)


@pytest.mark.parametrize(
    ("said", "fires"),
    [
        ("cost_usd>2", True),
        ("cost_usd > 2.5", False),
        ("cost_usd >= 2.5", True),
        ("calls==2", True),
        ("calls != 2", False),
        ("unknown_cost_calls>0", True),
        ("waste_usd<=0", True),
    ],
)
def test_a_comparison_fires_when_it_holds(said: str, fires: bool) -> None:
    assert gate_of(said).fires(REPORT)[0] is fires


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        gate_of("waste_us>5")
    assert "waste_usd" in (caught.value.hint or "")


@pytest.mark.parametrize("said", ["", "waste_usd", "waste_usd>", ">5", "cost_usd>5 or 1", "a=>1"])
def test_another_form_is_refused(said: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        gate_of(said)


def test_a_figure_that_the_log_does_not_tell_is_an_error_and_no_pass() -> None:
    with pytest.raises(ConfigError, match="unknown"):
        gate_of("cost_usd_month>5").fires(REPORT)


def test_every_metric_can_be_asked_of_every_report() -> None:
    for metric in METRICS.values():
        value = metric(REPORT)
        assert value is None or value >= 0
