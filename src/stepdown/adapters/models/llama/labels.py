"""A distribution over a closed set of labels, read off a model that predicts tokens.

The labels' tokens form a tree. At each fork the model is asked once for the probabilities of the
branches, renormalised over them; a label's probability is the product along its path. So labels
may have any number of tokens, no token is spent where there is nothing to choose, and a long
label is not punished for its length. It does not know which model answers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

Tokens = tuple[int, ...]
Branches = Callable[[Tokens, Sequence[int]], Mapping[int, float]]

LEAST = 1e-9  # below the resolution of a 32-bit softmax; keeps logarithms finite


def label_logprobs(tokens: Mapping[str, Tokens], branches: Branches) -> dict[str, float]:
    """Return label -> natural log-probability, normalised over the labels.

    `tokens` holds each label's tokens with an end token, so that no label is the beginning of
    another; `branches(prefix, choices)` returns the probability of each choice after `prefix`.
    """
    found: dict[str, float] = {}
    waiting: list[tuple[Tokens, float, list[str]]] = [((), 0.0, list(tokens))]
    while waiting:
        prefix, logprob, labels = waiting.pop()
        if len(labels) == 1:
            found[labels[0]] = logprob
        else:
            waiting += _forked(prefix, logprob, _by_next(tokens, len(prefix), labels), branches)
    return found


def corrected(logprobs: Mapping[str, float], prior: Mapping[str, float]) -> dict[str, float]:
    """Return the distribution with the prior taken off: softmax of the differences of logs.

    Source: Zhao et al. (2021), Calibrate Before Use, section 5, equation (1) with W diagonal.
    """
    return _softmax({label: value - prior[label] for label, value in logprobs.items()})


def uncorrected(logprobs: Mapping[str, float]) -> dict[str, float]:
    """Return the distribution as the model gave it."""
    return _softmax(logprobs)


def mean_logprobs(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return label -> mean log-probability over the content-free texts."""
    return {label: sum(run[label] for run in runs) / len(runs) for label in runs[0]}


def _by_next(tokens: Mapping[str, Tokens], at: int, labels: Iterable[str]) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = defaultdict(list)
    for label in labels:
        groups[tokens[label][at]].append(label)
    return groups


def _forked(
    prefix: Tokens, logprob: float, groups: Mapping[int, list[str]], branches: Branches
) -> list[tuple[Tokens, float, list[str]]]:
    if len(groups) == 1:
        shares: Mapping[int, float] = dict.fromkeys(groups, 1.0)
    else:
        shares = branches(prefix, tuple(groups))
    floored = {token: max(shares.get(token, 0.0), LEAST) for token in groups}
    total = sum(floored.values())
    return [
        ((*prefix, token), logprob + math.log(floored[token] / total), labels)
        for token, labels in groups.items()
    ]


def _softmax(scores: Mapping[str, float]) -> dict[str, float]:
    top = max(scores.values())
    weights = {label: math.exp(score - top) for label, score in scores.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
