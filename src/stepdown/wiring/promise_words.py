"""A promise in words, whatever its kind: the same sentence in every report."""

from __future__ import annotations

from stepdown.core.lock import Guarantee

RECALL = "recall"
AT_LEAST = ("floor", "min_score", "min_agreement", RECALL)


def promise_words(name: str, level: float | None, ceiling: str) -> str:
    """Return what a promise says; `recall:LABEL` names the label that must not be missed."""
    if level is None or name in ("", "none"):
        return "nothing is promised"
    kind, _, label = name.partition(":")
    share, score = f"{100 * level:.4g}%", f"{level:.4g}"
    said = {
        "max_loss": f"at most {score} of score lost against {ceiling}",
        "floor": f"a score of at least {score}, whoever answers",
        "min_score": f"answers that {ceiling} did not give score at least {score}",
        "min_agreement": f"answers that {ceiling} did not give agree with it in {share} or more",
        "max_disagreement": f"at most {share} of all answers differ from {ceiling}'s",
        "max_error_cost": f"errors cost at most {score} a message",
        "max_cost_usd": f"at most ${score} a call",
        "max_latency_s": f"at most {score} s a call",
        RECALL: f"at least {share} of {label} are found",
    }
    return said.get(kind, f"{name} {score}")


def short_words(name: str, level: float | None) -> str:
    """Return a promise in few words, for a cell of a table."""
    if level is None or name in ("", "none"):
        return "none"
    kind, _, label = name.partition(":")
    of = f" of {label}" if label else ""
    sign = "≥" if kind in AT_LEAST else "≤"
    return f"{figure_name(kind)}{of} {sign} {level:.4g}"


def figure_name(name: str) -> str:
    """Return what the figure of a promise is called at the head of a column."""
    return name.partition(":")[0].removeprefix("max_").removeprefix("min_").replace("_", " ")


def guarantee_words(stated: Guarantee, ceiling: str) -> str:
    """Return the promise of a guarantee with its chance of being wrong."""
    against = "the ceiling in every step" if stated.scope else ceiling
    said = promise_words(stated.promise, stated.level, against)
    if stated.scope:
        said = f"{said}, counted by {stated.scope}"
    if stated.state != "certified" or stated.delta is None:
        return said
    return f"{said}; wrong with chance {stated.delta:.3g} at most"
