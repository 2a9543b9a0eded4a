"""The verifier of a tier: the chance that its answer is right, from everything read off it.

Two formulas for the lock: `TIER.evidence` (log-odds) and `TIER.verified` (0..1). It knows no task;
what helps is chosen by how well it predicts rows that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct, structs

from stepdown.certify.fitting import Fitted, Floats, Ints, design, fit_logistic, log_odds
from stepdown.core.answer_shape import shape_signals
from stepdown.core.derived import TRIAGE, Derived, Linear
from stepdown.core.policy import confidence_of
from stepdown.core.replay_array import Panel

SHAPE = "shape_"
FEWEST = 20  # labelled rows under which nothing is learned from an answer


class Verifier(Struct, frozen=True):
    """The formulas of one tier's verifier, and its out-of-fold log-odds for the rows of the fit."""

    tier: str
    formulas: Mapping[str, Derived]
    evidence: Floats
    error: float

    @property
    def name(self) -> str:
        """The signal that holds the chance of being right."""
        return verified(self.tier)


def verified(tier: str) -> str:
    """Return the name of the signal that holds a tier's verified chance of being right."""
    return f"{tier}.verified"


def evidence_of(tier: str) -> str:
    """Return the name of the signal that holds the same as log-odds."""
    return f"{tier}.evidence"


def with_shapes(panel: Panel, tier: str) -> Panel:
    """Return the panel with the signals `TIER.shape_NAME` of every text that is known."""
    columns: dict[str, Floats] = {}
    prompts = panel.prompts or [None] * panel.n
    for place, (prompt, answer) in enumerate(zip(prompts, panel.texts[tier], strict=True)):
        if answer is None:
            continue
        for name, value in shape_signals(prompt or "", answer).items():
            if name not in columns:
                columns[name] = np.full(panel.n, np.nan)
            columns[name][place] = value
    named = {f"{tier}.{name}": column for name, column in columns.items()}
    return structs.replace(panel, signals={**panel.signals, **named})


def own_signals(panel: Panel, tier: str) -> dict[str, Floats]:
    """Return what was read off a tier's answers: `TIER.NAME`, names with dots included."""
    others = [other for other in panel.tiers if other != tier and other.startswith(f"{tier}.")]
    mine = {n: v for n, v in panel.signals.items() if n.startswith(f"{tier}.")}
    return {n: v for n, v in mine.items() if not any(n.startswith(f"{o}.") for o in others)}


def fit_verifier(panel: Panel, tier: str, fold: Ints) -> Verifier | None:
    """Return the verifier of a tier, None where nothing is read off its answers.

    `panel` holds labelled rows (no score of the tier is NaN), `fold` the fold of each. Offered are
    its confidence alone, all of its own signals, and these with triage; the set and the penalty
    with the least out-of-fold error win.
    """
    own = own_signals(panel, tier)
    target = panel.score[tier]
    if target.size < FEWEST or not own:
        return None
    found = [_fit(columns, target, fold) for columns in _sets(panel, tier, own)]
    best = min(found, key=lambda one: one.error)
    if not best.formula.inputs:
        return None
    return Verifier(tier, _named(tier, best.formula), log_odds(best.held_out), best.error)


def _sets(panel: Panel, tier: str, own: Mapping[str, Floats]) -> list[dict[str, Floats]]:
    triage = {n: v for n, v in panel.signals.items() if n.startswith(f"{TRIAGE}.")}
    sets = [dict(own), {**own, **triage}] if triage else [dict(own)]
    if confidence_of(tier) in own and len(own) > 1:
        sets.append({confidence_of(tier): own[confidence_of(tier)]})
    return sets


def _fit(columns: Mapping[str, Floats], target: Floats, fold: Ints) -> Fitted:
    return fit_logistic(design(columns, target.size), target, fold)


def _named(tier: str, formula: Linear) -> dict[str, Derived]:
    chance = Linear((evidence_of(tier),), (1.0,), (0.0,), link="logistic")
    return {
        evidence_of(tier): structs.replace(formula, link="identity"),
        verified(tier): chance,
    }
