"""Everything that is offered to the search: single tiers, cascades, bought signals, learned routes.

The static hull is always among it: single tiers and their random mixes. What was learned comes
with the score that it had on rows which its fit did not see. Vectors of two models never mix: an
embed task is offered single tiers, none of which falls back on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from stepdown.certify.case import Case
from stepdown.certify.finishing import finished, is_measured
from stepdown.certify.locking import all_tiers
from stepdown.certify.routing import Candidate, candidates_of, fit_routing
from stepdown.certify.search import agreeing_cascades, bought_cascades, candidates
from stepdown.certify.supply import DRAW, Sources, has_prompts, supplied, with_triage
from stepdown.certify.verifier import with_shapes
from stepdown.certify.worth import Verdict
from stepdown.core.derived import SIZE, Derived
from stepdown.core.policy import Policy, single
from stepdown.core.replay_array import Panel

FEWEST_ROUTED = 40  # tune rows under which nothing is learned of routes: folds of eight
SHAPED_LETTERS = 40  # mean length of an answer from which its shape may tell something


class Offer(Struct, frozen=True):
    """A policy with its formulas; `score` on rows that its fit had not seen, None without."""

    policy: Policy
    derived: Mapping[str, Derived]
    score: float | None = None


class Offers(Struct, frozen=True):
    """All offers, the tune rows with the signals that they read, and where these come from."""

    all: tuple[Offer, ...]
    table: Panel
    sources: Sources
    routing: Verdict | None


def offers(case: Case, sample: Panel) -> Offers:
    """Return what is searched on a sample of the tune rows."""
    sample = _as_told(sample, case.table)
    if not case.task.cascades:
        there = [tier for tier in case.order[:-1] if tier in sample.available]
        alone = tuple(Offer(single(tier), {}) for tier in there)
        return Offers(alone, sample, Sources(case.rows.seed), None)
    plain = [
        *candidates(sample, case.order),
        *agreeing_cascades(sample, case.order),
        *bought_cascades(sample, case.order, case.bought),
    ]
    made = [_finished(case, sample, policy) for policy in plain]
    if sample.n < FEWEST_ROUTED or len(case.order) < 2:
        return Offers(tuple(made), sample, Sources(case.rows.seed), None)
    return _with_routes(case, sample, made)


def _as_told(sample: Panel, table: Panel) -> Panel:
    """Return the sample without what the certify rows do not tell: prompts, segments, texts.

    A formula that reads what is missing where it is tested would be another when it is served.
    """
    texts = {t: c for t, c in sample.texts.items() if _told(table.texts.get(t, ()))}
    return structs.replace(
        sample,
        prompts=sample.prompts if has_prompts(table) else (),
        segments=sample.segments if _told(table.segments) else (),
        texts=texts,
    )


def _told(column: Sequence[str | None]) -> bool:
    return any(value is not None for value in column)


def _finished(case: Case, sample: Panel, policy: Policy) -> Offer:
    """Polish where the outcomes hold polished drafts, so that the promise covers them."""
    done = finished(policy, case.task)
    if not done.pairs or not (is_measured(done, sample) and is_measured(done, case.table)):
        return Offer(policy, {})
    return Offer(done.policy, done.derived)


def _with_routes(case: Case, sample: Panel, plain: list[Offer]) -> Offers:
    order = tuple(tier for tier in case.order if tier in sample.score)  # others were not asked
    table, triage = with_triage(sample, order, case.evidence.encoder, case.rows.seed)
    sources = Sources(case.rows.seed, triage, case.evidence.encoder)
    table = supplied(_shaped(case, table), (DRAW, SIZE), sources)
    fitted = fit_routing(table, order, case.task.ceiling, table.groups, case.rows.seed)
    table = table.with_derived(fitted.shared)
    routes = (_learned(one, case.order) for one in candidates_of(fitted, order))
    return Offers((*plain, *routes), table, sources, fitted.verdict)


def _shaped(case: Case, table: Panel) -> Panel:
    """Read the shape of answers that are long enough to have one."""
    for tier in case.order:
        texts = [text for text in table.texts.get(tier, ()) if text is not None]
        if texts and sum(map(len, texts)) >= SHAPED_LETTERS * len(texts):
            table = with_shapes(table, tier)
    return table


def _learned(one: Candidate, order: tuple[str, ...]) -> Offer:
    return Offer(
        all_tiers(one.policy, order), one.derived, one.score if one.kind == "routed" else None
    )
