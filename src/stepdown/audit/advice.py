"""Say whether a step could step down, why, and between which ends the saving lies.

Nothing here proves anything: `eval` and `certify` do. It says where they are worth running.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stepdown.audit.bill import Advice, Cost, KindOfWork, Saving, Verdict, Work
from stepdown.audit.kind import LabelSet
from stepdown.audit.pricing import PICO
from stepdown.audit.rules import Assumption, Rules, TierClass
from stepdown.audit.tally import Tally
from stepdown.ports.price_book import Rate

FindRate = Callable[[str], Rate | None]

_BY_KIND: Mapping[Work, tuple[Verdict, TierClass, str]] = {
    "classify": ("yes", "expert", "a bounded set of answers: an expert can learn it"),
    "extract": ("yes", "small", "the same fields each time, copied from the input"),
    "convert": ("maybe", "small", "one structure to another: check it with a schema"),
    "summarise": ("maybe", "small", "short prose from a long input: needs an eval with a judge"),
    "polish": ("maybe", "small", "it keeps most of its input: needs an eval with a judge"),
    "draft": (
        "maybe",
        "small",
        "prose that somebody reads: needs an eval, keep a polish by today's",
    ),
    "embed": ("maybe", "expert", "a local encoder can do it, but the whole index must be rebuilt"),
    "tool_call": ("maybe", "small", "few tools: check the calls against their schemas"),
    "open-ended": ("no", "stay", "open-ended: there is no set of answers to test against"),
    "unknown": ("maybe", "stay", "cannot be told without the content of its calls"),
}


def advise(
    kind: KindOfWork,
    tally: Tally,
    found: LabelSet | None,
    cost: Cost,
    rules: Rules,
    find: FindRate,
    months: float,
) -> Advice:
    """Return the advice on one step; `months` is how long the log is."""
    verdict, tier, why = _judged(kind, tally, found, rules)
    return Advice(verdict, why, tier, saving_of(cost, tally, tier, rules, find, months))


def saving_of(
    cost: Cost, tally: Tally, tier: TierClass, rules: Rules, find: FindRate, months: float
) -> Saving | None:
    """Return the range of what a class of tier might save over the logged period.

    The attempt of the smaller tier is paid on every call; calls that it does not keep cost what
    they cost today on top, and on the low end lose the discount of today's cache. None: the step
    stays, or its cost is unknown.
    """
    assumed = rules.assumptions.get(tier)
    if assumed is None or cost.usd is None:
        return None
    least, most, paid = _attempts(assumed, tally, find)
    lost = (1 - assumed.kept_low) * tally.uncached_pico / PICO
    hosting = assumed.host_usd_month * months
    low = assumed.kept_low * cost.usd - most - lost - hosting
    high = assumed.kept_high * cost.usd - least
    middle = (least + most) / 2
    also = f", hosting ${assumed.host_usd_month:.0f} a month" if hosting else ""
    also += ", and the cache of the others is lost" if lost else ""
    return Saving(
        low_usd=max(0.0, low),
        high_usd=max(0.0, high),
        low_assumes=f"{assumed.kept_low:.0%} of calls are kept by it; {paid}{also}",
        high_assumes=f"{assumed.kept_high:.0%} of calls are kept by it; {paid}",
        break_even=max(0.0, 1 - (middle + hosting) / cost.usd) if cost.usd else None,
    )


def _attempts(assumed: Assumption, tally: Tally, find: FindRate) -> tuple[float, float, str]:
    """Return what the attempts cost at least and at most, and in words why."""
    if assumed.usd_per_call is not None:
        usd = tally.calls * assumed.usd_per_call
        return usd, usd, f"an attempt costs ${assumed.usd_per_call:.2g} ({assumed.source})"
    rate = None if assumed.model is None else find(assumed.model)
    read, wrote = tally.tokens["input_tokens"][0], tally.tokens["output_tokens"][0]
    if rate is None:
        return 0.0, 0.0, "before what the smaller tier costs"
    usd = (read * rate.input + wrote * rate.output) / 1e6
    low, high = assumed.tokens_low, assumed.tokens_high
    said = f"an attempt costs as {assumed.model} lists, for {low:g} to {high:g} of today's tokens"
    return usd * low, usd * high, said


def _judged(
    kind: KindOfWork, tally: Tally, found: LabelSet | None, rules: Rules
) -> tuple[Verdict, TierClass, str]:
    verdict, tier, why = _BY_KIND[kind.kind]
    if found is not None and len(found.labels) == 1:
        tier, why = "rule", "every answer is the same: no model is needed"
    tools = tally.most_tools
    if kind.kind == "tool_call" and tools > rules.many_tools:
        return "no", "stay", f"many tools ({tools}; limit {rules.many_tools})"
    doubt = None if tier == "stay" else _doubt(kind, tally, rules)
    return (verdict, tier, why) if doubt is None else ("maybe", tier, f"{why}; but {doubt}")


def _doubt(kind: KindOfWork, tally: Tally, rules: Rules) -> str | None:
    context = tally.input_length.at(0.95) or 0
    if context > rules.long_context_tokens:
        return f"long inputs (p95 {context:,.0f} tokens)"
    if kind.n == 0:
        return "by its name only, the log holds no content"
    if tally.calls < rules.enough_calls:
        return f"only {tally.calls} calls were seen"
    return None
