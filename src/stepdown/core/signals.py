"""The signals: label-free evidence read off an answer, by name, and the kinds of task each is for.

A reader looks at one answer and returns bare names; a policy reads them as `TIER.NAME`. What costs
another call stands in `bought`. To add a signal: write a reader and name its signals in `READERS`.
It decides nothing, and it does not know whether an answer is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import Struct

from stepdown.core.request import Completion, TokenLogprob
from stepdown.core.requesting import match_label, read_answer, read_object
from stepdown.core.source_spans import share_found, texts_in
from stepdown.core.task import CHOICES as CHOICE
from stepdown.core.task import OBJECTS as FIELDS
from stepdown.core.task import TEXTS as TEXT
from stepdown.core.task import Task, TaskKind
from stepdown.core.tool_answer import NO_CALL, NoCallsError, calls_in
from stepdown.core.value_tokens import field_logprobs, label_probability

Values = Mapping[str, float | None]

CALL: tuple[TaskKind, ...] = ("tool_call",)
EVERY: tuple[TaskKind, ...] = (*CHOICE, *FIELDS, *CALL, *TEXT)

LOW, MIDDLE = 0.1, 0.5  # the quantiles of token probabilities that are read


class Signal(Struct, frozen=True, omit_defaults=True):
    """One signal by its bare name: what it says, the kinds of task it is for, what it needs.

    `unit`: it lies in 0..1 and more is surer, so it can become a confidence; the others are for
    derived signals only. `source`: who proposed it for this.
    """

    name: str
    says: str
    kinds: tuple[TaskKind, ...]
    needs: str
    source: str = ""
    unit: bool = True


class Seen(Struct, frozen=True):
    """What a reader may look at: the completion, and whose answer to which task it is."""

    completion: Completion
    task: Task | None = None
    tier: str = ""
    answer: str | None = None


class Reader(Struct, frozen=True):
    """How some signals are read; a name that cannot be read is left out."""

    read: Callable[[Seen], Values]
    signals: tuple[Signal, ...]


def _labels(seen: Seen) -> Values:
    probs = seen.completion.label_probs
    if not probs:
        return _spelled_label(seen)
    first, second = [*sorted(probs.values(), reverse=True), 0.0][:2]
    return {"label_prob": first, "margin": first - second, "certainty": _certainty(probs.values())}


def _certainty(probs: Collection[float]) -> float:
    """Return 1 less the entropy over the largest that it can be; a single label is certain."""
    if len(probs) < 2:
        return 1.0
    less = sum(p * math.log(p) for p in probs if p > 0)
    return min(1.0, max(0.0, 1 + less / math.log(len(probs))))


def _spelled_label(seen: Seen) -> Values:
    """A tier that writes its label token by token, with alternatives beside each."""
    task, tokens = seen.task, seen.completion.logprobs
    if task is None or not task.labels or not tokens:
        return {}
    label = seen.answer or read_answer(task, seen.tier, seen.completion).text
    found = None if label is None else label_probability(tokens, task.labels, label)
    return {} if found is None else {"label_prob": found}


def _fields(seen: Seen) -> Values:
    if seen.task is not None and seen.task.labels:
        return {}
    given, tokens = seen.completion.field_probs, seen.completion.logprobs
    values = _value_tokens(tokens) if tokens and "{" in seen.completion.text else {}
    if not given:
        given = {name: _probability(min(found)) for name, found in values.items() if found}
    if not given:
        return {}
    logs = [math.log(max(p, 1e-300)) for p in given.values()]
    signals = {"field_min": min(given.values()), "field_mean": _mean(logs)}
    every = sorted(logprob for found in values.values() for logprob in found)
    if every:
        signals |= {"value_mean": _mean(every), "value_q10": _probability(_quantile(every, LOW))}
    return signals


def _value_tokens(tokens: Sequence[TokenLogprob]) -> dict[str, tuple[float, ...]]:
    text = "".join([token.token for token in tokens])
    return field_logprobs(text, [(len(token.token), token.logprob) for token in tokens])


def _tokens(seen: Seen) -> Values:
    tokens = seen.completion.logprobs
    if not tokens:
        return {}
    logs = sorted(token.logprob for token in tokens)
    return {
        "token_mean": _mean(logs),
        "token_min": _probability(logs[0]),
        "token_q10": _probability(_quantile(logs, LOW)),
        "token_q50": _probability(_quantile(logs, MIDDLE)),
        "length": float(len(logs)),
    }


def _mean(logs: Sequence[float]) -> float:
    return _probability(sum(logs) / len(logs))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value with `share` of the others below it, rounded down."""
    return ordered[int(share * (len(ordered) - 1))]


