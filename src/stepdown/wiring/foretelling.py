"""Triage at work: its file beside the lock, its encoder, its signals for tables and requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from stepdown.certify.evidence import Certified
from stepdown.certify.supply import LONGEST, Sources, raw_signals, supplied
from stepdown.certify.triage import shapes_of
from stepdown.certify.triage_file import digest_triage, load_triage, save_triage
from stepdown.core.derived import TRIAGE
from stepdown.core.lock import LockedTask, LockedTriage
from stepdown.core.replay_array import Panel
from stepdown.errors import LockError
from stepdown.ports.encoder import Encoder

FOLDER = "models"


@lru_cache(maxsize=1)
def static_encoder() -> Encoder:
    """Return the encoder that ships: its vectors are what triage reads."""
    from stepdown.adapters.encoders.static import load_static

    return load_static()


def with_triage_kept(one: Certified, beside: Path) -> Certified:
    """Write the triage that a policy reads into the folder `models` beside the lock, and name it
    in the locked task; a policy without one is returned as it is.
    """
    if one.triage is None:
        return one
    path = save_triage(one.triage, beside / FOLDER, one.task.name)
    encoder = static_encoder()
    reads_vectors = one.triage.card.encoder is not None
    named = LockedTriage(
        file=f"{FOLDER}/{path.name}",
        digest=digest_triage(one.triage),
        encoder=encoder.name if reads_vectors else "",
        encoder_digest=encoder.digest if reads_vectors else "",
    )
    return msgspec.structs.replace(one, locked=msgspec.structs.replace(one.locked, triage=named))


def sources_of(locked: LockedTask, beside: Path) -> Sources:
    """Return where the signals of a locked policy come from that no table holds.

    Raises:
        WeightsError: the triage's file is missing, or is another.
        LockError: its encoder is another.
    """
    seed = locked.guarantee.seed or 0
    if locked.triage is None:
        return Sources(seed)
    triage = load_triage(beside / locked.triage.file, locked.triage.digest)
    return Sources(seed, triage, _encoder(locked.triage))


def _encoder(named: LockedTriage) -> Encoder | None:
    if not named.encoder:
        return None
    encoder = static_encoder()
    if encoder.digest != named.encoder_digest:
        raise LockError(
            f"The triage of the lock was fitted with another version of {named.encoder!r}.",
            "Install the version of Stepdown that certified it, or certify again.",
        )
    return encoder


def with_read_signals(table: Panel, locked: LockedTask, beside: Path) -> Panel:
    """Return the table with every signal that the locked policy reads and that can be made."""
    wanted = raw_signals([(locked.policy, locked.signals)])
    return supplied(table, wanted, sources_of(locked, beside))


Foretell = Callable[[str, str | None], Mapping[str, float | None]]


def live_triage(locked: LockedTask, beside: Path) -> Foretell | None:
    """Return what foretells `triage.TIER` of one text and segment, None where nothing is read.

    Raises: as `sources_of` does.
    """
    if locked.triage is None:
        return None
    made = sources_of(locked, beside)
    triage, encoder = made.triage, made.encoder
    assert triage is not None
    names = [f"{TRIAGE}.{tier}" for tier in triage.tiers]

    def foretell(text: str, segment: str | None) -> Mapping[str, float | None]:
        vectors = None if encoder is None else encoder.embed([text[:LONGEST]])
        shapes = shapes_of([text]) if triage.card.shape else None
        seen = triage.predict([segment], vectors, shapes)
        found: dict[str, float | None] = dict(zip(names, seen[0].tolist(), strict=True))
        if triage.space is not None and vectors is not None:
            found[f"{TRIAGE}.familiar"] = float(triage.familiar(vectors)[0])
        return found

    return foretell
