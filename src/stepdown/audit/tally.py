"""Running sums of one step: bounded in size, and the same whatever the order of the calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.audit.bill import Cost, Counted
from stepdown.audit.prefixes import Borders
from stepdown.audit.pricing import PICO
from stepdown.audit.repeats import Repeats
from stepdown.audit.rules import Rules
from stepdown.audit.sketch import (
    Distinct,
    Floats,
    Frequencies,
    Hashes,
    Ints,
    Quantiles,
    Sample,
)
from stepdown.core.request import Message
from stepdown.core.usage_log import Content

Bools = NDArray[np.bool_]
TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
)
_SUMS = (
    "calls", "errors", "with_tools", "with_content", "with_session", "pico", "cost_unknown",
    "retries", "cut", "capped", "uncached_pico", "thought_pico", "tools_tokens", "tools_pico",
    "night", "tools_calls",
)  # fmt: skip


class Seen(Struct, frozen=True):
    """The content of one call, as the inference of kind and contract reads it."""

    messages: tuple[Message, ...]
    answer: str
    tools: int = 0

    @property
    def user(self) -> str:
        """The last message's text."""
        return self.messages[-1].text if self.messages else ""


class Part(Struct, frozen=True):
    """The columns of one step's calls in a batch, as arrays of one length.

    `sessions` are digests, 0 where a call names none. `models`, `rules` and `finish` are names.
    """

    numbers: dict[str, Floats]
    estimated: Bools
    failed: Bools
    pico: Ints
    who: Ints
    rates: dict[str, Floats]
    sessions: Hashes
    models: Sequence[str | None]
    rules: Sequence[str]
    finish: Sequence[str | None]


class Looked(Struct, frozen=True):
    """What the content of some calls tells, as columns; digests are 0 where there is none.

    `request` is all that was asked, `system` the system prompt, `borders` what a cache would know
    a prompt by. `keys` choose the sample. `offered` are names and sizes of
    tools; empty: no call has any.
    """

    request: Hashes
    system: Hashes
    borders: Borders
    keys: Hashes
    failed: Bools
    pico: Ints
    said: Sequence[Content]
    offered: Sequence[tuple[tuple[str, int], ...]] = ()


