"""Reference vectors: F1, precision, recall and kappa beside scikit-learn, run here (1.6 or later).

`-` stands for an answer that is no label. Figures worked out by hand stand at the end.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from stepdown.stats.classification import (
    accuracy,
    confusion,
    kappa,
    macro_f1,
    micro_f1,
    precision_recall_f1,
)

PAIRS: list[tuple[str, str]] = [
    # right labels, given labels
    ("aabbcc", "aabbcc"),
    ("aabbcc", "abbcca"),
    ("aaaabb", "aaaaab"),
    ("aaaa", "aaab"),
    ("abcabc", "a-ca-c"),
    ("abcabc", "------"),
    ("aabb", "cccc"),
    ("abcd", "dcba"),
    ("aaaaaaaaab", "aaaaaaaaaa"),
    ("abababab", "aabbaabb"),
    ("abcdeabcde", "abcdeedcba"),
    ("aabbccdd", "aabbcc--"),
    ("ab", "ba"),
    ("a", "a"),
    ("a", "-"),
    ("ccccba", "ccabba"),
]


def table_of(right: str, given: str) -> tuple[list[str], Any]:
    labels = sorted({*right, *given} - {"-"})
    code = {label: i for i, label in enumerate(labels)} | {"-": len(labels)}
    return labels, confusion([code[c] for c in right], [code[c] for c in given], len(labels))


@pytest.mark.parametrize(("right", "given"), PAIRS)
def test_accuracy_and_both_f1_equal_those_of_scikit_learn(right: str, given: str) -> None:
    labels, table = table_of(right, given)
    y, said = list(right), list(given)
    assert accuracy(table) == pytest.approx(metrics.accuracy_score(y, said))
    for average, ours in (("macro", macro_f1), ("micro", micro_f1)):
        theirs = metrics.f1_score(y, said, labels=labels, average=average, zero_division=0)
        assert ours(table) == pytest.approx(theirs)


@pytest.mark.parametrize(("right", "given"), PAIRS)
def test_each_label_equals_that_of_scikit_learn(right: str, given: str) -> None:
    labels, table = table_of(right, given)
    theirs = metrics.precision_recall_fscore_support(
        list(right), list(given), labels=labels, zero_division=np.nan
    )
    for ours, other in zip(precision_recall_f1(table), theirs[:3], strict=True):
        # Where neither is defined scikit-learn's F1 follows its convention, ours stays unknown.
        known = ~np.isnan(ours)
        assert ours[known] == pytest.approx(np.nan_to_num(other[known]))


@pytest.mark.parametrize(("right", "given"), [p for p in PAIRS if "-" not in p[1]])
@pytest.mark.parametrize("scale", ["none", "quadratic"])
def test_kappa_equals_that_of_scikit_learn(right: str, given: str, scale: Any) -> None:
    labels, table = table_of(right, given)
    weights = None if scale == "none" else scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = metrics.cohen_kappa_score(list(right), list(given), labels=labels, weights=weights)
    ours = kappa(table, scale)
    if ours is None:
        assert np.isnan(theirs) or theirs == 1.0  # one label only: chance alone agrees fully
    else:
        assert ours == pytest.approx(theirs)


HAND: list[tuple[str, str, float, float, str]] = [
    # right, given, macro F1, micro F1, worked out
    ("aab", "aaa", 0.4, 2 / 3, "F1(a) = 2*2/(3+2) = .8, F1(b) = 0"),
    ("aab", "aa-", 0.5, 0.8, "F1(a) = 1, F1(b) = 0; micro 2*2/(2+3)"),
    ("abab", "abba", 0.5, 0.5, "each F1 = 2*1/(2+2)"),
    ("aaab", "abbb", 0.5, 0.5, "F1(a) = 2*1/(1+3), F1(b) = 2*1/(3+1)"),
]


@pytest.mark.parametrize(("right", "given", "macro", "micro", "how"), HAND)
def test_f1_worked_out_by_hand(
    right: str, given: str, macro: float, micro: float, how: str
) -> None:
    _, table = table_of(right, given)
    assert (macro_f1(table), micro_f1(table)) == pytest.approx((macro, micro)), how


def test_without_rows_nothing_is_known() -> None:
    empty = confusion([], [], 2)
    assert (accuracy(empty), macro_f1(empty), micro_f1(empty), kappa(empty)) == (None,) * 4
