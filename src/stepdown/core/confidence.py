"""Confidence: signals read off an attempt, mapped to the chance that the answer is acceptable.

Serving and certification read signals through this module, so both see the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.derived import logistic
from stepdown.core.request import Completion


class Calibrator(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Map one signal to a probability: `identity`, or `platt`: 1 / (1 + exp(-(a * logit(s) + b))).

    It ranks and displays; it never carries a guarantee. Source: Platt (1999), on the log-odds.
    """

    signal: str
    kind: Literal["identity", "platt"] = "identity"
    a: float = 1.0
    b: float = 0.0

    def apply(self, signals: Mapping[str, float | None]) -> float | None:
        """Return the confidence in 0..1, None when the signal is not known."""
        value = signals.get(self.signal)
        if value is None or math.isnan(value):
            return None
        if self.kind == "identity":
            return value
        return logistic(self.a * _logit(value) + self.b)


def _logit(p: float) -> float:
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def read_signals(completion: Completion) -> dict[str, float | None]:
    """Return the raw, label-free evidence on one answer.

    `label_prob` and `margin` from the distribution over the labels; `field_min` the least sure
    extracted field; `token_mean` the geometric mean probability of the generated tokens;
    `familiarity` how much the input resembles the training data (0..1).
    """
    signals: dict[str, float | None] = {}
    if completion.label_probs:
        first, second = [*sorted(completion.label_probs.values(), reverse=True), 0.0][:2]
        signals |= {"label_prob": first, "margin": first - second}
    if completion.field_probs:
        signals["field_min"] = min(completion.field_probs.values())
    if completion.logprobs:
        mean = sum(token.logprob for token in completion.logprobs) / len(completion.logprobs)
        signals["token_mean"] = math.exp(mean)
    if completion.familiarity is not None:
        signals["familiarity"] = completion.familiarity
    return signals
