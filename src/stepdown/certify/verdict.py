"""The verdict on a task in one word, with its reason and the figures it rests on.

Route, do not route, change tiers, fine-tune, label more, or stay. It is advice: the guarantee is
what was promised, and it stands in the lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Literal

import numpy as np
from msgspec import Struct

from stepdown.certify.evidence import Certified
from stepdown.certify.figures import Z95, loss_estimate
from stepdown.certify.promises import Floats
from stepdown.certify.search import Searched
from stepdown.core.lock import Estimate
from stepdown.core.replay_array import Panel, replay_array
from stepdown.stats.frontier import hull, hull_mix, hull_score

Kind = Literal["route", "do_not_route", "change_tiers", "fine_tune", "label_more", "declared"]


class Rules(Struct, frozen=True):
    """When advice is given. Judgements, not results: nothing is promised by them.

    `gap`: the loss of the best small tier from which training is worth its trouble; `train_rows`:
    rows set apart for training from which it can be tried; `errors`: standard errors by which a
    policy must beat the static hull. Of these one is enough: the rows did not choose the policy,
    and more would say "do not route" on a few hundred rows whatever the truth.
    """

    gap: float = 0.05
    train_rows: int = 200
    errors: float = 1.0


class Verdict(Struct, frozen=True):
    """A verdict: a sentence with the reason, the figures used, and what else is worth asking."""

    kind: Kind
    reason: str
    figures: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()


def verdict(one: Certified, rules: Rules = Rules()) -> Verdict:
    """Return the verdict on what came of certification."""
    if one.state == "declared":
        return Verdict("declared", one.locked.guarantee.why)
    found = _better_than_ceiling(one) or _certified(one, rules) or _label_more(one)
    return found or _dominated(one) or _without_promise(one, rules)


def _better_than_ceiling(one: Certified) -> Verdict | None:
    best = _best_small(one)
    if best is None or best[1].high is None or best[1].high >= 0:
        return None
    tier, loss = best
    said = f"{tier!r} scores better than the ceiling {one.task.ceiling!r} by {_points(loss, -1)}"
    return Verdict(
        "change_tiers",
        f"{said}: is that the ceiling you want?",
        _figures("gain_over_ceiling", loss, -1),
        ("A loss against a ceiling that is worse than a small tier promises little.",),
    )


def _certified(one: Certified, rules: Rules) -> Verdict | None:
    if one.state != "certified":
        return None
    kept = 1 - one.locked.kept.get(one.task.ceiling, 0.0)
    gain = _gain(one, one.along[one.chosen]) if one.along and _priced(one) else None
    figures = {"kept": kept} | _figures("gain_over_hull", gain)
    alone = not one.along or _single(one.along[one.chosen])
    if not alone and gain is not None and not _surely(gain, rules):
        said = "It keeps its promise, but does not surely beat a random mix of single tiers."
        return Verdict("do_not_route", said, figures)
    said = f"{100 * kept:.3g}% of the calls need no ceiling, and the promise holds."
    return Verdict("route", said, figures)


def _surely(gain: Estimate, rules: Rules) -> bool:
    """Say whether a gain is above 0 by enough standard errors."""
    if gain.value is None or gain.low is None:
        return False
    return gain.value > rules.errors * (gain.value - gain.low) / Z95


def _label_more(one: Certified) -> Verdict | None:
    stated = one.locked.guarantee
    if stated.labels_needed is None or stated.labels_needed <= stated.n_certify:
        return None
    more = stated.labels_needed - stated.n_certify
    return Verdict(
        "label_more",
        f"Undecided on {stated.n_certify} certify rows: about {more} more would decide.",
        {"more": more, "needed": stated.labels_needed, "n": stated.n_certify},
    )


def _dominated(one: Certified) -> Verdict | None:
    """A cheaper tier that surely scores better than a dearer one makes that one needless."""
    table = one.certify_table
    small = [tier for tier in one.task.tiers[:-1] if _known(table, tier)]
    for cheap, dear in permutations(small, 2):
        if table.cost_usd[cheap].mean() < table.cost_usd[dear].mean():
            loss = loss_estimate(np.nan_to_num(table.score[cheap]), _scored(table, dear))
            if loss.high is not None and loss.high < 0:
                said = f"{cheap!r} is cheaper than {dear!r} and better by {_points(loss, -1)}"
                figures = _figures("gain", loss, -1)
                return Verdict("change_tiers", f"{said}: drop {dear!r}.", figures)
    return None


def _without_promise(one: Certified, rules: Rules) -> Verdict:
    best, gain = _best_small(one), _best_gain(one)
    figures = _figures("loss_of_best_small", best[1] if best else None)
    figures |= _figures("gain_over_hull", gain)
    large = best is not None and best[1].low is not None and best[1].low > rules.gap
    if best and large and one.locked.guarantee.n_train >= rules.train_rows:
        said = f"{best[0]!r} loses {_points(best[1])} against the ceiling"
        rows = f"{one.locked.guarantee.n_train} rows are there to train it on"
        return Verdict("fine_tune", f"{said}, and {rows}.", figures)
    if gain is not None and not _surely(gain, rules):
        said = "no policy surely beats a random mix of single tiers at the same cost"
        return Verdict("do_not_route", f"Nothing cheaper passed, and {said}.", figures)
    why = one.locked.guarantee.why or "No cheaper policy passed."
    return Verdict("do_not_route", why, figures)


def _best_small(one: Certified) -> tuple[str, Estimate] | None:
    """Return the small tier that loses least against the ceiling on the certify rows."""
    table, ceiling = one.certify_table, one.task.ceiling
    small = [t for t in one.task.tiers if t != ceiling and _known(table, t)]
    if not small or ceiling not in table.score or np.isnan(table.score[ceiling]).all():
        return None
    losses = {tier: loss_estimate(_scored(table, tier), table.score[ceiling]) for tier in small}
    tier = min(small, key=lambda name: losses[name].value or 0.0)
    return tier, losses[tier]


def _known(table: Panel, tier: str) -> bool:
    return tier in table.score and bool((~np.isnan(table.score[tier])).any())


def _scored(table: Panel, tier: str) -> Floats:
    return np.nan_to_num(table.score[tier])


def _single(one: Searched) -> str | None:
    """Return the tier that answers everything, None where the policy decides."""
    rows = one.policy.rows
    alone = len(rows) == 2 and not any(row.when for row in rows)
    return rows[0].otherwise.target if alone else None


def _priced(one: Certified) -> bool:
    return all(found.cost_usd is not None for found in one.found)


def _best_gain(one: Certified) -> Estimate | None:
    """Return what the policy that beats the hull most on tune rows gains on certify rows."""
    everything = [s for s in (*one.found, *one.along[:1]) if s.cost_usd is not None]
    alone = [s for s in everything if _single(s)]
    if not alone or len(everything) < len(one.found):
        return None
    frontier = hull([s.cost_usd or 0.0 for s in alone], [s.score for s in alone])
    over = hull_score([s.cost_usd or 0.0 for s in everything], frontier)
    gains = np.nan_to_num(np.array([s.score for s in everything]) - over, nan=-1.0)
    return _gain(one, everything[int(np.argmax(gains))])


def _gain(one: Certified, chosen: Searched) -> Estimate | None:
    """Return by how much a policy beats the static hull at its own cost, on certify rows.

    The hull is the best random mix of single tiers; its two tiers are compared row by row.
    """
    table = one.certify_table
    tiers = [t for t in one.task.tiers if _known(table, t) and table.available[t].all()]
    costs = [float(table.cost_usd[tier].mean()) for tier in tiers]
    done = replay_array(chosen.policy, table, chosen.derived)
    if not tiers or np.isnan([*costs, done.cost_usd.mean()]).any():
        return None
    frontier = hull(costs, [float(_scored(table, tier).mean()) for tier in tiers])
    mix = hull_mix(float(done.cost_usd.mean()), frontier)
    if mix is None:
        return None
    low, high, share = mix
    mixed = (1 - share) * _scored(table, tiers[low]) + share * _scored(table, tiers[high])
    return loss_estimate(mixed, np.nan_to_num(done.score))


def _points(loss: Estimate, sign: int = 1) -> str:
    ends = sorted(sign * end for end in (loss.low, loss.high) if end is not None)
    between = f" ({100 * ends[0]:.3g} to {100 * ends[1]:.3g})" if len(ends) == 2 else ""
    return f"{100 * sign * (loss.value or 0.0):.3g} points{between}"


def _figures(name: str, one: Estimate | None, sign: int = 1) -> dict[str, float]:
    if one is None or one.value is None:
        return {}
    found = {name: sign * one.value}
    if one.low is not None and one.high is not None:
        low, high = sorted((sign * one.low, sign * one.high))
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found
