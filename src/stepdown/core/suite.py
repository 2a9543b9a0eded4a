"""A regression suite: what a tier answered to some inputs on a day, and whether it still does.

A model that is a file answers for years as it did, under the same runtime on the same type of CPU.
Elsewhere numbers are rounded otherwise, so the rule is looser there, and says so. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from stepdown.core.request import Completion, Request

VERSION = 1
PLACES = 6  # decimals to which probabilities are kept
STEP = 10.0**-PLACES
# How far a probability may move where runtime or CPU type are not those of the pin. Heads: see
# docs/models.md, measured over kernel types. Language models: rounding that follows from how a
# prompt is cut into batches moved one by up to 0.13 (SmolLM2-135M, 96 pairs; llama/settings.py).
TOLERANCE: Mapping[str, float] = {"head": 0.001, "llama": 0.15, "lora": 0.15}
OTHERWISE = 0.01  # for adapters that nobody measured

Rule = Literal["exact", "tolerance"]


class Machine(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What rounds the numbers: the CPU's type, its vector instructions, the libraries."""

    cpu: str
    vectors: tuple[str, ...] = ()
    libraries: Mapping[str, str] = {}


class Pinned(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input with what was answered; `request` is there where its text may be kept.

    Otherwise it is found again by the sample's id, and must have the same `request_digest`.
    `probs` is the distribution over labels, or the confidence of each field.
    """

    sample: str
    request_digest: str
    answer: str
    probs: Mapping[str, float] = {}
    request: Request | None = None


class Suite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pinned inputs of one tier of a task; `digest` is the tier's, as a lock holds it.

    `conditions` says how it is asked.
    """

    version: int
    task: str
    tier: str
    model: str
    digest: str
    date: str
    conditions: str
    machine: Machine
    rows: tuple[Pinned, ...]

    @property
    def adapter(self) -> str:
        """What kind of model it was."""
        return self.model.partition(":")[0]


class Difference(Struct, frozen=True, kw_only=True):
    """A sample that is answered otherwise: what was expected, what came, and why that counts."""

    sample: str
    expected: str
    got: str
    why: str


def told(done: Completion, text: str) -> tuple[str, dict[str, float]]:
    """Return an answer as it is pinned: its text, and its probabilities rounded."""
    probs = done.label_probs or done.field_probs or {}
    return text, {name: round(value, PLACES) for name, value in probs.items()}


def rule_for(suite: Suite, machine: Machine) -> Rule:
    """Return how strictly a suite is read on a machine."""
    return "exact" if machine == suite.machine else "tolerance"


def tolerance_of(suite: Suite, rule: Rule) -> float:
    """Return how far a probability may be from the pinned one."""
    return STEP if rule == "exact" else TOLERANCE.get(suite.adapter, OTHERWISE)


def judged(pinned: Pinned, rule: Rule) -> bool:
    """Tell whether a row can be judged: free text on another type of CPU cannot."""
    return rule == "exact" or bool(pinned.probs)


def difference(
    pinned: Pinned, answer: str, probs: Mapping[str, float], tolerance: float
) -> Difference | None:
    """Return how an answer differs from the pinned one, None where it does not.

    Another label is none where the two leading ones were nearer than twice the tolerance.
    """
    if answer != pinned.answer and not _tied(pinned, answer, tolerance):
        return _differs(pinned, answer, probs, "another answer")
    if set(probs) != set(pinned.probs):
        return _differs(pinned, answer, probs, "other labels or fields have a probability")
    moved = {name: abs(probs[name] - value) for name, value in pinned.probs.items()}
    most = max(moved, key=moved.__getitem__, default=None)
    if most is not None and moved[most] > tolerance + STEP / 2:
        why = f"the probability of {most!r} moved by {moved[most]:.6f}, allowed is {tolerance:g}"
        return _differs(pinned, answer, probs, why)
    return None


def _tied(pinned: Pinned, answer: str, tolerance: float) -> bool:
    was, now = pinned.probs.get(pinned.answer), pinned.probs.get(answer)
    return was is not None and now is not None and tolerance > STEP and was - now <= 2 * tolerance


def _differs(pinned: Pinned, answer: str, probs: Mapping[str, float], why: str) -> Difference:
    return Difference(
        sample=pinned.sample,
        expected=_shown(pinned.answer, pinned.probs),
        got=_shown(answer, probs),
        why=why,
    )


def _shown(answer: str, probs: Mapping[str, Any]) -> str:
    own = probs.get(answer)
    return answer if own is None else f"{answer} ({own:.6f})"
