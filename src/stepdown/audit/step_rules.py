"""Rules that name the steps of a log: what a team remembers from one month to the next.

A rule knows a step by the name that the log gives it, or by the template of its prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from stepdown.audit.contract import system_of
from stepdown.core.call_columns import Batch, Words
from stepdown.core.digest import digest
from stepdown.core.pattern import matches
from stepdown.core.request import Message

RULE = "steps.toml"
By = Literal["model", "tools", "template"]
WAYS = ("model", "tools", "template", "metadata.KEY")


class StepRule(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A name, and what it is for: `was`, names that the log gives, and, for calls that nobody
    named, `system`, templates of system prompts, or `user`, templates of the first message of calls
    that have no system prompt (`{*}` is any text).
    """

    name: str
    was: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    user: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What tells the rule from another, whatever its name."""
        own = [sorted(self.was), sorted(self.system)]
        return digest([*own, sorted(self.user)] if self.user else own)


class StepRules(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All rules, and `split`: a step -> what makes several of it (a way of WAYS)."""

    steps: tuple[StepRule, ...] = ()
    split: Mapping[str, str] = {}


class Named:
    """Batches whose steps are named by rules; `counts` are calls by rule, as far as read."""

    def __init__(self, rules: StepRules) -> None:
        self.rules = rules
        self.counts: Counter[str] = Counter()
        self._was = {was: rule.name for rule in rules.steps for was in rule.was}
        self._system = [(t, rule.name) for rule in rules.steps for t in rule.system]
        self._user = [(t, rule.name) for rule in rules.steps for t in rule.user]
        self._by_prompt: dict[str, str | None] = {}

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches with the steps that the rules give."""
        for batch in batches:
            yield self._batch(batch) if self._speak else batch

    @property
    def _speak(self) -> bool:
        """Whether there is any rule."""
        return bool(self._was or self._system or self._user or self.rules.split)

    def _batch(self, batch: Batch) -> Batch:
        told, rules = batch.words("step"), list(batch.words("step_rule"))
        steps: list[str | None] = list(told)
        for row, step in enumerate(steps):
            name = self._unnamed(batch, row) if step is None else self._was.get(step)
            found = self._split(batch, row, name or step)
            if found != step:
                self.counts[found or "(by template)"] += 1
                steps[row], rules[row] = found, RULE if found else None
        columns: dict[str, Any] = {**batch.columns, "step": Words.of(steps)}
        columns["step_rule"] = Words.of(rules)
        return replace(batch, columns={n: c for n, c in columns.items() if _told(c)})

    def _unnamed(self, batch: Batch, row: int) -> str | None:
        if not self._system and not self._user:
            return None
        said = batch.content(row).messages or ()
        system = system_of(said)
        if system.strip():
            return self._fitting(system)
        asked = first_asked(said)
        return next((name for t, name in self._user if asked and matches(t, asked)), None)

    def _fitting(self, system: str) -> str | None:
        """Return the step of a system prompt; prompts repeat, so each is compared once."""
        if system not in self._by_prompt:
            if len(self._by_prompt) > 10_000:
                self._by_prompt.clear()
            fits = (name for t, name in self._system if matches(t, system))
            self._by_prompt[system] = next(fits, None)
        return self._by_prompt[system]

    def _split(self, batch: Batch, row: int, step: str | None) -> str | None:
        way = self.rules.split.get(step or "")
        if way is None or step is None:
            return step
        if way == "template":
            return None  # its calls are told apart by their prompts, like those that nobody named
        value = _value(batch, row, way)
        return step if value is None else f"{step}-{value}"


def first_asked(messages: Sequence[Message]) -> str:
    """Return the first message of a user, by which a call without a system prompt is known."""
    return next((message.text for message in messages if message.role == "user"), "")


def _value(batch: Batch, row: int, way: str) -> str | None:
    if way == "model":
        return batch.words("model")[row]
    if way == "tools":
        return batch.words("tool_names")[row] or "no tools"
    value = batch.content(row).metadata.get(way.partition(".")[2])
    return None if value is None else str(value)


def _told(column: Any) -> bool:
    return not isinstance(column, Words) or bool(np.any(column.codes >= 0))
