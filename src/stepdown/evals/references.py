"""What the reference of free text looks like in the data, scorer by scorer.

Text metrics take one text or several; checklists take points; everything else a text or points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from stepdown.evals.patterns import checklist, plain_checklist

TEXT_METRICS = (
    "chrf",
    "chrf_plus_plus",
    "bleu",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "token_f1_squad",
    "token_f1_set",
)
CHECKLISTS = ("checklist", "checklist_all")
PATTERNS = ("patterns", "keeps_patterns")
JUDGE = "judge"
RETRIEVAL = ("recall_at_k", "mrr", "ndcg_at_k")
PAIRS = "rank_agreement"


def free_reference(scorer: str, found: object) -> object:
    """Return a reference of free text as the scorer reads it.

    Raises:
        ValueError: it has another shape; says which is wanted.
        re.error: a pattern is not a regular expression.
    """
    if scorer in TEXT_METRICS or scorer == JUDGE:
        return list(texts_of(found)) if not isinstance(found, str) else found
    if scorer in RETRIEVAL:
        return relevant_of(found)
    if scorer == PAIRS:
        return pair_of(found)
    if scorer in CHECKLISTS:
        plain_checklist(found)
    elif not isinstance(found, str):
        checklist(found)
    return found


def wanted_of(scorer: str) -> str:
    """Return in words what a scorer reads, for messages."""
    if scorer in TEXT_METRICS or scorer == JUDGE:
        return "reference text"
    if scorer in RETRIEVAL or scorer == PAIRS:
        return "relevant documents" if scorer in RETRIEVAL else "pair"
    return "demands" if scorer in CHECKLISTS else "accepted patterns"


def relevant_of(found: object) -> dict[str, float]:
    """Return the relevant documents of a query as id -> gain; a list of ids means gains of 1.

    Raises:
        ValueError: there are none, or a gain is no number above 0.
    """
    if isinstance(found, Mapping):
        gains = {str(name): gain for name, gain in found.items() if gain != 0}
    else:
        listed = found if isinstance(found, list | tuple) else (found,)
        gains = {str(name): 1.0 for name in listed if isinstance(name, str | int)}
        if len(gains) != len(listed):
            raise ValueError(f"expected ids of documents, none twice, got {found!r}")
    if not gains or not all(isinstance(g, int | float) and 0 < g < inf for g in gains.values()):
        raise ValueError(f"expected at least one document with a gain above 0, got {found!r}")
    return {name: float(gain) for name, gain in gains.items()}


def pair_of(found: object) -> dict[str, object]:
    """Return the second text of a pair with its graded similarity.

    Raises:
        ValueError: it has another shape.
    """
    if isinstance(found, Mapping) and set(found) == {"text", "similarity"}:
        text, similar = found["text"], found["similarity"]
        graded = isinstance(similar, int | float) and -inf < similar < inf
        if isinstance(text, str) and text.strip() and graded:
            return {"text": text, "similarity": float(similar)}
    raise ValueError(f'expected {{"text": ..., "similarity": NUMBER}}, got {found!r}')


def texts_of(found: object) -> tuple[str, ...]:
    """Return one text or a list of them as texts.

    Raises:
        ValueError: it is neither, or one is empty.
    """
    listed: Sequence[object] = found if isinstance(found, list | tuple) else (found,)
    wrong = [each for each in listed if not isinstance(each, str) or not each.strip()]
    if wrong or not listed or isinstance(found, Mapping):
        raise ValueError(f"expected a text or a list of texts, got {(wrong or [found])[0]!r}")
    return tuple(str(each) for each in listed)
