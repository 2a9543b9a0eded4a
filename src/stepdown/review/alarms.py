"""The alarms of one task: on loss, and without labels on confidence, inputs and agreement.

All of them ask one question of a share: has it grown above what was certified? The chance of a
false alarm is split: `alpha` is loss's alone, `alpha_signs` is shared by the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.lock import LockedTask, Marked
from stepdown.core.withdrawal import Evidence
from stepdown.review.promised import LEAST, limit_of, upper_share
from stepdown.review.seen import Audit, FirstCall
from stepdown.review.status import Alarm
from stepdown.review.votes import Dated, Votes, day_of, values_by_day
from stepdown.stats.restarts import Watch, Watched, after_day, begun, watch

Value = Callable[[Dated], float | None]
SIGNALS: Mapping[Evidence, str] = {
    "confidence": "the first tier's confidence",
    "familiarity": "how much inputs resemble what was trained on",
}
BOTH_SIDES, ONE_SIDE = (True, False), (True,)
ONE_SIDE_ONLY = ("familiarity",)
MOST = 0.9  # above this share allowed, nothing can be bet against


class Chances(Struct, frozen=True):
    """The chances of a false alarm within `days` days with evidence."""

    loss: float = 0.05
    signs: float = 0.05
    days: int = 92


class _Question(Struct, frozen=True):
    """A share that may have grown: what counts, and how much is allowed."""

    null: float
    value: Value
    words: str


def alarms(locked: LockedTask, audits: Votes, calls: Votes, chances: Chances) -> tuple[Alarm, ...]:
    """Return every alarm of a task, those that watch nothing too, with why."""
    return (loss_alarm(locked, audits, chances), *_signs(locked, calls, chances))


def loss_alarm(locked: LockedTask, audits: Votes, chances: Chances) -> Alarm:
    """Return the alarm on the loss of audited answers."""
    limit = limit_of(locked.guarantee, locked.watched, chances.loss)
    what = limit.words or "loss against the ceiling"
    if limit.loss is None or limit.loss >= MOST:
        why = limit.why_not or f"a limit of {limit.loss:.0%} cannot be broken"
        return Alarm(kind="loss", what=what, why_not=why)

    def lost(one: Dated) -> float | None:
        assert isinstance(one, Audit)
        if one.loss is None or (limit.kept_only and one.by_ceiling):
            return None
        return float(one.loss > 0) if limit.any_difference else one.loss

    asked = _Question(max(limit.loss, LEAST), lost, what)
    return _rung("loss", what, [asked], audits, limit.alpha, chances.days)


def _signs(locked: LockedTask, calls: Votes, chances: Chances) -> tuple[Alarm, ...]:
    """Return the alarms without labels; those that can watch share the chance."""
    found = locked.watched
    marked = {} if found is None else found.signals
    pairs = 0 if found is None else found.paired
    able = len(marked) + bool(pairs)
    alpha = chances.signs / max(1, able)
    made = [
        _of_signal(name, words, marked.get(name), calls, alpha, chances.days)
        for name, words in SIGNALS.items()
    ]
    unlike = 0 if found is None else found.unlike
    return (*made, _of_pairs(pairs, unlike, calls, alpha, chances.days))


def _of_signal(
    name: Evidence, what: str, known: Marked | None, calls: Votes, alpha: float, days: int
) -> Alarm:
    if known is None:
        return Alarm(kind=name, what=what, why_not=f"no {name} was measured on the certify rows")
    asked = _cut_questions(name, known, alpha / 2)
    return _rung(name, what, asked, calls, alpha / 2, days)


def _cut_questions(name: str, known: Marked, alpha: float) -> list[_Question]:
    """Ask at each cut whether more lie below it, or more at and above it, than on certify rows.

    Inputs that are more familiar than those that were certified are no sign of harm.

    Half the chance goes to the limits, which were estimated on `n` rows: a part to each.
    """
    sides = ONE_SIDE if name in ONE_SIDE_ONLY else BOTH_SIDES
    each = alpha / (len(sides) * len(known.cuts))
    found = []
    for cut, below in zip(known.cuts, known.below, strict=True):
        for low in sides:
            null = upper_share(below if low else known.n - below, known.n, each)
            if null < MOST:
                side = "below" if low else "at or above"
                found.append(
                    _Question(max(null, LEAST), _side(name, cut, low=low), f"{side} {cut:.3g}")
                )
    return found


def _side(name: str, cut: float, *, low: bool) -> Value:
    def value(one: Dated) -> float | None:
        said: float | None = getattr(one, name)
        return None if said is None else float((said < cut) == low)

    return value


def _of_pairs(pairs: int, unlike: int, calls: Votes, alpha: float, days: int) -> Alarm:
    what = "tiers below the ceiling that differ"
    if not pairs:
        why = "no certify row was answered by two tiers below the ceiling"
        return Alarm(kind="agreement", what=what, why_not=why)
    null = max(upper_share(unlike, pairs, alpha / 2), LEAST)
    if null >= MOST:
        return Alarm(kind="agreement", what=what, why_not=f"{null:.0%} may differ already")

    def differ(one: Dated) -> float | None:
        assert isinstance(one, FirstCall)
        return None if one.agree is None else float(not one.agree)

    asked = [_Question(null, differ, what)]
    return _rung("agreement", what, asked, calls, alpha / 2, days)


class _Line(Struct, frozen=True):
    """A question on its way through the days."""

    asked: _Question
    seen: Watch
    state: Watched
    column: list[tuple[int, list[float]]]

    def after(self, place: int) -> _Line:
        day, values = self.column[place]
        return replace(self, state=after_day(self.seen, self.state, values, day))


def _rung(
    kind: Evidence, what: str, asked: Sequence[_Question], votes: Votes, alpha: float, days: int
) -> Alarm:
    """Ask the questions of the votes, day by day; their mean evidence is evidence too."""
    if not asked:
        return Alarm(kind=kind, what=what, why_not="what was certified allows any share")
    lines = [_line(one, votes, alpha, days) for one in asked]
    rang_on, highest = None, 0.0
    for place, (day, _) in enumerate(lines[0].column):
        lines = [line.after(place) for line in lines]
        evidence = _together(lines)
        highest = max(highest, evidence)
        if rang_on is None and evidence >= 1 / alpha:
            rang_on = day
    told = _told(lines, alpha)
    return replace(
        told,
        kind=kind,
        what=what + told.what,
        rings=rang_on is not None,
        evidence=highest,
        first_day=day_of(rang_on),
    )


def _line(asked: _Question, votes: Votes, alpha: float, days: int) -> _Line:
    seen = watch(asked.null, days=days, alpha=alpha)
    return _Line(asked, seen, begun(seen), values_by_day(votes, asked.value))


def _together(lines: Sequence[_Line]) -> float:
    """One question sees every look of the day; several are taken together at its end."""
    if len(lines) == 1:
        return lines[0].state.highest
    return sum(line.state.evidence for line in lines) / len(lines)


def _told(lines: Sequence[_Line], alpha: float) -> Alarm:
    """Return what the question says that speaks loudest for a change."""
    most = max(lines, key=lambda line: max(line.state.run, default=0.0))
    state, since = most.state, most.state.changed_on
    late = [x for day, values in most.column if day >= (since or 0) for x in values]
    return Alarm(
        kind="loss",
        what="" if len(lines) == 1 else f": {most.asked.words}",
        alpha=alpha,
        allowed=most.seen.null,
        seen=sum(late) / len(late) if late else None,
        votes=state.votes,
        days=state.days,
        horizon_days=most.seen.days,
        since=day_of(since),
    )
