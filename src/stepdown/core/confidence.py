"""Confidence: a signal mapped to the chance that the answer is acceptable.

Serving and certification map signals through this module, so both see the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.derived import logistic
from stepdown.core.signals import read_signals

__all__ = ["Calibrator", "read_signals"]

LEAST = 1e-9  # a signal of 0 or 1 is moved this far inside, so that its log-odds are finite


class Calibrator(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Map one signal to a probability.

    `identity`; `platt`: 1 / (1 + exp(-(a logit(s) + b))); `beta`: the same of
    a ln(s) - b ln(1 - s) + c, with a and b of 0 or more, so that the order never turns round.
    It ranks and displays; it never carries a guarantee.

    Source: Platt (1999), on the log-odds; Kull, Silva Filho and Flach (2017), equation 4.
    """

    signal: str
    kind: Literal["identity", "platt", "beta"] = "identity"
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a beta map that would fall."""
        if self.kind == "beta" and min(self.a, self.b) < 0:
            raise ValueError(f"a beta map needs a and b of 0 or more, got {self.a} and {self.b}")

    def apply(self, signals: Mapping[str, float | None]) -> float | None:
        """Return the confidence in 0..1, None when the signal is not known."""
        value = signals.get(self.signal)
        if value is None or math.isnan(value):
            return None
        if self.kind == "identity":
            return value
        p = min(max(value, LEAST), 1 - LEAST)
        if self.kind == "platt":
            return logistic(self.a * math.log(p / (1 - p)) + self.b)
        return logistic(self.a * math.log(p) - self.b * math.log(1 - p) + self.c)
