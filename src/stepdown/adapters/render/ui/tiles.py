"""The few figures at the head of a page, each with what it was counted on."""

from __future__ import annotations

from msgspec import Struct

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, tag
from stepdown.core.board import Spend


class Tile(Struct, frozen=True):
    """A figure as text, and beside it what it means or leaves out."""

    name: str
    value: str
    more: str = ""


def tiles(shown: list[Tile]) -> Markup:
    """Return the figures side by side."""
    return tag("dl", *map(_tile, shown), class_="tiles")


def _tile(one: Tile) -> Markup:
    more = [tag("dd", one.more, class_="more")] if one.more else []
    return tag("div", tag("dt", one.name), tag("dd", one.value, class_="value"), *more)


def spent_text(spend: Spend) -> str:
    """Return what was spent; where costs are unknown it is a lower bound."""
    if not spend.requests:
        return "–"
    return f"{'≥ ' if spend.at_least else ''}{number(spend.known_usd, 'usd')}"


def spent_tile(spend: Spend) -> Tile:
    """Return what was spent, and how many costs are unknown."""
    told = f"{spend.requests:,} requests"
    if spend.cost_unknown:
        told += f"; the cost of {spend.cost_unknown:,} is unknown and not in it"
    return Tile("Spent", spent_text(spend), told)


def saved_tile(spend: Spend, baseline: str) -> Tile:
    """Return what was saved against the baseline, and on how many requests that is known."""
    if spend.saved_usd is None:
        return Tile("Saved", "–", f"no request has both a cost and a baseline ({baseline})")
    saved, alone = number(spend.saved_usd, "usd"), number(spend.baseline_usd, "usd")
    told = f"{baseline} alone would have cost {alone}; n={spend.both_known:,} with both costs known"
    if spend.saved_share is None:
        return Tile("Saved", saved, told)
    return Tile("Saved", number(spend.saved_share, "share"), f"{saved}: {told}")
