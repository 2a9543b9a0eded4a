"""Tell what kind of work a step does, from what its answers look like; each verdict has evidence.

It reads shapes, not meaning: a kind is a proposal for a person to confirm.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from msgspec import Struct

from stepdown.audit.bill import KindOfWork, Work
from stepdown.audit.contract import json_object, labels_of
from stepdown.audit.rules import Rules
from stepdown.audit.tally import Seen, Tally
from stepdown.core.contract import Contract

# Words in a step's name that tell its kind; they decide only where shapes cannot.
NAMED: Mapping[str, Work] = {
    "classif": "classify",
    "intent": "classify",
    "sentiment": "classify",
    "route": "classify",
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


class LabelSet(Struct, frozen=True):
    """How an answer set looks: `unseen` is the chance of an answer never seen before."""

    labels: tuple[str, ...]
    n: int
    unseen: float
    entropy_bits: float
    longest_words: int


def kind_of(name: str, tally: Tally, contract: Contract | None, rules: Rules) -> KindOfWork:
    """Return the kind of work of a step."""
    if all("embed" in model.lower() for model in tally.models):
        return KindOfWork("embed", ("its models are embedding models",), tally.calls)
    sample = tally.sample.items()
    if not sample:
        return _by_name(name, "the log holds no content", 0)
    tools = _tools(tally)
    if tools:
        return KindOfWork("tool_call", tools, tally.calls)
    return (
        _classify(label_set(tally.answers, contract), rules)
        or _structured(sample, rules)
        or _prose(name, sample, tally, rules)
    )


def label_set(answers: Counter[str] | None, contract: Contract | None) -> LabelSet | None:
    """Return what the counted answers tell about a label set, None when they are too many.

    Source: Good, "The population frequencies of species", Biometrika 40 (1953): the chance that
    the next answer is new is about the number of answers seen once over the number seen.
    """
    counts = labels_of(answers, contract)
    if not counts:
        return None
    n = counts.total()
    once = sum(count == 1 for count in counts.values())
    entropy = -sum(count / n * math.log2(count / n) for count in counts.values())
    longest = max(len(label.split()) for label in counts)
    return LabelSet(tuple(counts), n, once / n, entropy + 0.0, longest)


def _tools(tally: Tally) -> tuple[str, ...]:
    if tally.with_tools * 2 < tally.calls or not tally.with_tools:
        return ()
    offered = [seen.tools for seen in tally.sample.items() if seen.tools]
    middle = f", {median(offered):.0f} at the median" if offered else ""
    return (f"{tally.with_tools:,} of {tally.calls:,} calls offer tools{middle}",)


def _classify(found: LabelSet | None, rules: Rules) -> KindOfWork | None:
    if found is None or len(found.labels) > rules.most_labels:
        return None
    if found.unseen > rules.unseen or found.longest_words > rules.label_words:
        return None
    if any(_is_compound(label) for label in found.labels):
        return None
    evidence = (
        f"{len(found.labels)} different answers in {found.n:,}",
        f"chance of a new one {found.unseen:.1%} (Good-Turing)",
        f"entropy {found.entropy_bits:.1f} bits",
    )
    return KindOfWork("classify", evidence, found.n)


def _is_compound(label: str) -> bool:
    """Tell whether an answer is an object of several fields, which is no label."""
    return len(json_object(label) or ()) > 1


def _structured(sample: Sequence[Seen], rules: Rules) -> KindOfWork | None:
    pairs = [(seen, json_object(seen.answer)) for seen in sample]
    objects = [(seen, found) for seen, found in pairs if found is not None]
    if not objects:
        return None
    keys = Counter(tuple(sorted(found)) for _, found in objects)
    common, count = max(keys.items(), key=lambda item: (item[1], item[0]))
    if count < rules.stable_keys * len(sample) or not common:
        return None
    copied = _copied(objects)
    shape = f"JSON with the same {len(common)} keys in {count:,} of {len(sample):,} answers"
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
    turns = median(sum(m.role == "assistant" for m in seen.messages) for seen in sample)
    if turns or (long or 0) > rules.long_prose_tokens:
        kind = "open-ended"
        evidence = (*evidence, f"{turns:.0f} earlier answers in the request")
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
