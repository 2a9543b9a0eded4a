"""Retrieval measures against scikit-learn, scipy, and values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from stepdown.stats import retrieval


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 5, 10])
def test_ndcg_is_that_of_scikit_learn(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    similar = rng.permutation(30) / 30.0
    gains = np.where(rng.random(30) < 0.3, rng.integers(1, 4, 30), 0).astype(float)
    gains[0] = 1.0
    places = np.flatnonzero(gains)
    ranks = retrieval.ranks_of(similar, places)
    expected = ndcg_score(gains[None, :], similar[None, :], k=k)
    assert retrieval.ndcg_at(ranks, gains[places], k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ranks", "k", "recall", "mrr"),
    [
        ([1], 10, 1.0, 1.0),
        ([3], 10, 1.0, 1 / 3),
        ([11], 10, 0.0, 1 / 11),
        ([1, 12], 10, 0.5, 1.0),
        ([2, 4, 9], 4, 2 / 3, 0.5),
        ([10], 10, 1.0, 0.1),
    ],
)
def test_recall_and_reciprocal_rank_by_hand(
    ranks: list[int], k: int, recall: float, mrr: float
) -> None:
    found = retrieval.scores(np.array(ranks), np.ones(len(ranks)), k)
    assert found["recall_at_k"] == pytest.approx(recall)
    assert found["mrr"] == pytest.approx(mrr)


def test_equally_similar_documents_are_ranked_in_their_order() -> None:
    similar = np.array([0.5, 0.9, 0.5, 0.5])
    assert retrieval.ranks_of(similar, np.array([0, 1, 2, 3])).tolist() == [2, 1, 3, 4]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_ranks_of_all_documents_are_each_rank_once(similar: list[float]) -> None:
    ranks = retrieval.ranks_of(np.array(similar), np.arange(len(similar)))
    assert sorted(ranks.tolist()) == list(range(1, len(similar) + 1))


def test_rank_agreement_is_1_for_equal_orders_and_least_for_the_reverse() -> None:
    truth = np.arange(5.0)
    assert retrieval.rank_agreement(truth * 3, truth).tolist() == [1.0] * 5
    assert retrieval.rank_agreement(-truth, truth).tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert retrieval.rank_agreement(np.array([1.0]), np.array([2.0])).tolist() == [1.0]


def test_a_vector_of_length_0_is_near_to_nothing() -> None:
    assert retrieval.unit(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], [0.6, 0.8]]