def _probability(logprob: float) -> float:
    return min(1.0, math.exp(logprob))


def _familiar(seen: Seen) -> Values:
    known = seen.completion.familiarity
    return {} if known is None else {"familiarity": known}


NORMALISED = "Holtzman et al. (2021), on the mass that other spellings take"
QUANTILES = "Gupta et al. (2024), quantiles of token log-probabilities"

# In the order of preference of the pilot: of signals that it cannot tell apart the first is taken.
READERS: tuple[Reader, ...] = (
    Reader(
        _labels,
        (
            Signal("label_prob", "probability of the answer among the labels", CHOICE,
                   "label probabilities, or token log-probabilities with alternatives", NORMALISED),
            Signal("margin", "the first label's probability less the second's", CHOICE,
                   "a distribution over labels"),
            Signal("certainty", "1 less the entropy of the labels over its largest value", CHOICE,
                   "a distribution over labels"),
        ),
    ),
    Reader(
        _fields,
        (
            Signal("field_min", "probability of the least likely token of any value", FIELDS,
                   "log-probabilities"),
            Signal("field_mean", "geometric mean over the fields of their least likely token",
                   FIELDS, "log-probabilities"),
            Signal("value_q10", "probability that a tenth of the value tokens stay below", FIELDS,
                   "log-probabilities", QUANTILES),
            Signal("value_mean", "geometric mean probability of the value tokens", FIELDS,
                   "log-probabilities"),
        ),
    ),
    Reader(
        _tokens,
        (
            Signal("token_mean", "geometric mean probability of the tokens",
                   (*TEXT, *CHOICE, *CALL), "log-probabilities"),
            Signal("token_q10", "probability that a tenth of the tokens stay below",
                   (*TEXT, *CHOICE, *CALL), "log-probabilities", QUANTILES),
            Signal("token_q50", "median probability of the tokens", TEXT, "log-probabilities",
                   QUANTILES),
            Signal("token_min", "probability of the least likely token", (*TEXT, *CHOICE, *CALL),
                   "log-probabilities"),
            Signal("length", "number of generated tokens", EVERY, "log-probabilities", unit=False),
        ),
    ),
    Reader(
        _familiar,
        (
            Signal("familiarity", "how much the input resembles the rows that the head was "
                   "trained on", CHOICE, "a trained head"),
        ),
    ),
)  # fmt: skip

OF_ANSWERS: tuple[Signal, ...] = (
    Signal("span_found", "share of the extracted values that stand in the source", FIELDS, ""),
    Signal("schema_valid", "1 when the answer has the task's shape", (*CHOICE, *FIELDS, *CALL), ""),
)

SIGNALS: tuple[Signal, ...] = (
    *(signal for reader in READERS for signal in reader.signals),
    *OF_ANSWERS,
)


def signals_for(kind: TaskKind | None) -> tuple[Signal, ...]:
    """Return the signals that can become the confidence of a kind of task, the preferred first.

    None stands for a task of unknown kind: every signal in 0..1.
    """
    return tuple(s for s in SIGNALS if s.unit and (kind is None or kind in s.kinds))


def read_signals(
    completion: Completion, task: Task | None = None, tier: str = "", answer: str | None = None
) -> dict[str, float | None]:
    """Return the free evidence on one answer under bare names: see `READERS`.

    `task` and `tier` are needed for the probability of a label that was written token by token;
    `answer` is the canonical one where it was read already.
    """
    seen = Seen(completion, task, tier, answer)
    found: dict[str, float | None] = {}
    for reader in READERS:
        found.update(reader.read(seen))
    return found


def answer_signals(task: Task, source: str, answer: str) -> dict[str, float | None]:
    """Return the evidence that stands in the answer itself: its shape, its spans in the source.

    `answer` is canonical, or as it came where it cannot be used: as outcomes hold it.
    """
    if task.labels:
        return {"schema_valid": float(match_label(task.labels, answer) is not None)}
    if task.structured:
        return _object_signals(task, source, answer)
    return {"schema_valid": float(_calls(answer))} if task.kind == "tool_call" else {}


def _object_signals(task: Task, source: str, answer: str) -> dict[str, float | None]:
    if task.json_schema:
        read = read_answer(task, "", Completion(text=answer)).text
        found = None if read is None else msgspec.json.decode(read)
    else:
        found = read_object(task.fields, answer)
    if found is None:
        return {"schema_valid": 0.0}
    return {"span_found": share_found(texts_in(found), source), "schema_valid": 1.0}


def _calls(answer: str) -> bool:
    try:
        return bool(calls_in(answer)) or answer.strip() == NO_CALL
    except NoCallsError:
        return False
