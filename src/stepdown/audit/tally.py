"""Running sums of one step: bounded in size, and the same whatever the order of the calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.audit.bill import Cost, Counted
from stepdown.audit.pricing import PICO
from stepdown.audit.repeats import Repeats
from stepdown.audit.rules import Rules
from stepdown.audit.sketch import Distinct, Quantiles, Sample, hash64
from stepdown.core.request import Message

Floats = NDArray[np.float64]
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
    """The columns of one step's calls in a batch, as arrays of one length."""

    numbers: dict[str, Floats]
    estimated: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    pico: NDArray[np.int64]
    who: NDArray[np.int64]
    rates: dict[str, Floats]
    models: Sequence[str | None]
    sessions: Sequence[str | None]
    rules: Sequence[str]
    finish: Sequence[str | None]


class Looked(Struct, frozen=True):
    """What the content of one call tells: digests, the answer, names of tools."""

    request: int
    system: int | None
    answer: str | None
    offered: tuple[tuple[str, int], ...] = ()
    called: tuple[str, ...] = ()
    key: int = 0
    seen: Seen | None = None
    failed: bool = False
    pico: int = 0
    prefix: tuple[int, int, int] | None = None  # digest, window, what a cache would have saved


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
        self.sample: Sample[Seen] = Sample(rules.sample)
        self.answers: Counter[str] | None = Counter()
        self.repeats = Repeats()
        self.minutes: Counter[int] = Counter()
        self.offered: Counter[str] = Counter()
        self.offered_bytes: Counter[str] = Counter()
        self.called: Counter[str] = Counter()
        self.prefixes: dict[tuple[int, int], tuple[int, int]] = {}  # calls, pico

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
        named = [session for session in part.sessions if session is not None]
        self.with_session += len(named)
        self.sessions.extend(named)
        self._money(part)
        self._times(numbers["at_s"])

    def look(self, looked: Looked) -> None:
        """Add what the content of one call tells; the answer of a failed call is no evidence."""
        self.repeats.add(looked.request, failed=looked.failed, pico=looked.pico)
        if looked.prefix is not None and len(self.prefixes) < self.rules.most_prefixes:
            digest, window, pico = looked.prefix
            seen, saved = self.prefixes.get((digest, window), (0, 0))
            self.prefixes[digest, window] = (seen + 1, saved + pico)
        if looked.system is not None:
            self.prompts.add_hash(looked.system)
        if looked.offered:
            self.tools_calls += 1
            for name, size in looked.offered:
                self.offered[name] += 1
                self.offered_bytes[name] += size
        self.called.update(looked.called)
        if looked.answer is None:
            return
        self.with_content += 1
        if looked.failed:
            return
        self._count_answer(looked.answer)
        if looked.seen is not None and self.sample.wants(looked.key):
            self.sample.add(looked.key, looked.seen)

    def merge(self, other: Tally) -> None:
        """Add the other step's sums to this one's."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_tools = max(self.most_tools, other.most_tools)
        for name, sums in other.tokens.items():
            self.tokens[name] = [a + b for a, b in zip(self.tokens[name], sums, strict=True)]
        for name in ("who", "models", "named_by", "minutes", "offered", "offered_bytes", "called"):
            getattr(self, name).update(getattr(other, name))
        for name in (
            "sessions", "prompts", "sample", "latency", "input_length", "output_length",
            "max_tokens", "repeats",
        ):  # fmt: skip
            getattr(self, name).merge(getattr(other, name))
        for key, (seen, pico) in other.prefixes.items():
            mine = self.prefixes.get(key, (0, 0))
            self.prefixes[key] = (mine[0] + seen, mine[1] + pico)
        self._merge_answers(other.answers)

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

    def _tokens(self, name: str, values: Floats, estimated: NDArray[np.bool_]) -> None:
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
        self.minutes.update(dict(enumerate_counts(np.floor(known / 60).astype(np.int64))))
        hours = np.floor(known / 3600) % 24
        self.night += int((hours < 5).sum())

    def _count_answer(self, answer: str) -> None:
        if self.answers is None:
            return
        if len(answer) > self.rules.answer_chars:
            self.answers = None
            return
        self.answers[answer] += 1
        if len(self.answers) > self.rules.distinct_answers:
            self.answers = None

    def _merge_answers(self, other: Counter[str] | None) -> None:
        if self.answers is None or other is None:
            self.answers = None
            return
        self.answers.update(other)
        if len(self.answers) > self.rules.distinct_answers:
            self.answers = None


def enumerate_counts(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return each value with how often it stands there."""
    distinct, counts = np.unique(values, return_counts=True)
    return list(zip(distinct.tolist(), counts.tolist(), strict=True))


def _pico(usd_million: Floats) -> int:
    """Return tokens times dollars a million tokens as whole 1e-12 dollars."""
    return int(np.rint(np.nan_to_num(usd_million) * (PICO // 10**6)).astype(np.int64).sum())


def request_hash(*parts: str) -> int:
    """Return the digest of a request."""
    return hash64("\0".join(parts))
