"""Scorers of free text: equality, points made by accepted patterns, points kept by a polish."""

from __future__ import annotations

from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.patterns import checklist
from stepdown.evals.scorers.normal import squeezed
from stepdown.evals.scorers.scorer import Score, Scorer


def exact(_task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when the texts are equal but for case, white space and Unicode form (NFKC)."""
    return Score(float(squeezed(answer) == squeezed(str(sample.reference))))


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


TEXTS = (
    Scorer("exact", 1, "string equality after NFKC, case folding, single spaces", exact, True),
    Scorer("patterns", 1, "share of points made, by accepted patterns", patterns),
    Scorer("keeps_patterns", 1, "share of the draft's points that are kept", keeps_patterns),
)