class Tally:
    """Sums over the calls of one step."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        for name in _SUMS:
            setattr(self, name, 0)
        self.tokens = {name: [0, 0, 0, 0] for name in TOKENS}  # sum, known, unknown, estimated
        self.who: Counter[int] = Counter()
        self.models: Counter[str] = Counter()
        self.named_by: Counter[str] = Counter()
        self.sessions, self.prompts = Distinct(), Distinct()
        self.latency, self.input_length, self.output_length = Quantiles(), Quantiles(), Quantiles()
        self.max_tokens = Quantiles()
        self.most_tools = 0
        self.sample: Sample[Seen] = Sample(rules.sample, rules.sample_chars)
        self.answers: Counter[str] | None = Counter()
        self.repeats = Repeats()
        self.minutes = Frequencies()
        self.offered: Counter[str] = Counter()
        self.offered_bytes: Counter[str] = Counter()
        self.called: Counter[str] = Counter()
        self.prefixes, self.prefixed = Repeats(), Repeats()  # borders of prompts; calls with any

    calls: int
    errors: int
    with_tools: int
    with_content: int
    with_session: int
    pico: int
    cost_unknown: int
    retries: int
    cut: int
    capped: int
    uncached_pico: int
    thought_pico: int
    tools_tokens: int
    tools_pico: int
    tools_calls: int
    night: int

    def add(self, part: Part) -> None:
        """Add the calls of a batch."""
        numbers = part.numbers
        self.calls += len(part.pico)
        self.errors += int(part.failed.sum())
        self.pico += int(part.pico.sum())
        known = part.who >= 0
        self.cost_unknown += int((~known).sum())
        self.who.update(dict(enumerate_counts(part.who[known])))
        for name in TOKENS:
            self._tokens(name, numbers[name], part.estimated)
        self.latency.extend(numbers["latency_s"])
        self.input_length.extend(numbers["input_tokens"])
        self.output_length.extend(numbers["output_tokens"])
        self.max_tokens.extend(numbers["max_tokens"])
        self.with_tools += int((np.nan_to_num(numbers["tools"]) > 0).sum())
        self.most_tools = max(self.most_tools, int(np.nan_to_num(numbers["tools"]).max(initial=0)))
        self.retries += int(np.nan_to_num(numbers["retries"]).sum())
        self.capped += int(np.isfinite(numbers["max_tokens"]).sum())
        self.cut += sum(why in ("length", "max_tokens") for why in part.finish)
        self.models.update(model or "unknown" for model in part.models)
        self.named_by.update(part.rules)
        named = part.sessions[part.sessions > 0]
        self.with_session += len(named)
        self.sessions.extend(named)
        self._money(part)
        self._times(numbers["at_s"])

    def look(self, looked: Looked) -> None:
        """Add what the content of calls tells; the answer of a failed call is no evidence."""
        self.repeats.extend(looked.request, looked.failed, looked.pico)
        _again(self.prefixes, looked.borders.digests, looked.borders.pico)
        _again(self.prefixed, looked.borders.first, np.zeros(len(looked.borders.first), np.int64))
        self.prompts.extend(looked.system[looked.system > 0])
        if looked.offered:
            self._tools(looked)
        answers = [said.answer for said in looked.said]
        self.with_content += len(answers) - answers.count(None)
        well = (~looked.failed).tolist()
        self._count_answers(
            [a for a, good in zip(answers, well, strict=True) if good and a is not None]
        )
        self._keep(looked)

    def merge(self, other: Tally) -> None:
        """Add the other step's sums to this one's."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_tools = max(self.most_tools, other.most_tools)
        for name, sums in other.tokens.items():
            self.tokens[name] = [a + b for a, b in zip(self.tokens[name], sums, strict=True)]
        for name in ("who", "models", "named_by", "offered", "offered_bytes", "called"):
            getattr(self, name).update(getattr(other, name))
        for name in (
            "sessions", "prompts", "sample", "latency", "input_length", "output_length",
            "max_tokens", "repeats", "prefixes", "prefixed", "minutes",
        ):  # fmt: skip
            getattr(self, name).merge(getattr(other, name))
        self._merge_answers(other.answers)

    def under(self, places: Mapping[int, int]) -> Tally:
        """Return the tally with the places of another list of who said what a call cost."""
        who: Counter[int] = Counter()
        for place, count in self.who.items():
            who[places[place]] += count
        self.who = who
        return self

    def counted(self, name: str) -> Counted:
        """Return a sum of tokens as a value."""
        total, known, unknown, estimated = self.tokens[name]
        return Counted(total if known else None, known, unknown, estimated)

    def cost(self, bases: Sequence[tuple[str, str]]) -> Cost:
        """Return the money as a value; `bases` are the pricer's."""
        usd = self.pico / PICO if self.who else None
        by_basis: Counter[str] = Counter()
        for place, count in self.who.items():
            by_basis[bases[place][0]] += count
        sources = {bases[place][1] for place in self.who if bases[place][1]}
        ordered = dict(sorted(by_basis.items()))
        return Cost(usd, ordered, self.cost_unknown, tuple(sorted(sources)))

    def _tokens(self, name: str, values: Floats, estimated: Bools) -> None:
        known = np.isfinite(values)
        sums = self.tokens[name]
        sums[0] += int(values[known].sum())
        sums[1] += int(known.sum())
        sums[2] += int((~known).sum())
        sums[3] += int((known & estimated).sum()) if name in TOKENS[:2] else 0

    def _money(self, part: Part) -> None:
        """Add what thinking costs at the list, for what might be saved."""
        thought = np.nan_to_num(part.numbers["reasoning_tokens"]) * part.rates["reasoning"]
        self.thought_pico += _pico(thought)
        cached = np.nan_to_num(part.numbers["cached_tokens"])
        self.uncached_pico += _pico(cached * (part.rates["input"] - part.rates["cached"]))
        tools = np.nan_to_num(part.numbers["tools_bytes"]) / self.rules.bytes_per_token
        self.tools_tokens += int(tools.sum())
        self.tools_pico += _pico(tools * part.rates["cached"])

    def _times(self, at_s: Floats) -> None:
        known = at_s[np.isfinite(at_s)]
        self.minutes.extend(np.floor(known / 60).astype(np.int64))
        hours = np.floor(known / 3600) % 24
        self.night += int((hours < 5).sum())

    def _tools(self, looked: Looked) -> None:
        for offered, calls in Counter(looked.offered).items():
            self.tools_calls += calls if offered else 0
            for name, size in offered:
                self.offered[name] += calls
                self.offered_bytes[name] += calls * size
        for said in looked.said:
            if said.called:
                self.called.update(said.called)

    def _keep(self, looked: Looked) -> None:
        """Keep a sample of the calls that ended well."""
        low = np.flatnonzero(~looked.failed & (looked.keys <= np.uint64(self.sample.below - 1)))
        for row in low.tolist():
            said, key = looked.said[row], int(looked.keys[row])
            if said.answer is None or not self.sample.wants(key):
                continue
            messages = said.messages or ()
            size = len(said.answer) + sum(len(message.text) for message in messages)
            self.sample.add(key, Seen(messages, said.answer, len(said.tools)), size)

    def _count_answers(self, answers: Sequence[str]) -> None:
        if self.answers is None or not answers:
            return
        if max(map(len, answers)) > self.rules.answer_chars:
            self.answers = None
            return
        self.answers.update(answers)
        if len(self.answers) > self.rules.distinct_answers:
            self.answers = None

    def _merge_answers(self, other: Counter[str] | None) -> None:
        if self.answers is None or other is None:
            self.answers = None
            return
        self.answers.update(other)
        if len(self.answers) > self.rules.distinct_answers:
            self.answers = None


def _again(repeats: Repeats, digests: Hashes, pico: Ints) -> None:
    repeats.extend(digests, np.zeros(len(digests), bool), pico)


def enumerate_counts(values: Ints) -> list[tuple[int, int]]:
    """Return each value with how often it stands there."""
    distinct, counts = np.unique(values, return_counts=True)
    return list(zip(distinct.tolist(), counts.tolist(), strict=True))


def _pico(usd_million: Floats) -> int:
    """Return tokens times dollars a million tokens as whole 1e-12 dollars."""
    return int(np.rint(np.nan_to_num(usd_million) * (PICO // 10**6)).astype(np.int64).sum())
