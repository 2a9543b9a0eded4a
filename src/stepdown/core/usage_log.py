"""Rows of a usage log, whatever its format: what a step's call was, cost and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from stepdown.core.request import Message, Usage


class LoggedCall(Struct, frozen=True, kw_only=True):
    """One call in a usage log; None is unknown.

    `at` is ISO 8601 in UTC. `step` is the step's name and `step_rule` the rule that found it.
    `cost_usd` is what the log reports; a list price is the audit's business.
    """

    id: str
    at: str | None = None
    provider: str | None = None
    model: str | None = None
    step: str | None = None
    step_rule: str | None = None
    session: str | None = None
    messages: tuple[Message, ...] | None = None
    answer: str | None = None
    usage: Usage = Usage()
    latency_s: float | None = None
    first_token_s: float | None = None
    cost_usd: float | None = None
    status: str = "ok"
    tools: int = 0
    max_tokens: int | None = None
    source: str = ""


class Refused(Struct, frozen=True):
    """A row that could not be read: where, and why."""

    source: str
    line: int
    why: str
    excerpt: str = ""


class Batch(Struct, frozen=True):
    """Some rows of a log as columns: each field of `LoggedCall` that the format has, by its name.

    All columns have one length; a field that the format lacks has no column.
    """

    columns: Mapping[str, Sequence[Any]]
    refused: Sequence[Refused] = ()
    unknown_fields: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse columns that are unknown or of different lengths."""
        if unknown := set(self.columns) - set(LoggedCall.__struct_fields__):
            raise ValueError(f"a batch has unknown columns: {sorted(unknown)}")
        if len({len(column) for column in self.columns.values()}) > 1:
            raise ValueError("the columns of a batch differ in length")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def calls(self) -> Iterator[LoggedCall]:
        """Yield the rows."""
        names = list(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            yield LoggedCall(**dict(zip(names, values, strict=True)))
