"""The metrics page as the official parser of Prometheus reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from stepdown.adapters.gateway.exposition import Family, Timed, page

VALUES = st.dictionaries(st.tuples(st.text(max_size=20)), st.floats(-1e18, 1e18), max_size=5)


@given(VALUES)
def test_any_label_and_any_number_come_back_as_they_were(values: dict[tuple[str], float]) -> None:
    text = page([Family("stepdown_x", "gauge", 'a "help"\nof \\ two', ("label",), values)])
    [family] = text_string_to_metric_families(text.decode())
    found = {(s.labels["label"],): s.value for s in family.samples}
    assert found == values


def test_a_histogram_adds_up() -> None:
    times = {("big",): Timed([1, 0, 2], 7.5)}
    text = page(
        [Family("stepdown_s", "histogram", "Time.", ("tier",), times=times, bounds=[0.1, 1.0])]
    )
    [family] = text_string_to_metric_families(text.decode())
    found = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert found == {
        ("stepdown_s_bucket", "0.1"): 1,
        ("stepdown_s_bucket", "1"): 1,
        ("stepdown_s_bucket", "+Inf"): 3,
        ("stepdown_s_sum", None): 7.5,
        ("stepdown_s_count", None): 3,
    }


def test_a_family_without_values_is_announced() -> None:
    [family] = text_string_to_metric_families(page([Family("stepdown_n", "gauge", "N.")]).decode())
    assert (family.name, family.samples) == ("stepdown_n", [])
