"""Tell what kind of work a step does, from what its answers look like; each verdict has evidence.

It reads shapes, not meaning: a kind is a proposal for a person to confirm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from stepdown.audit.bill import KindOfWork, Work
from stepdown.audit.bounded import Hints, bounded_kind, grades_in, hints_of, label_set
from stepdown.audit.contract import json_object
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Seen, Tally
from stepdown.core.contract import Contract

# Words in a step's name that tell its kind; they decide only where shapes cannot.
NAMED: Mapping[str, Work] = {
    "classif": "classify",
    "intent": "classify",
    "sentiment": "classify",
    "route": "route",
    "routing": "route",
    "dispatch": "route",
    "judge": "judge",
    "grade": "judge",
    "extract": "extract",
    "entit": "extract",
    "draft": "draft",
    "reply": "draft",
    "respond": "draft",
    "polish": "polish",
    "rewrite": "polish",
    "rephrase": "polish",
    "summar": "summarise",
    "convert": "convert",
    "translat": "convert",
    "embed": "embed",
}
_WORD = re.compile(r"\w+")
_STRUCTURED = re.compile(r"\s*(?:[\[{<]|[^\n,;|\t]+[,;|\t][^\n]*\n)")


def kind_of(
    name: str,
    tally: Tally,
    contract: Contract | None,
    rules: Rules,
    steps: Collection[str] = (),
) -> KindOfWork:
    """Return the kind of work of a step; `steps` are the names of all steps of the log."""
    if all("embed" in model.lower() for model in tally.models):
        return KindOfWork("embed", ("its models are embedding models",), tally.calls)
    sample = tally.sample.items()
    if not sample:
        return _by_name(name, "the log holds no content", 0)
    tools = _tools(tally)
    if tools:
        return KindOfWork("tool_call", tools, tally.calls)
    hints = hints_of(name, sample, steps)
    return (
        bounded_kind(label_set(tally.answers, contract), hints, rules)
        or _structured(sample, rules, hints)
        or _prose(name, sample, tally, rules)
    )


def _tools(tally: Tally) -> tuple[str, ...]:
    if tally.with_tools * 2 < tally.calls or not tally.with_tools:
        return ()
    offered = [seen.tools for seen in tally.sample.items() if seen.tools]
    middle = f", {median(offered):.0f} at the median" if offered else ""
    return (f"{tally.with_tools:,} of {tally.calls:,} calls offer tools{middle}",)


def _structured(sample: Sequence[Seen], rules: Rules, hints: Hints) -> KindOfWork | None:
    pairs = [(seen, json_object(seen.answer)) for seen in sample]
    objects = [(seen, found) for seen, found in pairs if found is not None]
    if not objects:
        return None
    keys = Counter(tuple(sorted(found)) for _, found in objects)
    common, count = max(keys.items(), key=lambda item: (item[1], item[0]))
    if count < rules.stable_keys * len(sample) or not common:
        return None
    shape = f"JSON with the same {len(common)} keys in {count:,} of {len(sample):,} answers"
    graded = grades_in(common, hints)
    if graded is not None:
        return KindOfWork("judge", (shape, *graded, f"keys: {', '.join(common)}"), len(sample))
    copied = _copied(objects)
    told = "no value to compare" if copied is None else f"{copied:.0%} of its texts are copied"
    structured = sum(bool(_STRUCTURED.match(seen.user)) for seen in sample)
    from_structure = structured >= rules.stable_keys * len(sample)
    kind: Work = "convert" if from_structure else "extract"
    source = "the input is structured too" if from_structure else f"{told} from the input"
    return KindOfWork(kind, (shape, source, f"keys: {', '.join(common)}"), len(sample))


def _copied(objects: Iterable[tuple[Seen, Mapping[str, Any]]]) -> float | None:
    told = [
        value.casefold() in seen.user.casefold()
        for seen, found in objects
        for value in found.values()
        if isinstance(value, str) and value
    ]
    return sum(told) / len(told) if told else None


def _prose(name: str, sample: Sequence[Seen], tally: Tally, rules: Rules) -> KindOfWork:
    ratio = median(len(seen.answer) / max(len(seen.user), 1) for seen in sample)
    shared = median(_shared_words(seen) for seen in sample)
    length = median(len(seen.user) for seen in sample)
    long = tally.output_length.at(0.95)
    evidence: tuple[str, ...] = (
        f"free text, {ratio:.2f} times as long as the input",
        f"{shared:.0%} of its words are the input's",
        "output length unknown" if long is None else f"p95 {long:.0f} output tokens",
    )
    kind = _prose_kind(name, ratio, shared, length, rules)
    reads = tally.input_length.at(0.5) or 0
    if reads > rules.long_context_tokens:
        kind = "long-context"
        evidence = (*evidence, f"{reads:,.0f} input tokens at the median")
    turns = median(sum(m.role == "assistant" for m in seen.messages) for seen in sample)
    if turns or (long or 0) > rules.long_prose_tokens:
        kind = "open-ended"
        told = f"{turns:.0f} earlier answers in the request" if turns else "long answers"
        evidence = (*evidence, told)
    return KindOfWork(kind, evidence, len(sample))


def _prose_kind(name: str, ratio: float, shared: float, length: float, rules: Rules) -> Work:
    named = _named(name)
    if named in ("draft", "polish", "summarise", "convert"):
        return named
    if ratio < rules.shortened and length >= rules.summary_input_chars:
        return "summarise"
    return "polish" if shared >= rules.rewritten and 0.5 <= ratio <= 2 else "draft"


def _shared_words(seen: Seen) -> float:
    answer = Counter(_WORD.findall(seen.answer.casefold()))
    asked = Counter(_WORD.findall(seen.user.casefold()))
    return (answer & asked).total() / max(answer.total(), 1)


def _named(name: str) -> Work | None:
    low = name.lower()
    return next((kind for part, kind in NAMED.items() if part in low), None)


def _by_name(name: str, why: str, n: int) -> KindOfWork:
    named = _named(name)
    if named is None:
        return KindOfWork("unknown", (why,), n)
    return KindOfWork(named, (why, f"its name, {name!r}, says so"), n)
