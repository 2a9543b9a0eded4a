"""Steps whose answers come from a bounded set: labels, places to go next, grades of other answers.

It reads shapes first; words of a name or a prompt only tell one kind of bounded set from another.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from stepdown.audit.bill import KindOfWork, Work
from stepdown.audit.contract import json_object, labels_of, system_of
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Seen
from stepdown.core.contract import Contract

LABELLED: tuple[Work, ...] = ("classify", "route", "judge")
VERDICTS = frozenset(
    (
        "pass", "fail", "good", "fair", "bad", "poor", "excellent", "correct", "incorrect",
        "partial", "partially correct", "yes", "no", "true", "false", "a", "b", "tie", "win",
        "loss", "better", "worse", "same", "equal", "accept", "reject", "relevant", "irrelevant",
        "faithful", "unfaithful", "acceptable", "unacceptable",
    )
)  # fmt: skip
GRADES = frozenset(("score", "rating", "grade", "verdict", "winner", "preference"))
_JUDGES = re.compile(
    r"\b(?:judge|grader?|score (?:the|this|each)|rate (?:the|this|each|how)|evaluat(?:e|or)"
    r"|rubric|(?:which|what) (?:of the )?(?:two )?(?:answer|response|reply)s? is better)\b",
    re.IGNORECASE,
)
_ROUTES = re.compile(
    r"\b(?:rout(?:e|er|ing)|dispatch(?:er)?|triage|hand(?:s|ed)?[ -]?(?:it )?(?:off|over) to"
    r"|(?:which|what) (?:agent|team|queue|department|tool|model|workflow|step)"
    r"|forward (?:it|them) to)\b",
    re.IGNORECASE,
)
_JUDGE_NAMES = ("judge", "grade", "grader", "score", "rating", "eval")
_ROUTE_NAMES = ("route", "router", "routing", "dispatch", "triage", "handoff")
_PROMPT_CHARS = 20_000


class LabelSet(Struct, frozen=True):
    """How an answer set looks: `unseen` is the chance of an answer never seen before."""

    labels: tuple[str, ...]
    n: int
    unseen: float
    entropy_bits: float
    longest_words: int


class Hints(Struct, frozen=True):
    """What a step is called, what some of its system prompts say, and the names of other steps."""

    name: str
    prompts: str
    others: frozenset[str]

    def says(self, names: Iterable[str], words: re.Pattern[str]) -> str | None:
        """Return the words by which the name or a prompt tells a kind of work."""
        low = self.name.lower()
        part = next((part for part in names if part in low), None)
        if part is not None:
            return f"its name says {part!r}"
        found = words.search(self.prompts)
        return None if found is None else f"its prompt says {' '.join(found[0].lower().split())!r}"


def hints_of(name: str, sample: Sequence[Seen], steps: Collection[str]) -> Hints:
    """Return what tells one kind of bounded work from another."""
    prompts = sorted({system_of(seen.messages)[:_PROMPT_CHARS] for seen in sample})
    others = frozenset(step.lower() for step in steps if step != name)
    return Hints(name, "\n".join(prompts), others)


def label_set(answers: Counter[str] | None, contract: Contract | None) -> LabelSet | None:
    """Return what the counted answers tell about a label set, None when they are too many.

    Source: Good, "The population frequencies of species", Biometrika 40 (1953): the chance that
    the next answer is new is about the number of answers seen once over the number seen.
    """
    counts = labels_of(answers, contract)
    if not counts:
        return None
    n = counts.total()
    once = sum(count == 1 for count in counts.values())
    entropy = -sum(count / n * math.log2(count / n) for count in counts.values())
    longest = max(len(label.split()) for label in counts)
    return LabelSet(tuple(counts), n, once / n, entropy + 0.0, longest)


def bounded_kind(found: LabelSet | None, hints: Hints, rules: Rules) -> KindOfWork | None:
    """Return the kind of work of a bounded set of answers, None where it is none."""
    if found is None or len(found.labels) > rules.most_labels:
        return None
    if found.unseen > rules.unseen or found.longest_words > rules.label_words:
        return None
    if any(_is_compound(label) for label in found.labels):
        return None
    evidence = (
        f"{len(found.labels)} different answers in {found.n:,}",
        f"chance of a new one {found.unseen:.1%} (Good-Turing)",
        f"entropy {found.entropy_bits:.1f} bits",
    )
    said = _judge(found, hints)
    if said is not None:
        return KindOfWork("judge", (*evidence, *said), found.n)
    said = _route(found, hints)
    if said is not None:
        return KindOfWork("route", (*evidence, *said), found.n)
    return KindOfWork("classify", evidence, found.n)


def grades_in(keys: Iterable[str], hints: Hints) -> tuple[str, ...] | None:
    """Return why answers with such fields are grades of other answers, None where they are not."""
    graded = sorted(GRADES & {key.lower() for key in keys})
    said = hints.says(_JUDGE_NAMES, _JUDGES)
    return None if not graded or said is None else (f"a field {graded[0]!r}", said)


def _judge(found: LabelSet, hints: Hints) -> tuple[str, ...] | None:
    said = hints.says(_JUDGE_NAMES, _JUDGES)
    if said is None:
        return None
    plain = [label.strip().lower() for label in found.labels]
    if all(_is_number(label) for label in plain):
        return "its answers are numbers", said
    return ("its answers are verdicts", said) if set(plain) <= VERDICTS else None


def _route(found: LabelSet, hints: Hints) -> tuple[str, ...] | None:
    onward = sorted({label.strip().lower() for label in found.labels} & hints.others)
    if len(onward) >= 2:
        return (f"its answers name steps of this log ({', '.join(onward[:3])})",)
    said = hints.says(_ROUTE_NAMES, _ROUTES)
    return None if said is None or len(found.labels) < 2 else (said,)


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label.partition("/")[0]))
    except ValueError:
        return False


def _is_compound(label: str) -> bool:
    """Tell whether an answer is an object of several fields, which is no label."""
    found: Mapping[str, Any] | None = json_object(label)
    return len(found or ()) > 1
