"""A run as a record: made of a finished eval, kept under a digest, and read back case by case.

The digest covers all that decides the answers and their scores: samples, scorer with its version,
contract, the tiers with their prompts and decoding, repeats and seed. What the answers were, what
they cost and when, is the record's content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.evals.asking import ask_of
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Asked, TierRun
from stepdown.evals.roster import Roster
from stepdown.evals.tally import Tally
from stepdown.ports.run_store import RunHead, RunPart, RunRow, RunStore, SavedCall


class Finished(Struct, frozen=True):
    """One tier of a run: what was asked, how it ended, and what it reached."""

    asked: Asked
    run: TierRun
    tally: Tally


class Case(Struct, frozen=True, kw_only=True):
    """One answer of a run beside its sample; `call` is None when nobody was asked."""

    sample: Sample
    row: RunRow
    call: SavedCall | None

    @property
    def answer(self) -> str | None:
        """What the tier said, None without an answer."""
        done = None if self.call is None else self.call.completion
        return None if done is None else done.text


def run_digest(task: Task, samples: str, asked: Sequence[Asked], *, repeat: int, seed: int) -> str:
    """Return the digest of all that decides a run on the set of samples with that digest."""
    tiers = [(each.tier.name, _tier_digest(each)) for each in asked]
    scorers = sorted({each.scorer.id for each in asked})
    return digest((samples, scorers, task.contract, tiers, repeat, seed))


def _tier_digest(asked: Asked) -> str:
    """Return the digest of model, prompt, parameters and patience of a tier."""
    empty = Sample(id="", input="", reference=None)
    request = ask_of(asked.task, asked.tier.name, empty, asked.model.capabilities)
    return digest((asked.model.digest, request, asked.tier.timeout_s))


def head_of(
    task: Task,
    finished: Sequence[Finished],
    *,
    roster: Roster,
    order: str,
    seed: int,
    repeat: int = 1,
    rows: str = "",
    date: str = "",
    version: str = "",
) -> RunHead:
    """Return the head of a run on the set of a roster, whose samples are kept under `order`.

    `rows` says in words which rows they are.
    """
    asked = [each.asked for each in finished]
    return RunHead(
        digest=run_digest(task, roster.digest, asked, repeat=repeat, seed=seed),
        task=task.name,
        kind=task.kind,
        scorer=asked[0].scorer.id,
        samples=roster.digest,
        order=order,
        n=roster.n,
        parts=tuple(map(_part, finished)),
        ceiling=task.ceiling,
        contract=digest(task.contract),
        seed=seed,
        repeat=repeat,
        max_loss=task.promise.allowed_loss,
        delta=task.promise.delta,
        rows=rows,
        date=date,
        version=version,
    )


def _part(each: Finished) -> RunPart:
    import numpy as np

    tier, run, tally = each.asked.tier, each.run, each.tally
    return RunPart(
        tier=tier.name,
        model=tier.model,
        tier_digest=run.tier_digest,
        n=tally.n * tally.repeat,
        called=run.called,
        reused=run.reused,
        unscored=int(np.isnan(tally.score).sum()),
        failures=tally.failures,
        price=_price(tier),
        recorded=run.recorded,
        stopped=run.stopped,
    )


def _price(tier: Tier) -> Mapping[str, object]:
    found: Mapping[str, object] = {} if tier.price == Price() else msgspec.to_builtins(tier.price)
    return found


class KeptSamples:
    """Samples as the store keeps them: walked as often as one likes, never all in memory."""

    def __init__(self, store: RunStore, task: str, order: str) -> None:
        self.order = order
        self._store, self._task = store, task

    def __iter__(self) -> Iterator[Sample]:
        """Walk them in their order."""
        decode = msgspec.json.Decoder(Sample).decode
        return map(decode, self._store.samples(self._task, self.order))


def save(store: RunStore, head: RunHead, finished: Sequence[Finished]) -> None:
    """Keep a run, unless the same is there whole and nothing was asked anew.

    Raises:
        DataError: it could not be written; the answers are kept.
    """
    known = store.run(head.task, head.digest)
    if known is not None and known.whole and not any(each.run.called for each in finished):
        return
    store.save_run(head, {each.run.tier: each.tally.rows() for each in finished})


def cases(store: RunStore, head: RunHead, tier: str) -> Iterator[Case]:
    """Yield what one tier of a run said to each sample, in their order, repeats together.

    Raises:
        DataError: the run has no such tier, or a file of it is missing or broken.
    """
    calls = store.calls(head.task, tier)
    rows = store.rows(head, tier)
    for sample in KeptSamples(store, head.task, head.order):
        for _ in range(head.repeat):
            row = next(rows, None)
            if row is None:
                return
            call = None if row.call is None else calls.get(row.call)
            yield Case(sample=sample, row=row, call=call)
