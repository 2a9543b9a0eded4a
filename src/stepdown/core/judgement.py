"""Judgements: what people said of answers, and the scores that follow, at worst where nobody spoke.

A person judges answers, not tiers: two tiers that gave the same answer are judged together, and an
answer equal to the ceiling's loses nothing against it whoever is right. So only disagreements need
a label. It does not know who is asked, or in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from stepdown.core.answers import answer_key
from stepdown.core.outcome import Outcome


class Judgement(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one person said of the answers to one query.

    `right` and `wrong` hold keys of answers (`answers.answer_key`). `why` says why the row was
    asked. A later judgement by the same person replaces an earlier one; one with neither takes it
    back.
    `resolves` settles a dispute between others.
    """

    query_id: str
    by: str
    at: str
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    why: str = ""
    resolves: bool = False

    def __post_init__(self) -> None:
        """Refuse an answer that is both."""
        if both := set(self.right) & set(self.wrong):
            raise ValueError(f"query {self.query_id!r}: {min(both)!r} is both right and wrong")


Verdicts = dict[str, dict[str, bool]]


class Settled(Struct, frozen=True):
    """Query id -> answer key -> right; and the queries on which people disagree."""

    verdicts: Verdicts
    disputed: tuple[str, ...]


def settle(judgements: Iterable[Judgement]) -> Settled:
    """Return what people agree on. A disputed query counts as not judged until it is resolved."""
    latest: dict[str, dict[str, Judgement]] = {}
    for one in judgements:
        said = latest.setdefault(one.query_id, {})
        said.pop(one.by, None)  # what is said now comes last
        said[one.by] = one
    verdicts, disputed = {}, []
    for query, said in latest.items():
        last = [one for one in said.values() if one.resolves][-1:] or list(said.values())
        agreed = _agreed([_verdict(one) for one in last])
        if agreed is None:
            disputed.append(query)
        elif agreed:
            verdicts[query] = agreed
    return Settled(verdicts, tuple(disputed))


def _verdict(one: Judgement) -> dict[str, bool]:
    return {**dict.fromkeys(one.right, True), **dict.fromkeys(one.wrong, False)}


def _agreed(said: Sequence[Mapping[str, bool]]) -> dict[str, bool] | None:
    merged: dict[str, bool] = {}
    for verdict in said:
        for key, right in verdict.items():
            if merged.setdefault(key, right) != right:
                return None
    return merged


def judged(outcomes: Sequence[Outcome], ceiling: str, verdicts: Verdicts) -> list[Outcome]:
    """Return the outcomes of unlabelled queries with scores for a test against the ceiling.

    Judged answers score 1 or 0. Of the others the ceiling's scores 1, an answer equal to it the
    same as it, and every other answer 0: the largest loss that is possible, so a bound on the loss
    holds whatever the missing labels are. The scores themselves mean nothing, only their
    differences from the ceiling's do.
    """
    said = {o.query_id: o for o in outcomes if o.tier == ceiling}
    return [_scored(o, said.get(o.query_id), verdicts.get(o.query_id, {})) for o in outcomes]


def _scored(one: Outcome, top: Outcome | None, verdict: Mapping[str, bool]) -> Outcome:
    best = _key(top)
    reference = float(verdict.get(best, True)) if best is not None else None
    key = _key(one)
    if key is None:
        score = None if one.failure == "unavailable" else 0.0
    elif key == best:
        score = reference
    else:
        score = float(verdict.get(key, False))
    return msgspec.structs.replace(one, score=score)


def _key(one: Outcome | None) -> str | None:
    if one is None or one.failure or one.answer is None:
        return None
    return answer_key(one.answer)


def answers_to_judge(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return answer key -> the answer as first given, of one query's outcomes."""
    found: dict[str, str] = {}
    for one in outcomes:
        key = _key(one)
        if key is not None and one.answer is not None:
            found.setdefault(key, one.answer)
    return found
