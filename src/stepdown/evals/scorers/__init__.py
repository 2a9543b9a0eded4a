"""Scorers: how good an answer is, 0..1. Each has a name, a version and a source, and never raises.

An answer that breaks the task's own shape scores 0 with a kind of failure. A scorer does not know
which tier answered.
"""

from stepdown.evals.scorers.normal import squeezed
from stepdown.evals.scorers.registry import (
    SCORERS,
    check_scorer,
    is_binary,
    scorer_for,
    scorer_of,
)
from stepdown.evals.scorers.scorer import Score, Scorer, options_of

__all__ = [
    "SCORERS",
    "Score",
    "Scorer",
    "check_scorer",
    "is_binary",
    "options_of",
    "scorer_for",
    "scorer_of",
    "squeezed",
]
