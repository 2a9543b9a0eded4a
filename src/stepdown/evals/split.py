"""Split samples into parts that share no group, the same way on every machine.

A group is what must not be torn apart: near-duplicate texts, and rows with one `group` key.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.digest import digest, seed_from
from stepdown.errors import ConfigError, DataError
from stepdown.evals.dataset import Sample, digest_of
from stepdown.evals.duplicates import THRESHOLD, Joined, join_near


class Split(Struct, frozen=True, kw_only=True):
    """The parts by name, the group of every sample id, and how it was done.

    `seed` is made of the digest of the data, so that nobody chooses it.
    """

    parts: Mapping[str, tuple[Sample, ...]]
    groups: Mapping[str, str]
    seed: int
    data_digest: str
    description: str

    def group_of(self, sample_id: str) -> str:
        """Return the group of a sample, which no other part has."""
        return self.groups[sample_id]

    def digests(self) -> dict[str, str]:
        """Return the digest of each part, as the lock holds them."""
        return {name: digest_of(part) for name, part in self.parts.items()}


def split(
    samples: Sequence[Sample],
    shares: Mapping[str, float],
    *,
    by_group: bool = True,
    seed: int | None = None,
) -> Split:
    """Return the samples split by whole groups, stratified by reference as far as groups allow.

    `shares` add up to 1. `by_group=False` ignores the samples' group keys (near-duplicates still
    stay together): the split then tests fit within groups, not transfer to new ones. Samples keep
    their order inside a part.

    Raises:
        ConfigError: the shares are not positive or do not add up to 1.
        DataError: there are too few groups to fill every part.
    """
    return filled(divide(samples, shares, by_group=by_group, seed=seed))


def divide(
    samples: Sequence[Sample],
    shares: Mapping[str, float],
    *,
    by_group: bool = True,
    seed: int | None = None,
) -> Split:
    """Return the split as far as the groups reach: a part may be empty.

    Raises:
        ConfigError: the shares are not positive or do not add up to 1.
    """
    _check(shares)
    data_digest = digest_of(samples)
    chosen = seed_from(data_digest) if seed is None else seed
    groups = group_samples(samples, by_group=by_group)
    part_of = _assign(samples, groups, shares, chosen)
    parts = {name: tuple(s for s in samples if part_of[groups[s.id]] == name) for name in shares}
    return Split(
        parts=parts,
        groups=groups,
        seed=chosen,
        data_digest=data_digest,
        description=_describe(samples, groups, parts, by_group),
    )


def filled(found: Split) -> Split:
    """Return the split when every part holds samples.

    Raises:
        DataError: there are too few groups to fill every part.
    """
    empty = [name for name, part in found.parts.items() if not part]
    if empty:
        raise DataError(
            f"{len(found.groups)} rows fall into {len(set(found.groups.values()))} group(s) of "
            f"near-duplicates or of one group key: they cannot fill the part {empty[0]!r}.",
            "A group stays in one part, so that no row is tested by its own twin. Add rows that "
            "differ, use fewer parts, or leave the group key out where it says too little.",
        )
    return found


def group_samples(samples: Sequence[Sample], *, by_group: bool = True) -> dict[str, str]:
    """Return sample id -> group: the smallest id that it is joined with, as a digest.

    Near-duplicates of two group keys join the keys.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    joined = Joined(len(ordered))
    join_near(joined, [sample.input for sample in ordered])
    if by_group:
        joined.join_equal(sample.group for sample in ordered)
    names = [digest(sample.id).removeprefix("sha256:")[:12] for sample in ordered]
    return {sample.id: names[joined.find(i)] for i, sample in enumerate(ordered)}


def regrouped(samples: Sequence[Sample], groups: Mapping[str, str]) -> tuple[Sample, ...]:
    """Return the samples with the groups of a split, so that their outcomes carry them."""
    return tuple(replace(sample, group=groups[sample.id]) for sample in samples)


def _assign(
    samples: Sequence[Sample], groups: Mapping[str, str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Return group -> part: walk the groups by stratum, each to the part that lacks most.

    The books run on from stratum to stratum, so that rare labels do not all go to one part.
    """
    sizes = Counter(groups[sample.id] for sample in samples)
    strata = _strata(samples, groups)
    places = {stratum: (_hash(seed, stratum), stratum) for stratum in set(strata.values())}
    ordered = sorted(sizes, key=lambda g: (places[strata[g]], _hash(seed, g)))
    given = dict.fromkeys(shares, 0)
    part_of: dict[str, str] = {}
    seen = 0
    for group in ordered:
        seen += sizes[group]
        part_of[group] = max(shares, key=lambda name: shares[name] * seen - given[name])
        given[part_of[group]] += sizes[group]
    return part_of


def _strata(samples: Sequence[Sample], groups: Mapping[str, str]) -> dict[str, str]:
    """Return the commonest label of each group; references that are no labels make one stratum."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        label = sample.reference if isinstance(sample.reference, str) else ""
        counts[groups[sample.id], label] += 1
    found: dict[str, str] = {}
    for group, label in sorted(counts, key=lambda pair: (-counts[pair], pair[1])):
        found.setdefault(group, label)
    return found


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _check(shares: Mapping[str, float]) -> None:
    whole = math.isclose(sum(shares.values()), 1.0, abs_tol=1e-9)
    if not whole or any(share <= 0 for share in shares.values()):
        listed = ", ".join(f"{name} {share}" for name, share in shares.items())
        raise ConfigError(
            f"The shares of a split are {listed or 'missing'}.",
            "Each must be above 0, and they must add up to 1.",
        )


def _describe(
    samples: Sequence[Sample],
    groups: Mapping[str, str],
    parts: Mapping[str, tuple[Sample, ...]],
    by_group: bool,
) -> str:
    keyed = by_group and any(sample.group is not None for sample in samples)
    what = "their group key and near-duplicates" if keyed else "near-duplicates"
    sizes = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    return (
        f"{sizes}; whole groups by {what} (word shingles, Jaccard >= {THRESHOLD:g}): "
        f"{len(set(groups.values()))} groups of {len(samples)} samples; no group in two parts"
    )
