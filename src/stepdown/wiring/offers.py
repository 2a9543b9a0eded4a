"""What lists say about the hosted tiers of a project: the shipped ones, files, the providers'.

What could not be asked is told, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from stepdown.adapters.listings.ends import read_ends, shipped
from stepdown.core.offered import Offered, base_of
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError, ModelError
from stepdown.wiring.evaluating import NETWORKED
from stepdown.wiring.hosted import secret_of
from stepdown.wiring.workspace import Workspace


class Offers(Struct, frozen=True, kw_only=True):
    """What was found for one tier. `listed` are the ids of its provider's list, None if not asked.

    `known` is everything that names a model of its provider, from any source.
    """

    tier: Tier
    provider: str
    model: str
    known: tuple[Offered, ...]
    listed: frozenset[str] | None = None
    why_not: str = ""


def hosted_tiers(workspace: Workspace) -> tuple[Tier, ...]:
    """Return the hosted tiers that some task or judge uses, in the order of stepdown.toml."""
    used = {name for task in workspace.tasks() for name in task.tiers}
    used |= {task.judge.tier for task in workspace.tasks() if task.judge is not None}
    return tuple(
        tier for name, tier in workspace.tiers.items() if name in used and tier.adapter in NETWORKED
    )


def provider_of(tier: Tier) -> str:
    """Return whose models a tier's name is from; "" where nobody says."""
    if tier.priced_as is not None and "/" in tier.priced_as:
        return tier.priced_as.partition("/")[0]
    if tier.base_url is None and tier.adapter in ("openai", "anthropic"):
        return tier.adapter
    return ""


def offers(
    workspace: Workspace, files: Sequence[Path] = (), *, offline: bool = False
) -> tuple[Offers, ...]:
    """Return what is known of each hosted tier.

    Raises:
        DataError: a file cannot be read.
    """
    told = [*shipped(), *(one for path in files for one in read_ends(path))]
    return tuple(_of(workspace, tier, told, offline=offline) for tier in hosted_tiers(workspace))


def _of(workspace: Workspace, tier: Tier, told: Sequence[Offered], *, offline: bool) -> Offers:
    provider, model = provider_of(tier), base_of(tier.target)
    listed: tuple[Offered, ...] | None = None
    why = "offline"
    if not offline:
        try:
            listed = _asked(workspace, tier, provider)
        except (ModelError, ConfigError) as error:
            why = error.message
    known = [
        one for one in told if one.provider in ("", provider) and (provider or not one.provider)
    ]
    known += [*(listed or ()), *_priced(provider)]
    ids = None if listed is None else frozenset(one.id for one in listed)
    return Offers(
        tier=tier,
        provider=provider,
        model=model,
        known=tuple(known),
        listed=ids,
        why_not="" if listed is not None else why,
    )


def _asked(workspace: Workspace, tier: Tier, provider: str) -> tuple[Offered, ...]:
    """Ask the tier's server for its list, with the tier's key.

    Raises:
        Unavailable: it has no list that we know, or does not answer.
        ConfigError: its key is not set.
    """
    from stepdown.adapters.listings.lists import anthropic_list, openai_list
    from stepdown.adapters.models.wire.anthropic import DEFAULT_BASE as ANTHROPIC
    from stepdown.adapters.models.wire.anthropic import VERSION
    from stepdown.adapters.models.wire.openai import DEFAULT_BASE as OPENAI
    from stepdown.errors import Unavailable

    if tier.adapter not in ("openai", "anthropic"):
        raise Unavailable(f"{tier.adapter} has no list that is read here: use --from FILE.")
    variable = "OPENAI_API_KEY" if tier.adapter == "openai" else "ANTHROPIC_API_KEY"
    key, _ = secret_of(tier, workspace.environment, workspace.project.root, variable)
    if tier.adapter == "anthropic":
        return anthropic_list(tier.base_url or ANTHROPIC, key, VERSION)
    return openai_list(tier.base_url or OPENAI, key, provider)


def _priced(provider: str) -> Iterable[Offered]:
    """Yield the models of a provider that the price list knows."""
    from stepdown.adapters.prices.listed import listed_names

    for name in listed_names() if provider else ():
        owner, _, model = name.partition("/")
        if owner == provider:
            yield Offered(id=model, provider=provider, source="price list")
