"""Say whether a step could step down, why, and between which ends the saving lies.

Nothing here proves anything: `eval` and `certify` do. It says where they are worth running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from stepdown.audit.bill import Advice, Cost, KindOfWork, Proof, Saving, Verdict, Work
from stepdown.audit.bounded import LabelSet
from stepdown.audit.pricing import PICO
from stepdown.audit.proof import proof_of
from stepdown.audit.rules import Assumption, Rules, TierClass
from stepdown.audit.stakes import Stakes
from stepdown.audit.tail import Tail
from stepdown.audit.tally import Tally
from stepdown.ports.price_book import Rate

FindRate = Callable[[str], Rate | None]

PROSE: tuple[Work, ...] = ("draft", "polish", "summarise")
_BY_KIND: Mapping[Work, tuple[Verdict, TierClass, str]] = {
    "classify": ("yes", "expert", "a bounded set of answers: an expert can learn it"),
    "route": ("yes", "expert", "a bounded set of ways on: an expert can learn it"),
    "judge": ("maybe", "small", "grades of other answers: it must agree with people first"),
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
    "long-context": ("no", "stay", "long context: small models read less of it well"),
    "unknown": ("maybe", "stay", "cannot be told without the content of its calls"),
}


class Facts(Struct, frozen=True):
    """What is known of a step beside its sums; `months` is how long the log is."""

    kind: KindOfWork
    labels: LabelSet | None
    cost: Cost
    stakes: Stakes
    tail: Tail | None
    months: float


def advise(facts: Facts, tally: Tally, rules: Rules, find: FindRate) -> Advice:
    """Return the advice on one step."""
    verdict, tier, why = _judged(facts, tally, rules)
    assumed = rules.assumptions.get(tier)
    if assumed is None or facts.cost.usd is None:
        return Advice(verdict, why, tier)
    attempts = _attempts(assumed, tally, find)
    each = None if attempts.usd is None else attempts.usd / max(tally.calls, 1)
    kept = (assumed.kept_low, assumed.kept_high)
    judge = judge_usd(tally, rules, find)
    proof = proof_of(facts.kind.kind, kept, each, judge, rules)
    return Advice(verdict, why, tier, _saving(facts, tally, assumed, attempts, proof), proof)


def _saving(
    facts: Facts, tally: Tally, assumed: Assumption, attempts: Attempts, proof: Proof
) -> Saving:
    """Return the range of what a class of tier might save over the logged period.

    The attempt of the smaller tier is paid on every call; calls that it does not keep cost what
    they cost today on top, and on the low end lose the discount of today's cache. Hosting and one
    eval a month (the smaller tier's calls, and a judge's) are taken off.
    """
    usd = facts.cost.usd or 0.0
    lost = (1 - assumed.kept_low) * tally.uncached_pico / PICO
    hosting = assumed.host_usd_month * facts.months
    dear, cheap = (
        (each or 0.0) * facts.months for each in (proof.eval_high_usd, proof.eval_low_usd)
    )
    low = assumed.kept_low * usd - attempts.most - lost - hosting - dear
    high = assumed.kept_high * usd - attempts.least - cheap
    fixed = hosting + (dear + cheap) / 2
    middle = (attempts.least + attempts.most) / 2
    return Saving(
        low_usd=max(0.0, low),
        high_usd=max(0.0, high),
        low_assumes=_assumes(
            assumed.kept_low, attempts, _lost(assumed, hosting, lost), facts, proof
        ),
        high_assumes=_assumes(assumed.kept_high, attempts, "", facts, proof),
        break_even=max(0.0, 1 - (middle + fixed) / usd) if usd else None,
    )


def _assumes(kept: float, attempts: Attempts, also: str, facts: Facts, proof: Proof) -> str:
    return f"{kept:.0%} of calls are kept by it; {attempts.said}{also}{_checked(facts, proof)}"


def _checked(facts: Facts, proof: Proof) -> str:
    if not facts.months:
        return ", before hosting and evals (the log tells no period)"
    if proof.eval_low_usd is None and proof.eval_high_usd is None:
        return ", before what evals cost (unknown)"
    return ", less an eval a month" + (" with a judge" if proof.judged else "")


def _lost(assumed: Assumption, hosting: float, lost: float) -> str:
    also = f", hosting ${assumed.host_usd_month:.0f} a month" if hosting else ""
    return also + (", and today's cache is lost for the others (they come seldom)" if lost else "")


class Attempts(Struct, frozen=True):
    """What the attempts of a smaller tier cost at least and at most, and in words why.

    `usd` is the middle, None where nobody lists a price.
    """

    least: float
    most: float
    said: str
    usd: float | None


def judge_usd(tally: Tally, rules: Rules, find: FindRate) -> float | None:
    """Return what judging one answer by today's main model costs, None where it has no price."""
    model = min(tally.models, key=lambda name: (-tally.models[name], name), default=None)
    rate = None if model is None else find(model)
    read, wrote = (_mean(tally, name) for name in ("input_tokens", "output_tokens"))
    if rate is None or read is None or wrote is None:
        return None
    asked = read + wrote + rules.judge_prompt_tokens
    return (asked * rate.input + rules.judge_output_tokens * rate.output) / 1e6


