"""`models check`: what must or may change about a project's models, and what was not asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from msgspec import Struct

from stepdown.core.offered import Offered, newer
from stepdown.errors import LockError
from stepdown.wiring.lifecycle import waiting
from stepdown.wiring.offers import Offers, offers
from stepdown.wiring.verifying import Verdict, verify
from stepdown.wiring.workspace import Workspace

Kind = Literal["ends", "gone", "newer", "changed", "promoted", "prices"]
STALE_DAYS = 120  # a price list whose newest change is older is worth an update


class Finding(Struct, frozen=True, kw_only=True):
    """One thing about a tier: `must` says that something has to be done, by `by` where dated."""

    kind: Kind
    tier: str
    what: str
    must: bool = False
    by: date | None = None
    source: str = ""


class Checked(Struct, frozen=True, kw_only=True):
    """What was found, what was asked, and what could not be, each with the reason."""

    findings: tuple[Finding, ...]
    asked: tuple[str, ...]
    not_asked: tuple[str, ...]

    @property
    def must(self) -> bool:
        """Whether something must change."""
        return any(one.must for one in self.findings)


class How(Struct, frozen=True):
    """Files with more to know, whether anything may be asked, and how many days ahead count."""

    files: tuple[Path, ...] = ()
    offline: bool = False
    canaries: bool = True
    within_days: int = 60


async def check(workspace: Workspace, how: How) -> Checked:
    """Check the models of a project.

    Raises:
        DataError: a file or the registry cannot be read.
    """
    today = workspace.environment.today
    found: list[Finding] = []
    asked, not_asked = ["announced ends of models, as shipped"], []
    asked += [f"{path}" for path in how.files]
    for one in offers(workspace, how.files, offline=how.offline):
        found += _about(one, today, how.within_days)
        if one.listed is None:
            not_asked.append(f"{one.tier.name}: the provider's list ({one.why_not})")
        else:
            asked.append(f"{one.tier.name}: its provider lists {len(one.listed):,} models")
    found += _prices(today)
    verdicts, why_not = await _verified(workspace, how)
    found += [_changed(one) for one in verdicts if one.state == "changed"]
    asked += [f"{one.task} {one.tier}: {one.by}" for one in verdicts if one.state != "unchecked"]
    not_asked += [f"{v.task} {v.tier}: {v.why}" for v in verdicts if v.state == "unchecked"]
    not_asked += why_not
    found += _waiting(workspace)
    order = sorted(found, key=lambda f: (not f.must, f.by or date.max, f.tier))
    return Checked(findings=tuple(order), asked=tuple(asked), not_asked=tuple(not_asked))


def _about(one: Offers, today: date, within_days: int) -> list[Finding]:
    found = [_ends(one, end, today, within_days) for end in _ending(one)]
    name = one.tier.name
    if one.listed is not None and one.tier.target not in one.listed:
        what = f"{one.tier.target} is not in the list of its provider"
        found.append(Finding(kind="gone", tier=name, what=what, must=not _floats(one)))
    later = newer(one.model, (offered.id for offered in one.known))
    if later:
        more = f" and {len(later) - 1} more" if len(later) > 1 else ""
        what = f"{later[0]}{more} may be newer than {one.model}: `stepdown models try`"
        source = next(o.source for o in one.known if o.id.rpartition("/")[2] == later[0])
        found.append(Finding(kind="newer", tier=name, what=what, source=source))
    return found


def _floats(one: Offers) -> bool:
    """Tell whether the name is a prefix of listed ones: an alias that the list does not spell."""
    return any(name.startswith(one.tier.target) for name in one.listed or ())


def _ending(one: Offers) -> list[Offered]:
    """Return the announced ends of a tier's model, each day once."""
    names = {one.model, one.tier.target}
    found = [o for o in one.known if o.id in names and o.shutdown is not None]
    return list({o.shutdown: o for o in reversed(found)}.values())


def _ends(one: Offers, end: Offered, today: date, within_days: int) -> Finding:
    assert end.shutdown is not None
    days = (end.shutdown - today).days
    when = (
        f"ends in {days} days" if days > 0 else f"ended {-days} days ago" if days else "ends today"
    )
    instead = f"; its provider names {end.replacement}" if end.replacement else ""
    tuned = f" (base of {one.tier.target})" if one.model != one.tier.target else ""
    return Finding(
        kind="ends",
        tier=one.tier.name,
        what=f"{one.model}{tuned} {when}, on {end.shutdown}{instead}",
        must=days <= within_days,
        by=end.shutdown,
        source=end.source,
    )


def _prices(today: date) -> list[Finding]:
    said = stale_prices(today)
    return [Finding(kind="prices", tier="", what=what, source="genai-prices") for what in said]


def stale_prices(today: date) -> tuple[str, ...]:
    """Say that the price list is old, where it is: its costs may not be those of today."""
    from stepdown.adapters.prices.listed import newest_change

    newest = newest_change(today)
    if newest is None or (today - newest).days <= STALE_DAYS:
        return ()
    return (f"the newest price in the list is of {newest}: update the package genai-prices",)


async def _verified(workspace: Workspace, how: How) -> tuple[Sequence[Verdict], list[str]]:
    """Verify the locked tiers; without a lock there is nothing to hold them against."""
    try:
        return await verify(workspace, offline=how.offline or not how.canaries), []
    except LockError as error:
        return (), [f"digests and pinned answers: {error.message}"]


def _changed(one: Verdict) -> Finding:
    what = f"{one.task}: {one.why}"
    return Finding(kind="changed", tier=one.tier, what=what, must=True, source=one.by)


def _waiting(workspace: Workspace) -> list[Finding]:
    if not workspace.lock_path.exists():
        return []
    return [Finding(kind="promoted", tier="", what=said) for said in waiting(workspace)]
