"""A canary: one prompt of a tier, pinned with its answers, that tells later whether it changed."""

from __future__ import annotations

from msgspec import Struct

from stepdown.core.request import Request


class Canary(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request and what the tier answered to it, each time that it was asked, on a day.

    `tier_digest` is that of the settings it was asked under, `served` the model that the provider
    named, where it named one.
    """

    task: str
    sample: str
    tier: str
    tier_digest: str
    request: Request
    answers: tuple[str, ...]
    served: tuple[str, ...] = ()
    date: str
