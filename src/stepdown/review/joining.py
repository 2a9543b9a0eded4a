"""What people said of answers, joined with the audits of the same answers.

The last word of one person counts; two people who contradict each other cancel the audit, which is
named, because nobody knows who is right.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.answers import answer_key
from stepdown.review.seen import Audit, Said

APART = 0.5  # scores further apart than this contradict each other


class Joined(Struct, frozen=True, kw_only=True):
    """Audits with what people said taken in.

    `joined` audits have somebody's word, `replaced` words were followed by another of the same
    person, `conflicts` are requests on which people contradict each other.
    """

    audits: tuple[Audit, ...]
    joined: int = 0
    replaced: int = 0
    conflicts: tuple[str, ...] = ()


def joined(audits: Sequence[Audit], said: Sequence[Said]) -> Joined:
    """Return the audits as people correct them.

    An answer that a person scored s lost at most 1 - s against the ceiling, whatever the ceiling
    said: so a word can only lower the loss that was measured against the ceiling's own answer.
    """
    last: dict[str, dict[str, Said]] = {}
    for one in said:
        if one.score is not None or one.label is not None:
            last.setdefault(one.trace_id, {})[one.by] = one
    words = sum(one.score is not None or one.label is not None for one in said)
    conflicts = tuple(name for name, by in last.items() if _contradict(list(by.values())))
    apart = set(conflicts)
    kept = [one for one in audits if one.trace_id not in apart]
    mine = [_corrected(one, list(last.get(one.trace_id, {}).values())) for one in kept]
    return Joined(
        audits=tuple(audit for audit, _ in mine),
        joined=sum(had for _, had in mine),
        replaced=words - sum(map(len, last.values())),
        conflicts=conflicts,
    )


def _contradict(said: list[Said]) -> bool:
    labels = {answer_key(one.label) for one in said if one.label is not None}
    scores = [one.score for one in said if one.score is not None]
    return len(labels) > 1 or (len(scores) > 1 and max(scores) - min(scores) > APART)


def _corrected(audit: Audit, said: list[Said]) -> tuple[Audit, bool]:
    worth = [score for score in (_score(audit, one) for one in said) if score is not None]
    if audit.loss is None or audit.by_ceiling or not worth:
        return audit, False
    return replace(audit, loss=min(audit.loss, 1 - min(worth))), True


def _score(audit: Audit, said: Said) -> float | None:
    """What a person's word makes the caller's answer worth; a label needs the answer's text."""
    if said.label is None or audit.kept is None:
        return said.score
    return float(answer_key(said.label) == answer_key(audit.kept))
