"""One live decision: read the signals of an answer, calibrate them, decide.

Goals: 50 us for 20 tokens, 150 us for 120 tokens, with the five best log-probabilities of each.
Both are measured at one go and in the best of several rounds, for other work on the machine only
ever adds time. Peer in the same run: the mean of the log-probabilities by numpy, and one
comparison, which is the least that a threshold on them needs.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from stepdown.core.confidence import Calibrator, read_signals
from stepdown.core.derived import Derived, Lead, Linear
from stepdown.core.policy import cascade, confidence_of
from stepdown.core.request import Completion, TokenLogprob
from stepdown.core.task import Task
from stepdown.core.walk import Walk

GOALS_US = {20: 50.0, 120: 150.0}
ROUNDS, REPEATS = 25, 100
TOP = 5


LABELS = ("refund", "where is my order", "cancel the order", "change of address")
TASKS: dict[str, Task] = {
    "draft": Task(name="draft", kind="draft", tiers=("small", "frontier")),
    "extract": Task(
        name="extract", kind="extract", tiers=("small", "frontier"), fields=("name", "order")
    ),
    "classify": Task(name="classify", kind="classify", tiers=("small", "frontier"), labels=LABELS),
}


def pieces(kind: str, tokens: int) -> list[str]:
    """Return the tokens of an answer of a kind of task; a label is padded with white space."""
    if kind == "draft":
        return [f"word{i} " for i in range(tokens)]
    if kind == "classify":
        return ["where", " is", " my", " order", *[" "] * (tokens - 4)]
    half = (tokens - 4) // 2
    ends = ['{"name": "', '", "order": "', '"}']
    return [ends[0], *["Ann "] * half, ends[1], *["42 "] * (tokens - half - 3), ends[2]]


def answer(kind: str, tokens: int, seed: int = 1) -> Completion:
    """Return an answer of so many tokens, each with its five best."""
    chance = random.Random(seed)
    said = []
    for place, token in enumerate(pieces(kind, tokens)):
        best = chance.uniform(0.5, 1.0)
        rest = [(1 - best) / 2**k for k in range(1, TOP)]
        others = [(f" other{place}.{k}", math.log(p)) for k, p in enumerate(rest)]
        said.append(TokenLogprob(token, math.log(best), ((token, math.log(best)), *others)))
    return Completion(text="".join(t.token for t in said), logprobs=tuple(said))


POLICY = cascade(("small", "frontier"), (0.8,))
MAP = Calibrator("token_mean", "platt", 1.3, -0.2)
DERIVED: dict[str, Derived] = {
    "value.small": Linear(("small.confidence", "triage.small"), (2.0, 1.0), (0.5, 0.5), -1.0),
    "lead": Lead("value.small", ("triage.frontier",), (0.0, 0.1)),
}


def decided(done: Completion, task: Task) -> object:
    """Do what the cascade does between an answer and the next step."""
    walk = Walk(POLICY, {"draw": 0.5, "triage.small": 0.4, "triage.frontier": 0.9}, DERIVED)
    walk.next()
    signals = read_signals(done, task, "small")
    named = {f"small.{name}": value for name, value in signals.items()}
    named[confidence_of("small")] = MAP.apply(signals)
    walk.answered("small", named, None, "key")
    return walk.next()


def least(done: Completion, _task: Task) -> bool:
    """Return whether the mean log-probability passes a threshold."""
    return bool(np.mean([token.logprob for token in done.logprobs or ()]) > -0.2)


def us(call: Callable[[Completion, Task], object], kind: str, tokens: int) -> dict[str, float]:
    done, task = answer(kind, tokens), TASKS[kind]
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(REPEATS):
            call(done, task)
        found.append((time.perf_counter() - start) / REPEATS * 1e6)
    return {"median_us": statistics.median(found), "least_us": min(found)}


def main() -> None:
    rows = [
        {"kind": kind, "tokens": n, "decision": us(decided, kind, n), "peer": us(least, kind, n)}
        for n in GOALS_US
        for kind in TASKS
    ]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    for row in rows:
        report(row)


def report(row: dict[str, Any]) -> None:
    mine, goal = row["decision"], GOALS_US[row["tokens"]]
    print(
        f"{row['kind']:<9}{row['tokens']:>4} tokens x top {TOP}: least {mine['least_us']:.1f} us "
        f"({mine['least_us'] / goal:.0%} of {goal:.0f} us), median {mine['median_us']:.1f} us; "
        f"peer: least {row['peer']['least_us']:.1f} us"
    )


if __name__ == "__main__":
    main()