def _mean(tally: Tally, name: str) -> float | None:
    total, known, *_ = tally.tokens[name]
    return total / known if known else None


def _attempts(assumed: Assumption, tally: Tally, find: FindRate) -> Attempts:
    if assumed.usd_per_call is not None:
        usd = tally.calls * assumed.usd_per_call
        said = f"an attempt costs ${assumed.usd_per_call:.2g} ({assumed.source})"
        return Attempts(usd, usd, said, usd)
    rate = None if assumed.model is None else find(assumed.model)
    read, wrote = tally.tokens["input_tokens"][0], tally.tokens["output_tokens"][0]
    if rate is None:
        return Attempts(0.0, 0.0, "before what the smaller tier costs", None)
    usd = (read * rate.input + wrote * rate.output) / 1e6
    low, high = assumed.tokens_low, assumed.tokens_high
    said = f"an attempt costs as {assumed.model} lists, for {low:g} to {high:g} of today's tokens"
    return Attempts(usd * low, usd * high, said, usd * (low + high) / 2)


def _judged(facts: Facts, tally: Tally, rules: Rules) -> tuple[Verdict, TierClass, str]:
    kind = facts.kind
    verdict, tier, why = _BY_KIND[kind.kind]
    if facts.labels is not None and len(facts.labels.labels) == 1:
        tier, why = "rule", "every answer is the same: no model is needed"
    tools = tally.most_tools
    if kind.kind == "tool_call" and tools > rules.many_tools:
        return "no", "stay", f"many tools ({tools}; limit {rules.many_tools})"
    if facts.stakes.high is not None:
        return (
            "no",
            "stay",
            f"much hangs on it ({facts.stakes.high}): certify it by error costs first",
        )
    doubts = [] if tier == "stay" else list(_doubts(facts, tally, rules))
    return (
        (verdict, tier, why) if not doubts else ("maybe", tier, f"{why}; but {', '.join(doubts)}")
    )


def _doubts(facts: Facts, tally: Tally, rules: Rules) -> Iterator[str]:
    context = tally.input_length.at(0.95) or 0
    if context > rules.long_context_tokens:
        yield f"long inputs (p95 {context:,.0f} tokens)"
    if facts.kind.kind in PROSE and facts.stakes.customer_facing is not None:
        yield f"customers read it ({facts.stakes.customer_facing})"
    if facts.tail is not None and facts.tail.is_long(rules):
        yield f"a long tail of unusual inputs ({'; '.join(facts.tail.evidence)})"
    if facts.kind.n == 0:
        yield "by its name only, the log holds no content"
    elif tally.calls < rules.enough_calls:
        yield f"only {tally.calls} calls were seen"
