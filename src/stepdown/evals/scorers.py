"""Scorers: how good an answer is, 0..1. Each has a name and a version, and never raises.

An answer that breaks the task's own shape scores 0 with a kind of failure. A scorer does not know
which tier answered.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from stepdown.core.requesting import match_label, read_object
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.patterns import checklist


class Score(Struct, frozen=True, omit_defaults=True):
    """A value 0..1; `failure` is the kind of failure or None; `detail` says what was missed."""

    value: float
    failure: str | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse a value outside 0..1."""
        if not 0 <= self.value <= 1:
            raise ValueError(f"a score must lie in 0..1, got {self.value}")


@dataclass(frozen=True, slots=True)
class Scorer:
    """A named way of scoring. `binary` declares that only 0 and 1 can occur, whatever the data.

    A change of what any answer scores is a new `version`. `source` says whose definition it is.
    """

    name: str
    version: int
    source: str
    score: Callable[[Task, Sample, str], Score]
    binary: bool = False

    @property
    def id(self) -> str:
        """Name and version, as run records hold it."""
        return f"{self.name}/{self.version}"


def exact(_task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when the texts are equal but for case, white space and Unicode form (NFKC)."""
    return Score(float(squeezed(answer) == squeezed(str(sample.reference))))


def label(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 for the right label; a label outside the set is `invalid_output`."""
    found = match_label(task.labels, answer)
    if found is None:
        return Score(0.0, "invalid_output", f"{answer[:80]!r} is not a label")
    right = found == sample.reference
    return Score(float(right), detail="" if right else f"{found} instead of {sample.reference}")


def fields(task: Task, sample: Sample, answer: str) -> Score:
    """Score the share of fields that equal the reference in every character (null equals null)."""
    return _per_field(task, sample, answer, lambda value: value)


def fields_normalised(task: Task, sample: Sample, answer: str) -> Score:
    """Score as `fields`, but case, white space and Unicode form do not count; empty is null."""
    return _per_field(task, sample, answer, lambda value: squeezed(value or "") or None)


def fields_all(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when every field equals the reference in every character."""
    each = fields(task, sample, answer)
    return Score(float(each.value == 1.0), each.failure, each.detail)


def patterns(_task: Task, sample: Sample, answer: str) -> Score:
    """Score the share of the reference's points that the answer makes; 0 when it is refused."""
    wanted = checklist(sample.reference)
    if wanted.refused_in(answer):
        return Score(0.0, detail="says what must not be said")
    made = wanted.made_in(answer)
    missed = [str(i + 1) for i in range(len(wanted.points)) if i not in made]
    detail = f"misses point {', '.join(missed)}" if missed else ""
    return Score(len(made) / len(wanted.points), detail=detail)


def keeps_patterns(_task: Task, sample: Sample, answer: str) -> Score:
    """Score the share of the points made by the draft that the rewritten answer still makes.

    The draft is `meta["draft"]`, otherwise the input. 1 when the draft made none, 0 when the
    answer says what must not be said and the draft did not.
    """
    wanted, draft = checklist(sample.reference), str(sample.meta.get("draft", sample.input))
    if wanted.refused_in(answer) and not wanted.refused_in(draft):
        return Score(0.0, detail="adds what must not be said")
    before = wanted.made_in(draft)
    if not before:
        return Score(1.0, detail="the draft made no point")
    lost = sorted(before - wanted.made_in(answer))
    detail = f"lost point {', '.join(str(i + 1) for i in lost)}" if lost else ""
    return Score(1 - len(lost) / len(before), detail=detail)


def squeezed(text: str) -> str:
    """Return the text in NFKC, case-folded, with single spaces; doing it twice changes nothing."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", once.casefold()).split())


SCORERS: Mapping[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        Scorer("exact", 1, "string equality after NFKC, case folding, single spaces", exact, True),
        Scorer("label", 1, "accuracy: sklearn.metrics.accuracy_score on one label", label, True),
        Scorer("fields", 1, "mean exact match of fields, character by character", fields),
        Scorer("fields_normalised", 1, "mean exact match of normalised fields", fields_normalised),
        Scorer("fields_all", 1, "exact match of the whole object", fields_all, True),
        Scorer("patterns", 1, "share of points made, by accepted patterns", patterns),
        Scorer("keeps_patterns", 1, "share of the draft's points that are kept", keeps_patterns),
    )
}


def scorer_for(name: str, known: Mapping[str, Scorer] = SCORERS) -> Scorer:
    """Return the scorer of a name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
    raise ConfigError(f"There is no scorer {name!r}.", hint)


def _per_field(
    task: Task, sample: Sample, answer: str, normal: Callable[[str | None], str | None]
) -> Score:
    found = read_object(task.fields, answer)
    if found is None:
        return Score(0.0, "invalid_output", f"not an object of {', '.join(task.fields)}")
    wrong = [f for f in task.fields if normal(found[f]) != normal(sample.reference[f])]
    detail = f"wrong: {', '.join(wrong)}" if wrong else ""
    return Score((len(task.fields) - len(wrong)) / len(task.fields), detail=detail)
