"""What the reference of free text looks like in the data, scorer by scorer.

Text metrics take one text or several; checklists take points; everything else a text or points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
JUDGE = "judge"


def free_reference(scorer: str, found: object) -> object:
    """Return a reference of free text as the scorer reads it.

    Raises:
        ValueError: it has another shape; says which is wanted.
        re.error: a pattern is not a regular expression.
    """
    if scorer in TEXT_METRICS or scorer == JUDGE:
        return list(texts_of(found)) if not isinstance(found, str) else found
    if scorer in CHECKLISTS:
        plain_checklist(found)
    elif not isinstance(found, str):
        checklist(found)
    return found


def wanted_of(scorer: str) -> str:
    """Return in words what a scorer reads, for messages."""
    if scorer in TEXT_METRICS or scorer == JUDGE:
        return "reference text"
    return "demands" if scorer in CHECKLISTS else "accepted patterns"


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
