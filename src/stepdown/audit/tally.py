"""Running sums of one step: bounded in size, and the same whatever the order of the calls.

Money is added in whole 1e-12 dollars, because the sum of floats depends on their order.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from stepdown.audit.bill import Cost, Counted
from stepdown.audit.rules import Rules
from stepdown.audit.sketch import Distinct, Quantiles, Sample, hash64
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall

PICO = 10**12


class Spent(Struct, frozen=True):
    """The cost of one call and who says so."""

    usd: float | None
    basis: str = "unknown"
    source: str = ""


class Seen(Struct, frozen=True):
    """The content of one call, as the inference of kind and contract reads it."""

    messages: tuple[Message, ...]
    answer: str
    tools: int = 0

    @property
    def user(self) -> str:
        """The last message's text."""
        return self.messages[-1].text if self.messages else ""


class Tokens:
    """A sum of token counts, with the calls that told none."""

    def __init__(self) -> None:
        self.total = self.known = self.unknown = self.estimated = 0

    def add(self, count: int | None, *, estimated: bool) -> None:
        """Add one call's count."""
        if count is None:
            self.unknown += 1
            return
        self.total += count
        self.known += 1
        self.estimated += estimated

    def merge(self, other: Tokens) -> None:
        """Add the other's sums."""
        self.total += other.total
        self.known += other.known
        self.unknown += other.unknown
        self.estimated += other.estimated

    def counted(self) -> Counted:
        """Return the sum as a value."""
        total = self.total if self.known else None
        return Counted(total, self.known, self.unknown, self.estimated)


class Tally:
    """Sums over the calls of one step."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.calls = self.errors = self.tools = self.with_content = self.with_session = 0
        self.pico = self.cost_unknown = 0
        self.by_basis: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.named_by: Counter[str] = Counter()
        self.input, self.output, self.cached = Tokens(), Tokens(), Tokens()
        self.sessions = Distinct()
        self.latency, self.input_length, self.output_length = Quantiles(), Quantiles(), Quantiles()
        self.sample: Sample[Seen] = Sample(rules.sample)
        self.answers: Counter[str] | None = Counter()
        self.templates: list[str] = []

    def count(self, *, model: str | None, session: str | None, status: str, rule: str) -> None:
        """Count a call and what it is called by."""
        self.calls += 1
        self.errors += status != "ok"
        self.models[model or "unknown"] += 1
        self.named_by[rule] += 1
        if session is not None:
            self.with_session += 1
            self.sessions.add(session)

    def spend(self, usage: Usage, spent: Spent, latency_s: float | None) -> None:
        """Add a call's tokens, cost and time."""
        self.input.add(usage.input_tokens, estimated=usage.estimated)
        self.output.add(usage.output_tokens, estimated=usage.estimated)
        self.cached.add(usage.cached_tokens, estimated=False)
        if usage.input_tokens is not None:
            self.input_length.add(usage.input_tokens)
        if usage.output_tokens is not None:
            self.output_length.add(usage.output_tokens)
        if latency_s is not None:
            self.latency.add(latency_s)
        self._cost(spent)

    def look(self, call: LoggedCall) -> None:
        """Look at a call's content; the answer of a failed call is no evidence."""
        self.tools += call.tools > 0
        if not call.messages or call.answer is None:
            return
        self.with_content += 1
        if call.status != "ok":
            return
        self._count_answer(call.answer)
        key = hash64(f"{call.id}\0{call.answer}")
        if self.sample.wants(key):
            self.sample.add(key, Seen(call.messages, call.answer, call.tools))

    def merge(self, other: Tally) -> None:
        """Add the other step's sums to this one's."""
        for name in (
            "calls",
            "errors",
            "tools",
            "with_content",
            "with_session",
            "pico",
            "cost_unknown",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("by_basis", "sources", "models", "named_by"):
            getattr(self, name).update(getattr(other, name))
        for name in ("input", "output", "cached", "sessions", "sample"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("latency", "input_length", "output_length"):
            getattr(self, name).merge(getattr(other, name))
        self._merge_answers(other.answers)

    def cost(self) -> Cost:
        """Return the money as a value."""
        usd = self.pico / PICO if self.by_basis else None
        by_basis = dict(sorted(self.by_basis.items()))
        return Cost(usd, by_basis, self.cost_unknown, tuple(sorted(self.sources)))

    def _cost(self, spent: Spent) -> None:
        if spent.usd is None:
            self.cost_unknown += 1
            return
        self.pico += round(spent.usd * PICO)
        self.by_basis[spent.basis] += 1
        if spent.source:
            self.sources[spent.source] += 1

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
