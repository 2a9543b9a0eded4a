"""One batch of calls as the columns that are summed: money, names, digests of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np

from stepdown.audit.looking import Estimate, estimated
from stepdown.audit.pricing import Priced, Pricer
from stepdown.audit.sketch import Hashes, hashes64
from stepdown.audit.tally import TOKENS, Bools, Part
from stepdown.core.call_columns import Batch, Words
from stepdown.core.usage_log import Content

UNNAMED = "unnamed"
_NUMBERS = (*TOKENS, "latency_s", "max_tokens", "tools", "tools_bytes", "retries", "at_s")
Contents = Sequence[Content | None]


def part_of(batch: Batch, contents: Contents, pricer: Pricer, estimate: Estimate | None) -> Part:
    """Return a batch as one part; tokens that the log does not tell are estimated."""
    numbers = {name: batch.numbers(name) for name in _NUMBERS}
    guessed = np.nan_to_num(batch.numbers("estimated")) > 0
    if estimate is not None:
        _estimate(numbers, guessed, contents, estimate)
    priced: Priced = pricer.price(batch, numbers)
    return Part(
        numbers=numbers,
        estimated=guessed,
        failed=_failed(batch),
        pico=priced.pico,
        who=priced.who,
        rates=priced.rates,
        models=list(batch.words("model")),
        sessions=_sessions(batch),
        rules=_rules(batch),
        finish=list(batch.words("finish")),
    )


def rows_of(part: Part, rows: Sequence[int]) -> Part:
    """Return some rows of a part."""
    if len(rows) == len(part.pico):
        return part
    at = np.asarray(rows, dtype=np.intp)
    return Part(
        numbers={name: values[at] for name, values in part.numbers.items()},
        estimated=part.estimated[at],
        failed=part.failed[at],
        pico=part.pico[at],
        who=part.who[at],
        rates={name: values[at] for name, values in part.rates.items()},
        models=[part.models[row] for row in rows],
        sessions=part.sessions[at],
        rules=[part.rules[row] for row in rows],
        finish=[part.finish[row] for row in rows],
    )


def contents_of(batch: Batch, rows: Sequence[int]) -> list[Content | None]:
    """Return what was said in some rows, None elsewhere."""
    found: list[Content | None] = [None] * len(batch)
    if batch.raws is None or batch.unpack is None:
        return found
    for row in rows:
        found[row] = batch.content(row)
    return found


def _rules(batch: Batch) -> list[str]:
    told = zip(batch.words("step"), batch.words("step_rule"), strict=True)
    return [UNNAMED if name is None else rule or "column step" for name, rule in told]


def _estimate(
    numbers: dict[str, Any], guessed: Bools, contents: Contents, estimate: Estimate
) -> None:
    read, wrote = numbers["input_tokens"], numbers["output_tokens"]
    bare = np.flatnonzero(np.isnan(read) | np.isnan(wrote)).tolist()
    rows = [row for row in bare if contents[row] is not None]
    if not rows:
        return
    read, wrote = read.copy(), wrote.copy()
    for row in rows:
        said = contents[row] or Content()
        before = (_told(read[row]), _told(wrote[row]))
        after = estimated(said, *before, estimate)
        read[row], wrote[row] = (np.nan if v is None else v for v in after)
        guessed[row] = guessed[row] or after != before
    numbers["input_tokens"], numbers["output_tokens"] = read, wrote


def _sessions(batch: Batch) -> Hashes:
    """Return the digest of each call's session, else of its trace; 0: it names none."""
    if "session" not in batch.columns and "trace" not in batch.columns:
        return np.zeros(len(batch), dtype=np.uint64)
    pairs = zip(batch.texts("session"), batch.texts("trace"), strict=True)
    told = Words.of([session or trace or None for session, trace in pairs])
    digests = np.append(np.maximum(hashes64(told.names), np.uint64(1)), np.uint64(0))
    return digests[told.codes]  # -1, unknown, is the last


def _failed(batch: Batch) -> Bools:
    status = batch.words("status")
    good = [code for code, name in enumerate(status.names) if name == "ok"]
    return (status.codes >= 0) & ~np.isin(status.codes, good)


def _told(value: float) -> float | None:
    return None if isnan(value) else float(value)
