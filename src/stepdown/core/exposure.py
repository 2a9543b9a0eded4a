"""How much of a task's traffic meets its policy, and which request is in which arm.

Pure. The rest of the traffic is answered by today's model. Buckets are nested: whoever meets the
policy at a share meets it at every larger one, because one draw a session is compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from stepdown.core.digest import digest, draw, seed_from

Arm = Literal["policy", "today"]
Mode = Literal["all", "share", "shadow", "today"]
WORDS = "a share from 0 to 1 such as 0.05, or `all`, `shadow` or `today`"


class Exposure(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`share` of the traffic is answered by the policy, the rest by today's model.

    `shadow` is the share of the rest beside whose answer the policy runs too, unseen by the caller.
    """

    share: float = 1.0
    shadow: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in ("share", "shadow"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {value}")

    @property
    def mode(self) -> Mode:
        """One word for it."""
        if self.share >= 1:
            return "all"
        if self.share > 0:
            return "share"
        return "shadow" if self.shadow > 0 else "today"

    def __str__(self) -> str:
        """Return it as a person reads it."""
        if self.mode == "shadow":
            return "shadow" if self.shadow == 1 else f"shadow {self.shadow:.4g}"
        if self.mode != "share":
            return self.mode
        return f"share {self.share:.4g}" + (f", shadow {self.shadow:.4g}" if self.shadow else "")


ALL = Exposure()
TODAY = Exposure(share=0.0)


def read_exposure(text: str, *, shadow: float) -> Exposure:
    """Return what a person wrote; `shadow` is the share of the rest that is shadowed.

    Raises:
        ValueError: it is none of the words, and no share.
    """
    words: Mapping[str, Exposure] = {
        "all": ALL,
        "today": TODAY,
        "shadow": Exposure(share=0.0, shadow=shadow or 1.0),
    }
    if text in words:
        return words[text]
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        return Exposure(share=share, shadow=shadow if share < 1 else 0.0)
    except ValueError:
        raise ValueError(f"{text!r} is not {WORDS}") from None


def seed_of(project: str, task: str) -> int:
    """Return the seed of a task's buckets: the same under every lock, so that nobody is moved."""
    return seed_from(digest(["arm", project, task]))


def arm_of(exposure: Exposure, seed: int, key: str) -> Arm | None:
    """Return the arm of a session, or of a request without one; None where there is one arm."""
    if exposure.share >= 1:
        return None
    return "policy" if draw(seed, f"arm:{key}") < exposure.share else "today"


def shadowed(exposure: Exposure, seed: int, trace_id: str) -> bool:
    """Say whether the policy runs beside this answer of today's model."""
    return draw(seed, f"shadow:{trace_id}") < exposure.shadow
