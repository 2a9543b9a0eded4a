"""A task: a narrow job with one output contract and one scorer, and what is promised about it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Literal

from msgspec import Struct

from stepdown.core.bought import Bought
from stepdown.core.compare import Compare
from stepdown.core.contract import Contract, Prompt
from stepdown.core.judge import Judge
from stepdown.core.request import Tool

TaskKind = Literal[
    "classify",
    "route",
    "judge",
    "extract",
    "convert",
    "tool_call",
    "draft",
    "polish",
    "summarise",
    "embed",
]
CHOICES: tuple[TaskKind, ...] = ("classify", "route", "judge")  # an answer is one of `labels`
OBJECTS: tuple[TaskKind, ...] = ("extract", "convert")  # an answer is a JSON value
TEXTS: tuple[TaskKind, ...] = ("draft", "polish", "summarise")
Place = Literal["embedded", "self_hosted", "hosted_open", "vendor"]
Finish = Literal["always", "when_unsure", "never"]
PLACES: tuple[Place, ...] = ("embedded", "self_hosted", "hosted_open", "vendor")
_RANK = {place: rank for rank, place in enumerate(PLACES)}


MAIN = ("max_loss", "floor", "min_score", "min_agreement", "max_disagreement", "max_error_cost")
POLISH_BELOW = 0.7  # declared, from the example that inspired the project; nothing was measured
DEFAULT_LIMIT = 0.02  # of `max_loss` (or `max_disagreement`) where a task promises nothing itself


class Promise(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is promised about a task. Limits are fractions of 1 unless a name says otherwise.

    One main promise at most: `max_loss` of score against the ceiling (2 points where nothing is
    said); `floor` of the delivered score, whoever answered; `min_score` of the answers that the
    ceiling did not give; `min_agreement` of these with the ceiling; `max_disagreement`: share of
    all traffic on which an answer other than the ceiling's is sent; `max_error_cost` a message,
    by `error_costs[truth][answer]` (an error that is not named costs the most of the table, a
    right answer nothing).

    Beside it: `recall` of labels that must not be missed; `max_cost_usd` a call and `max_latency_s`
    a call (means; estimated, not certified). `delta` is the chance of being wrong that is allowed,
    for each task, or with `over = "project"` for all tasks of the project together.
    """

    max_loss: float | None = None
    floor: float | None = None
    min_score: float | None = None
    min_agreement: float | None = None
    max_disagreement: float | None = None
    max_error_cost: float | None = None
    error_costs: Mapping[str, Mapping[str, float]] = {}
    recall: Mapping[str, float] = {}
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    delta: float = 0.1
    over: Literal["task", "project"] = "task"

    def __post_init__(self) -> None:
        """Refuse what cannot be promised."""
        if len(self.mains) > 1:
            raise ValueError(f"promise one of {' and '.join(self.mains)}, not both")
        for name in MAIN[:-1]:
            _fraction(name, getattr(self, name))
        for label, share in self.recall.items():
            _fraction(f"recall of {label!r}", share)
        if not 0 < self.delta < 0.5:
            raise ValueError(f"delta must lie between 0 and 0.5, got {self.delta}")
        for name in ("max_error_cost", "max_cost_usd", "max_latency_s"):
            limit = getattr(self, name)
            if limit is not None and not 0 < limit < inf:
                raise ValueError(f"{name} must be above 0 and finite, got {limit}")
        self._check_costs()

    def _check_costs(self) -> None:
        costs = [cost for row in self.error_costs.values() for cost in row.values()]
        if any(not 0 <= cost < inf for cost in costs):
            raise ValueError("error_costs must be finite amounts of 0 or more")
        if (self.max_error_cost is not None) != bool(costs) or (costs and max(costs) == 0):
            raise ValueError("max_error_cost needs error_costs with an amount above 0, and they it")

    @property
    def mains(self) -> tuple[str, ...]:
        """The main promises that were written down."""
        return tuple(name for name in MAIN if getattr(self, name) is not None)

    def main(self, reference: str = "gold") -> str:
        """Return the main promise by name.

        Where none was written it is `max_loss`, or `max_disagreement` when the references are the
        ceiling's own answers, which score 1 by construction.
        """
        if self.mains:
            return self.mains[0]
        return "max_disagreement" if reference == "ceiling" else "max_loss"

    @property
    def allowed_loss(self) -> float:
        """The loss against the ceiling that an eval asks about, whatever is promised."""
        return DEFAULT_LIMIT if self.max_loss is None else self.max_loss

    def limit(self, reference: str = "gold") -> float:
        """Return the limit of the main promise."""
        written = getattr(self, self.main(reference))
        return DEFAULT_LIMIT if written is None else float(written)


def _fraction(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")


class Task(Struct, frozen=True, kw_only=True):
    """One step's job.

    `tiers` are names, weakest first; the last is the ceiling. `prompts` are per tier; a tier
    without one gets the caller's own request. A structured answer has `fields` (text or null) or
    obeys `json_schema`. `tools` are those of a tool_call task, unless an input brings its own.
    `compare` says per field when two values are equal, `scoring` holds what the scorer was told;
    both are part of its digest. `reference` is where the gold answer stands in the
    data (a dotted path such as `entities`). `boundary` is how far the data may travel. `signals`
    may be bought. `finish` says when the tier `polish_by` (the ceiling where none is named)
    rewrites a draft: for `when_unsure`, below the confidence `polish_below`, which is declared.
    """

    name: str
    kind: TaskKind
    tiers: tuple[str, ...]
    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] = {}
    tools: tuple[Tool, ...] = ()
    contract: Contract = Contract()
    prompts: Mapping[str, Prompt] = {}
    scorer: str = "exact"
    scoring: Mapping[str, Any] = {}
    judge: Judge | None = None
    compare: Mapping[str, Compare] = {}
    reference: str = ""
    reference_is: Literal["gold", "ceiling"] = "gold"
    promise: Promise = Promise()
    boundary: Place = "vendor"
    customer_facing: bool = False
    finish: Finish = "never"
    polish_by: str = ""
    polish_below: float = POLISH_BELOW
    signals: Mapping[str, Bought] = {}
    store: Literal["none", "metadata", "sample", "full"] = "metadata"
    thresholds: Mapping[str, float] = {}
    fallback: str = ""

    @property
    def ceiling(self) -> str:
        """The strongest tier."""
        return self.tiers[-1]

    @property
    def structured(self) -> bool:
        """Whether an answer is a JSON value of a given shape."""
        return bool(self.fields or self.json_schema)

    @property
    def cascades(self) -> bool:
        """Whether a policy may call more than one tier: vectors of two models never mix."""
        return self.kind != "embed"

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """JSON Schema of a structured answer; of `fields` each is text or null, all required."""
        if self.json_schema:
            return self.json_schema
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
    return _RANK[place] <= _RANK[boundary]
