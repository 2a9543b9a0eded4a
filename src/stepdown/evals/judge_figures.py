"""What is known of a judge itself: agreement with people, preference for a place, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from stepdown.core.judge import FIRST, SECOND, Judge
from stepdown.core.report import Cell, Claim, Column, Table
from stepdown.evals.judging import SAME, Judged, Said

UNMEASURED = "agreement with people not measured"


class Person(Struct, frozen=True, kw_only=True):
    """One answer that a person graded and the judge scored; rows of a group are not independent."""

    score: float
    judged: float
    group: str | None = None


class Agreement(Struct, frozen=True, kw_only=True):
    """How a judge's scores compare with people's: the same grade, kappa, rank correlation."""

    n: int
    same: Claim
    kappa: Claim
    correlation: Claim


class Position(Struct, frozen=True, kw_only=True):
    """What the place of an answer did to a pairwise judge.

    `turned`: pairs whose verdict changed with the order; `first`: how often the first place won
    among the calls that named a winner (0.5 without a preference).
    """

    turned: Claim
    first: Claim


class JudgeFigures(Struct, frozen=True, kw_only=True):
    """One judge on one task. Costs and calls are of this run and not among the tiers'.

    `unscored`: per tier, the kinds of failures of the judge that left answers without a score.
    """

    name: str
    scorer: str
    tier: str
    kind: str
    cases: int
    calls: int
    reused: int
    cost_usd: float
    cost_unknown: int
    unscored: Mapping[str, Mapping[str, int]]
    agreement: Agreement | None = None
    position: Position | None = None
    repeats_differ: Claim | None = None

    @property
    def words(self) -> str:
        """The sentence that stands beside every figure which the judge produced."""
        return f"Scored by the judge {self.name} ({self.tier}); {_agreement_words(self.agreement)}."


def agreement(judge: Judge, people: Sequence[Person], seed: int) -> Agreement | None:
    """Return how the judge compares with people, None when nobody graded an answer.

    For the rate and kappa both scores become the nearest grade; the correlation takes them as
    they are.
    """
    from stepdown.stats.agreement import kappa, rank_correlation
    from stepdown.stats.intervals import proportion_interval

    if not people:
        return None
    groups = _groups(people)
    theirs = [_nearest(judge, one.score) for one in people]
    own = [_nearest(judge, one.judged) for one in people]
    same = [float(a == b) for a, b in zip(theirs, own, strict=True)]
    rate = proportion_interval(same, groups, seed=seed)
    chance = kappa(own, theirs, groups, seed=seed)
    ranks = rank_correlation(
        [p.judged for p in people], [p.score for p in people], groups, seed=seed
    )
    n = len(people)
    return Agreement(
        n=n,
        same=Claim(sum(same) / n, "share", rate.low, rate.high, rate.level, n),
        kappa=Claim(
            chance.value, "score", chance.interval.low, chance.interval.high, rate.level, n
        ),
        correlation=Claim(
            ranks.value, "score", ranks.interval.low, ranks.interval.high, rate.level, n
        ),
    )


def position(judged: Sequence[Judged]) -> Position | None:
    """Return what the order did, None for a judge that saw no pair twice."""
    pairs = [pair for one in judged for pair in _pairs(one.said)]
    if not pairs:
        return None
    turned = [float(not _consistent(a, b)) for a, b in pairs]
    named = [one.word for pair in pairs for one in pair if one.word in (FIRST, SECOND)]
    return Position(turned=_share(turned), first=_share([float(w == FIRST) for w in named]))


def repeats_differ(judge: Judge, judged: Sequence[Judged]) -> Claim | None:
    """Return the share of cases on which repeats of one question did not all say the same."""
    if judge.repeats < 2:
        return None
    seen = [_by_order(one.said) for one in judged if any(s.word for s in one.said)]
    return _share([float(any(len(set(words)) > 1 for words in each)) for each in seen])


def unscored(by_tier: Mapping[str, Sequence[Judged]]) -> dict[str, dict[str, int]]:
    """Return tier -> kind -> number of answers that the judge left without a score."""
    counts = {
        tier: Counter(one.failure or "" for one in judged if one.score is None)
        for tier, judged in by_tier.items()
    }
    return {tier: dict(sorted(kinds.items())) for tier, kinds in counts.items() if kinds}


def judge_table(figures: JudgeFigures) -> Table:
    """Return what is known of the judge, as it stands under the scores that it gave."""
    return Table(
        title=f"The judge {figures.name}: {figures.kind}, by {figures.tier}",
        columns=(Column("figure"), Column("value", numeric=True)),
        rows=tuple(_rows(figures)),
        notes=tuple(_notes(figures)),
    )


def _rows(figures: JudgeFigures) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [("answers judged", Claim(figures.cases, "count"))]
    if figures.agreement is not None:
        rows += [
            ("same grade as people", figures.agreement.same),
            ("Cohen's kappa with people", figures.agreement.kappa),
            ("rank correlation with people", figures.agreement.correlation),
        ]
    if figures.position is not None:
        rows += [
            ("verdicts that turned with the order", figures.position.turned),
            ("wins of the first place", figures.position.first),
        ]
    if figures.repeats_differ is not None:
        rows.append(("answers on which repeats differ", figures.repeats_differ))
    rows.append(("new calls of the judge", Claim(figures.calls, "count")))
    known = None if figures.calls and figures.cost_unknown == figures.calls else figures.cost_usd
    rows.append(("cost of judging now", Claim(known, "usd")))
    return rows


def _notes(figures: JudgeFigures) -> list[str]:
    notes = []
    if figures.agreement is None:
        notes.append(f"{UNMEASURED.capitalize()}: name the field with people's grades in `human`.")
    for tier, kinds in figures.unscored.items():
        said = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
        notes.append(f"{tier}: the judge left answers unscored, not 0: {said}.")
    if figures.cost_unknown:
        notes.append(f"Calls of the judge without a known cost: {figures.cost_unknown:,}.")
    if figures.reused:
        notes.append(f"{figures.reused:,} verdicts were kept from earlier and cost nothing now.")
    return notes


def _agreement_words(found: Agreement | None) -> str:
    if found is None or found.same.value is None:
        return UNMEASURED
    ends = ""
    if found.same.low is not None and found.same.high is not None:
        ends = f" [{found.same.low:.2f}, {found.same.high:.2f}]"
    kappa = "not defined" if found.kappa.value is None else f"{found.kappa.value:.2f}"
    return f"it gives people's grade on {found.same.value:.2f}{ends} of {found.n}, kappa {kappa}"


def _nearest(judge: Judge, score: float) -> float:
    worths = sorted({judge.worth(word) for word in judge.words})
    return min(worths, key=lambda worth: abs(worth - score))


def _groups(people: Sequence[Person]) -> list[str] | None:
    names = [one.group or f"alone {i}" for i, one in enumerate(people)]
    return names if len(set(names)) < len(names) else None


def _pairs(said: Sequence[Said]) -> list[tuple[Said, Said]]:
    """Return the calls of both orders that belong together and can both be used."""
    orders = [one for one in said if one.word != SAME]
    turns = zip(orders[::2], orders[1::2], strict=False)
    return [(a, b) for a, b in turns if a.word and b.word and not a.swapped and b.swapped]


def _consistent(straight: Said, swapped: Said) -> bool:
    turned = {FIRST: SECOND, SECOND: FIRST}
    return straight.word == turned.get(swapped.word or "", swapped.word)


def _by_order(said: Sequence[Said]) -> list[list[str]]:
    return [[s.word for s in said if s.word and s.swapped == order] for order in (False, True)]


def _share(values: Sequence[float]) -> Claim:
    from stepdown.stats.intervals import proportion_interval

    if not values:
        return Claim(None, "share", n=0)
    found = proportion_interval(values)
    mean = sum(values) / len(values)
    return Claim(mean, "share", found.low, found.high, found.level, len(values))
