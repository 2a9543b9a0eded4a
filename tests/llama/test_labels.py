"""The distribution over labels, against a fake model whose answer is known."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.adapters.models.llama.labels import Tokens, corrected, label_logprobs, uncorrected

END = 0
TREE = {"ab": (1, 2, END), "ac": (1, 3, END), "a": (1, END), "d": (4, END)}


class FakeForks:
    def __init__(self, shares: dict[Tokens, dict[int, float]]) -> None:
        self.shares = shares
        self.asked = []

    def __call__(self, prefix: Tokens, choices: Sequence[int]) -> dict[int, float]:
        self.asked.append((prefix, tuple(sorted(choices))))
        return self.shares[prefix]


def test_a_label_has_the_product_of_the_shares_along_its_path() -> None:
    forks = FakeForks({(): {1: 0.8, 4: 0.2}, (1,): {2: 0.5, 3: 0.25, END: 0.25}})
    found = label_logprobs(TREE, forks)
    assert {label: round(math.exp(value), 6) for label, value in found.items()} == {
        "ab": 0.4,
        "ac": 0.2,
        "a": 0.2,
        "d": 0.2,
    }


def test_the_model_is_asked_only_at_forks() -> None:
    forks = FakeForks({(): {1: 0.5, 4: 0.5}, (1,): {2: 0.4, 3: 0.3, END: 0.3}})
    label_logprobs(TREE, forks)
    assert sorted(forks.asked) == [((), (1, 4)), ((1,), (END, 2, 3))]


def test_one_label_is_certain_and_costs_no_question() -> None:
    forks = FakeForks({})
    assert label_logprobs({"only": (5, 6, END)}, forks) == {"only": 0.0}
    assert forks.asked == []


def test_a_branch_that_the_model_did_not_report_keeps_a_finite_logarithm() -> None:
    found = label_logprobs({"x": (1, END), "y": (2, END)}, FakeForks({(): {1: 1.0}}))
    assert math.isfinite(found["y"])
    assert found["y"] < math.log(1e-6)


def test_a_label_that_the_prior_prefers_loses_its_advantage() -> None:
    prior = {"x": math.log(0.9), "y": math.log(0.1)}
    assert corrected(prior, prior) == pytest.approx({"x": 0.5, "y": 0.5})


def test_a_flat_prior_changes_nothing() -> None:
    found = {"x": math.log(0.7), "y": math.log(0.3)}
    flat = {"x": math.log(0.5), "y": math.log(0.5)}
    assert corrected(found, flat) == pytest.approx(uncorrected(found))


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=97, max_codepoint=100), min_size=1, max_size=5),
        st.floats(0.001, 1.0),
        min_size=1,
        max_size=12,
    )
)
def test_any_set_of_labels_gets_the_distribution_that_generated_the_shares(
    weights: dict[str, float],
) -> None:
    paths = {label: (*(ord(c) for c in label), END) for label in weights}

    def branches(prefix: Tokens, choices: Sequence[int]) -> dict[int, float]:
        return {
            choice: sum(
                weight
                for label, weight in weights.items()
                if paths[label][: len(prefix) + 1] == (*prefix, choice)
            )
            for choice in choices
        }

    found = label_logprobs(paths, branches)
    total = sum(weights.values())
    wanted = {label: weight / total for label, weight in weights.items()}
    assert {label: math.exp(value) for label, value in found.items()} == pytest.approx(wanted)
