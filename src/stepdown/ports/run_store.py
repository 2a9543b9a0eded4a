"""The RunStore port: the calls of evals, so that none is paid for twice, and the runs made of them.

Calls are kept per task and tier, without any score. A run is a record: its head says what it was
made of, its rows hold how every sample was scored, and the samples are kept beside it, so that a
run can still be read when the data have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from msgspec import Struct

from stepdown.core.request import Completion


class SavedCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tier as it ended. `key` is a digest of request and tier, without any scorer.

    `completion` is None when the tier raised; `failure` is then the kind of error. `latency_s` is
    what the tier reported or the harness measured, None for a recording.
    """

    key: str
    sample_id: str
    completion: Completion | None = None
    signals: Mapping[str, float | None] = {}
    latency_s: float | None = None
    failure: str | None = None
    detail: str = ""


class RunRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a tier to one sample, as a run scored it.

    `call` is the key of the kept call, None when nobody was asked (a tier that was given up, money
    that ran out). `answer` is the text that was scored where it differs from the completion's.
    `repeat` counts from 0. `reused` says that an earlier run had paid for it: its latency was
    measured then. Unknown score, cost and latency are None.
    """

    sample_id: str
    call: str | None = None
    repeat: int = 0
    score: float | None = None
    failure: str | None = None
    detail: str = ""
    latency_s: float | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reused: bool = False


class RunPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tier of a run. `stopped` says why it ended early, None when every sample was asked.

    `n` counts rows (samples times repeats), `called` those that this run asked for, `reused` those
    that an earlier one had. `price` is the price in force, with its source.
    """

    tier: str
    model: str
    tier_digest: str
    n: int
    called: int
    reused: int
    unscored: int = 0
    failures: Mapping[str, int] = {}
    price: Mapping[str, Any] = {}
    recorded: bool = False
    stopped: str | None = None


class RunHead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run was made of. The same samples, scorer, tiers, parameters and seed give the same
    `digest`; prices, the date and what the answers cost are not part of it.

    `samples` is the digest of the set, whatever its order, and `n` its size; `order` is the digest
    under which the samples are kept in the order of the rows; `rows` says in words which they are.
    `parts` are the tiers, weakest first; the last is the ceiling when `ceiling` names it.
    """

    digest: str
    task: str
    kind: str
    scorer: str
    samples: str
    order: str
    n: int
    parts: tuple[RunPart, ...]
    ceiling: str
    contract: str
    seed: int
    repeat: int = 1
    max_loss: float
    delta: float
    rows: str = ""
    date: str = ""
    version: str = ""

    @property
    def whole(self) -> bool:
        """Whether no tier ended early."""
        return all(part.stopped is None for part in self.parts)

    def part(self, tier: str) -> RunPart | None:
        """Return what the run holds of a tier, None when it has no such tier."""
        return next((part for part in self.parts if part.tier == tier), None)


class RunStore(Protocol):
    """Keep calls append-only, per task and tier, and runs under their digest."""

    def calls(self, task: str, tier: str) -> Mapping[str, SavedCall]:
        """Return the calls finished by now, by key; the last one wins; a torn line is not a call.

        Calls are read when they are looked up: memory holds an index of them only.
        """
        ...

    def append(self, task: str, tier: str, *calls: SavedCall) -> None:
        """Keep calls for good before returning, with one write.

        Raises:
            DataError: it could not be written (a full disk); what was written before is safe.
        """
        ...

    def keep_samples(self, task: str, samples: Iterable[bytes]) -> str:
        """Keep samples, each one JSON object; return the digest of all of them in this order.

        Raises:
            DataError: they cannot be written.
        """
        ...

    def samples(self, task: str, order: str) -> Iterator[bytes]:
        """Yield kept samples in their order.

        Raises:
            DataError: there are none under that digest.
        """
        ...

    def save_run(self, head: RunHead, rows: Mapping[str, Iterable[RunRow]]) -> None:
        """Keep a run under its digest: its head, and the rows of each tier in order."""
        ...

    def run(self, task: str, digest: str) -> RunHead | None:
        """Return the head of a run, None when there is none."""
        ...

    def runs(self, task: str) -> Sequence[RunHead]:
        """Return the heads of all runs of a task, the newest first."""
        ...

    def rows(self, head: RunHead, tier: str) -> Iterator[RunRow]:
        """Yield the rows of one tier of a run, in the order of the samples, repeats together.

        Raises:
            DataError: the run has no such tier, or its file is broken.
        """
        ...

    def scratch(self) -> BinaryIO:
        """Return an empty file to write and read, which is gone when it is closed."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...
