"""A task: a narrow job with one output contract and one scorer, and what is promised about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from stepdown.core.contract import Contract, Prompt

TaskKind = Literal["classify", "extract", "draft", "polish", "summarise", "convert"]
Place = Literal["embedded", "self_hosted", "hosted_open", "vendor"]
Finish = Literal["always", "when_unsure", "never"]
PLACES: tuple[Place, ...] = ("embedded", "self_hosted", "hosted_open", "vendor")


class Promise(Struct, frozen=True, forbid_unknown_fields=True):
    """`max_loss`: the loss of score against the ceiling that is allowed (fraction of 1).

    `delta`: the chance of being wrong about it that is allowed.
    """

    max_loss: float = 0.02
    delta: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot be promised."""
        if not 0 < self.max_loss < 1:
            raise ValueError(f"max_loss must lie between 0 and 1, got {self.max_loss}")
        if not 0 < self.delta < 0.5:
            raise ValueError(f"delta must lie between 0 and 0.5, got {self.delta}")


class Task(Struct, frozen=True, kw_only=True):
    """One step's job.

    `tiers` are names, weakest first; the last is the ceiling. `prompts` are per tier; a tier
    without one gets the caller's own request. `reference` is where the gold answer stands in the
    data (a dotted path such as `entities`). `boundary` is how far the data may travel.
    """

    name: str
    kind: TaskKind
    tiers: tuple[str, ...]
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    contract: Contract = Contract()
    prompts: Mapping[str, Prompt] = {}
    scorer: str = "exact"
    reference: str = ""
    promise: Promise = Promise()
    boundary: Place = "vendor"
    customer_facing: bool = False
    finish: Finish = "never"
    store: Literal["none", "metadata", "full"] = "metadata"
    thresholds: Mapping[str, float] = {}
    fallback: str = ""

    @property
    def ceiling(self) -> str:
        """The strongest tier."""
        return self.tiers[-1]

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """JSON Schema of a structured answer: every field a string or null, all required."""
        if not self.fields:
            return None
        field = {"type": ["string", "null"]}
        return {
            "type": "object",
            "properties": dict.fromkeys(self.fields, field),
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def prompt_for(self, tier: str) -> Prompt | None:
        """Return the tier's own prompt, None when it gets the caller's request."""
        return self.prompts.get(tier)


def within(place: Place, boundary: Place) -> bool:
    """Tell whether a tier at `place` may see data that must stay inside `boundary`."""
    return PLACES.index(place) <= PLACES.index(boundary)
