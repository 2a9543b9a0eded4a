"""Say whether a step could step down, why, and between which ends the saving lies.

Nothing here proves anything: `eval` and `certify` do. It says where they are worth running.
"""

from __future__ import annotations

from collections.abc import Mapping

from stepdown.audit.bill import Advice, Cost, KindOfWork, Saving, Verdict, Work
from stepdown.audit.kind import LabelSet
from stepdown.audit.rules import Rules, TierClass
from stepdown.audit.tally import Tally

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


def advise(kind: KindOfWork, tally: Tally, found: LabelSet | None, rules: Rules) -> Advice:
    """Return the advice on one step."""
    verdict, tier, why = _judged(kind, tally, found, rules)
    return Advice(verdict, why, tier, saving_of(tally.cost(), tally.calls, tier, rules))


def saving_of(cost: Cost, calls: int, tier: TierClass, rules: Rules) -> Saving | None:
    """Return the range of what a class of tier might save over the logged period.

    The attempt of the smaller tier is paid on every call; calls that it does not keep cost what
    they cost today on top. None: the step stays, or its cost is unknown.
    """
    assumed = rules.assumptions.get(tier)
    if assumed is None or cost.usd is None:
        return None
    attempts = calls * (assumed.usd_per_call or 0.0)
    paid = (
        "before what the smaller tier costs"
        if assumed.usd_per_call is None
        else f"each attempt costs ${assumed.usd_per_call:.2g} ({assumed.source})"
    )
    return Saving(
        low_usd=max(0.0, assumed.kept_low * cost.usd - attempts),
        high_usd=max(0.0, assumed.kept_high * cost.usd - attempts),
        low_assumes=f"{assumed.kept_low:.0%} of calls are kept by it; {paid}",
        high_assumes=f"{assumed.kept_high:.0%} of calls are kept by it; {paid}",
    )


def _judged(
    kind: KindOfWork, tally: Tally, found: LabelSet | None, rules: Rules
) -> tuple[Verdict, TierClass, str]:
    verdict, tier, why = _BY_KIND[kind.kind]
    if found is not None and len(found.labels) == 1:
        tier, why = "rule", "every answer is the same: no model is needed"
    tools = _most_tools(tally)
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


def _most_tools(tally: Tally) -> int:
    return max((seen.tools for seen in tally.sample.items()), default=0)
