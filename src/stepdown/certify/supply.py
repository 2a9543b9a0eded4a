"""Make the signals that a policy reads and a table does not hold: from ids, prompts and answers.

Draws, the length of prompts, the shape of answers and what triage foretells are made only where a
policy asks for them, because they cost more than a replay. Serving makes the same ones live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.states import with_size
from stepdown.certify.triage import Triage, crossfit, shapes_of
from stepdown.certify.verifier import SHAPE, with_shapes
from stepdown.core.derived import SIZE, TRIAGE, Derived, raw_inputs
from stepdown.core.digest import draw
from stepdown.core.policy import Policy
from stepdown.core.replay_array import Panel
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder

Floats = NDArray[np.float64]
DRAW = "draw"
FEWEST_TRIAGED = 40  # rows under which nothing is foretold: segments and folds need some
LONGEST = 20_000  # characters of a prompt that are embedded


class Sources(Struct, frozen=True):
    """Where signals come from that no table holds; `seed` draws the mixes."""

    seed: int
    triage: Triage | None = None
    encoder: Encoder | None = None


def raw_signals(policies: Iterable[tuple[Policy, Mapping[str, Derived]]]) -> frozenset[str]:
    """Return every signal that some policies rest on, none of them derived."""
    return frozenset(
        raw
        for policy, derived in policies
        for name in policy.signals
        for raw in raw_inputs(name, derived)
    )


def supplied(table: Panel, wanted: Iterable[str], sources: Sources) -> Panel:
    """Return the table with those of the signals `wanted` that can be made and are not there."""
    missing = [name for name in wanted if name not in table.signals]
    if DRAW in missing:
        table = table.with_signal(DRAW, _draws(table, sources.seed))
    if SIZE in missing:
        table = with_size(table)
    for tier in sorted(_shaped(missing) & set(table.texts)):
        table = with_shapes(table, tier)
    if sources.triage is not None and any(name.startswith(f"{TRIAGE}.") for name in missing):
        table = _foretold(table, sources, sources.triage)
    return table


def _draws(table: Panel, seed: int) -> Floats:
    return np.fromiter((draw(seed, query) for query in table.query_ids), float, count=table.n)


def _shaped(names: Iterable[str]) -> set[str]:
    parts = (name.rpartition(f".{SHAPE}") for name in names)
    return {tier for tier, found, _ in parts if found}


def vectors_of(table: Panel, encoder: Encoder | None) -> NDArray[np.float32] | None:
    """Return one vector a prompt, None where a prompt is unknown or there is no encoder."""
    if encoder is None or not has_prompts(table):
        return None
    return encoder.embed([str(prompt)[:LONGEST] for prompt in table.prompts])


def has_prompts(table: Panel) -> bool:
    """Say whether every row has its prompt."""
    return len(table.prompts) == table.n and all(prompt is not None for prompt in table.prompts)


def _foretold(table: Panel, sources: Sources, triage: Triage) -> Panel:
    """Foretell row by row: a row without its prompt is not known to a triage that reads prompts."""
    told = np.array([prompt is not None for prompt in table.prompts], dtype=bool)
    if triage.card.encoder is None or told.all():
        return _read(table, triage, vectors_of(table, sources.encoder))
    rows = np.flatnonzero(told)
    part = table.take(rows)
    if rows.size:
        part = _read(part, triage, vectors_of(part, sources.encoder))
    for name in [f"{TRIAGE}.{tier}" for tier in (*triage.tiers, "familiar")]:
        values = np.full(table.n, np.nan)
        values[rows] = part.signals.get(name, np.nan)
        table = table.with_signal(name, values)
    return table


def _read(table: Panel, triage: Triage, vectors: NDArray[np.float32] | None) -> Panel:
    shapes = shapes_of([str(prompt) for prompt in table.prompts]) if has_prompts(table) else None
    foreseen = triage.predict(_segments(table), vectors, shapes)
    return _with_foreseen(table, triage, foreseen, vectors)


def _with_foreseen(
    table: Panel, triage: Triage, foreseen: Floats, vectors: NDArray[np.float32] | None
) -> Panel:
    for place, tier in enumerate(triage.tiers):
        table = table.with_signal(f"{TRIAGE}.{tier}", foreseen[:, place])
    if triage.space is not None and vectors is not None:
        table = table.with_signal(f"{TRIAGE}.familiar", triage.familiar(vectors))
    return table


def _segments(table: Panel) -> tuple[str | None, ...]:
    return tuple(table.segments) if len(table.segments) else (None,) * table.n


def with_triage(
    table: Panel, tiers: tuple[str, ...], encoder: Encoder | None, seed: int
) -> tuple[Panel, Triage | None]:
    """Fit a triage on the rows, and give each row what one that did not see its group foretells.

    None, and the table as it is, where there are too few rows or nothing better than a constant.
    """
    if table.n < FEWEST_TRIAGED or len(tiers) < 2:
        return table, None
    vectors = vectors_of(table, encoder)
    segments = _segments(table)
    if vectors is None and len(set(segments)) < 2:
        return table, None
    shapes = None if vectors is None else shapes_of([str(prompt) for prompt in table.prompts])
    scores = np.array([table.score[tier] for tier in tiers]).T
    groups = [q if g is None else g for g, q in zip(table.groups, table.query_ids, strict=True)]
    try:
        triage, held_out = crossfit(
            scores,
            segments,
            vectors,
            seed,
            tiers,
            shapes=shapes,
            groups=groups,
            encoder=None if encoder is None or vectors is None else encoder.digest,
        )
    except DataError:  # too few groups, or a tier without scores: nothing can be foretold
        return table, None
    if triage.uses == "constant":
        return table, None
    return _with_foreseen(table, triage, held_out, vectors), triage
