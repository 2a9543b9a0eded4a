"""Does a locked policy keep `max_loss`? Certified end to end, replayed on rows with a known truth.

Each trial draws n rows of a pool: .4 choose (`tune`), .6 test (`certify`), through `certify_task`
as the product does; the locked policy is then replayed on the rest. Two designs:

- `iid`: tune rows are drawn without return; certify rows with return from what is left. The truth
  is the mean loss over what is left, so delta is exact: the judge.
- `rest`: certify rows are drawn without return too, and the truth is taken over the rows never
  drawn: what a user with a hold-out would see. Two things pull here. Against all that tune left,
  drawing without return makes the test conservative (Hoeffding 1963). But the rest is itself a
  finite sample, and it is worse than the pool exactly where the draw was better: lucky draws leave
  unlucky rests. Where a policy stands near the limit and the pool is small, this counts more
  violations than there are (it accuses a valid test), so it is shown and judges nothing.

Judged by exact binomial tests of "at most delta", Holm at .01 over all cells of `iid`. Baselines
are the same code and rows, offered plain cascades only (no learned routes, triage, mixes), and
these with agreement of two cheap tiers. A cell says for each: broken, share certified, saved.

Needs STEPDOWN_DATA (default ../shared/data). `--trials N`, `--first SEED`, `--sizes 300,500`,
`--pool WORD,WORD`, `--encoder`, `--json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from promise_pools import POOLS, Pool
from stepdown.certify import certify as certifying
from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import Case
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.offered import Offer, Offers
from stepdown.certify.search import candidates
from stepdown.certify.supply import Sources, raw_signals, supplied
from stepdown.core.derived import agreement
from stepdown.core.lock import LockedTier
from stepdown.core.policy import Action, Clause, Policy, Row, single
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Promise, Task
from stepdown.ports.encoder import Encoder
from traffic.study import broken_too_often

Index = NDArray[np.intp]
EPSILON, DELTA, TUNE = 0.02, 0.05, 0.4
TODAY = date(2026, 11, 22)


class Draw(Struct, frozen=True):
    """Places of the tune and certify rows in a pool, and of the rows whose mean is the truth."""

    tune: Index
    certify: Index
    truth: Index


def drawn(groups: NDArray[np.int64], n: int, seed: int, design: str) -> Draw:
    """Draw a trial; no group has rows on both sides of the line after tune."""
    rng = np.random.default_rng([seed, n])
    mixed = rng.permutation(groups.size)
    tune, others = mixed[: round(TUNE * n)], mixed[round(TUNE * n) :]
    left = others[~np.isin(groups[others], groups[tune])]
    m = n - tune.size
    if design == "iid":
        return Draw(tune, rng.choice(left, m), left)
    rest = left[m:]
    return Draw(tune, left[:m], rest[~np.isin(groups[rest], groups[left[:m]])])


def _fresh(table: Panel) -> Panel:
    """Rows drawn with return are rows of their own."""
    ids = tuple(f"{query}#{place}" for place, query in enumerate(table.query_ids))
    return structs.replace(table, query_ids=ids, groups=(None,) * table.n)


def _terms(tiers: tuple[str, ...]) -> Terms:
    tier = LockedTier("table", "d", "unknown", "reported", recorded=True)
    return Terms(
        settings="s", tiers=dict.fromkeys(tiers, tier), today=TODAY, review_days=31,
        baseline=tiers[-1],
    )  # fmt: skip


def certified(
    pool: Pool, table: Panel, draw: Draw, design: str, encoder: Encoder | None
) -> Certified:
    test = table.take(draw.certify)
    evidence = Evidence(
        tune=table.take(draw.tune),
        certify=_fresh(test) if design == "iid" else test,
        n_train=0, split="drawn", data={}, binary=pool.binary, encoder=encoder,
    )  # fmt: skip
    promise = Promise(max_loss=EPSILON, delta=DELTA)
    task = Task(name="t", kind="draft", tiers=pool.tiers, promise=promise)
    with instead("rows_needed", lambda *_, **__: None):  # a plan for more rows decides nothing
        return certifying.certify_task(task, evidence, _terms(pool.tiers))


@contextmanager
def instead(name: str, other: Any) -> Iterator[None]:
    """Let certification use something else under a name."""
    before = getattr(certifying, name)
    setattr(certifying, name, other)
    try:
        yield
    finally:
        setattr(certifying, name, before)


def plain(case: Case, sample: Panel) -> Offers:
    """Offer plain cascades only."""
    made = tuple(Offer(policy, {}) for policy in candidates(sample, case.order))
    return Offers(made, sample, Sources(case.rows.seed), None)


def agreeing(case: Case, sample: Panel) -> Offers:
    """Offer plain cascades, and to keep what two cheap tiers agree on."""
    ceiling, found = case.order[-1], list(plain(case, sample).all)
    for one, other in combinations(case.order[:-1], 2):
        keep = Clause(agreement(one, other), 1.0, Action("accept", other))
        ask = Action("call", ceiling)
        rows = (
            Row(called=(), otherwise=Action("call", one), reason="entry"),
            Row(called=(one,), otherwise=Action("call", other), reason="cross_check"),
            Row(called=(one, other), when=(keep,), otherwise=ask, reason="disagree"),
            Row(called=(one, other, ceiling), otherwise=Action("accept", ceiling), reason="last"),
        )
        found.append(Offer(Policy(tiers=case.order, rows=rows), {}))
    return Offers(tuple(found), sample, Sources(case.rows.seed), None)


RULES = {"plain": plain, "agreeing": agreeing}


class Truth(Struct, frozen=True):
    """What a locked policy does: true loss, share of cost saved, share kept from the ceiling."""

    certified: bool
    learned: bool
    loss: float
    saved: float
    kept: float


def truth(found: Certified, pool: Pool, rows: Panel, encoder: Encoder | None) -> Truth:
    """Replay the locked policy on rows."""
    locked, ceiling = found.locked, pool.tiers[-1]
    sources = Sources(locked.guarantee.seed or 0, found.triage, encoder)
    rows = with_confidence(rows, locked.confidence)
    rows = supplied(rows, raw_signals([(locked.policy, locked.signals)]), sources)
    done = replay_array(locked.policy, rows, locked.signals)
    alone = replay_array(single(ceiling), rows)
    loss = float((np.nan_to_num(rows.score[ceiling]) - np.nan_to_num(done.score)).mean())
    kept = 1 - float(done.called_tier(ceiling).mean())
    cost = float(done.cost_usd.mean() / alone.cost_usd.mean())
    return Truth(
        found.state == "certified", bool(locked.signals), loss,
        kept if np.isnan(cost) else 1 - cost, kept,
    )  # fmt: skip


def cell(
    pool: Pool, table: Panel, n: int, design: str, seeds: range, encoder: Encoder | None
) -> dict[str, Any]:
    """Return what all trials of one cell came to, for ours and for the baseline."""
    named = [group or f"row {place}" for place, group in enumerate(table.groups)]
    groups = np.unique(named, return_inverse=True)[1].astype(np.int64)
    each: dict[str, list[Truth]] = {name: [] for name in ("ours", *RULES)}
    start = time.process_time()
    for seed in seeds:
        draw = drawn(groups, n, seed, design)
        rows = table.take(draw.truth)
        ours = certified(pool, table, draw, design, encoder)
        each["ours"].append(truth(ours, pool, rows, encoder))
        for name, offered in RULES.items() if design == "iid" else ():
            with instead("offers", offered):
                theirs = certified(pool, table, draw, design, None)
            each[name].append(truth(theirs, pool, rows, None))
    found: dict[str, Any] = {
        "pool": pool.name, "n": n, "design": design, "trials": len(seeds), "first": seeds.start,
        "truth_rows": int(rows.n), "s_per_trial": (time.process_time() - start) / len(seeds),
    }  # fmt: skip
    return found | {name: _summary(ones) for name, ones in each.items() if ones}


def _summary(ones: list[Truth]) -> dict[str, Any]:
    return {
        "broken": sum(one.loss > EPSILON + 1e-12 for one in ones),
        "certified": float(np.mean([one.certified for one in ones])),
        "learned": float(np.mean([one.certified and one.learned for one in ones])),
        "saved": float(np.mean([one.saved for one in ones])),
        "saved_se": float(np.std([one.saved for one in ones]) / np.sqrt(len(ones))),
        "kept": float(np.mean([one.kept for one in ones])),
        "loss": float(np.mean([one.loss for one in ones])),
    }


def line(found: dict[str, Any]) -> str:
    from scipy.stats import binomtest

    ours = found["ours"]
    p = binomtest(ours["broken"], found["trials"], DELTA, alternative="greater").pvalue
    beside = "".join(
        f" | {name} {found[name]['broken']:d}, {found[name]['certified']:.0%}, "
        f"{found[name]['saved']:.1%}"
        for name in RULES if name in found
    )  # fmt: skip
    return (
        f"{found['pool']:34s} n={found['n']:5d} {found['design']:4s} "
        f"broken {ours['broken']:3d}/{found['trials']} (p {p:.2g}), "
        f"certified {ours['certified']:4.0%} (routed {ours['learned']:4.0%}), "
        f"saved {ours['saved']:6.1%} +- {ours['saved_se']:.1%}, "
        f"kept {ours['kept']:6.1%}, loss {ours['loss']:+.4f}{beside} | {found['s_per_trial']:.2f} s"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--trials", type=int, default=40)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--sizes", default="300,500,1000")
    asked.add_argument("--designs", default="iid,rest")
    asked.add_argument("--pool", default="")
    asked.add_argument("--encoder", action="store_true", help="let triage read prompts (slow)")
    asked.add_argument("--json", action="store_true")
    args = asked.parse_args()
    encoder = None
    if args.encoder:
        from stepdown.adapters.encoders.static import load_static

        encoder = load_static()
    seeds = range(args.first, args.first + args.trials)
    cells: list[dict[str, Any]] = []
    wanted = args.pool.split(",")
    for pool in (p for p in POOLS.values() if any(word in p.name for word in wanted)):
        table = pool.of()
        for n in map(int, args.sizes.split(",")):
            for design in args.designs.split(","):
                cells.append(cell(pool, table, n, design, seeds, encoder))
                print(json.dumps(cells[-1]) if args.json else line(cells[-1]), flush=True)
    if args.json:
        return
    for name in ("ours", *RULES):
        counts = {
            f"{c['pool']}, n={c['n']}": (c[name]["broken"], c["trials"])
            for c in cells if name in c and c["design"] == "iid"
        }  # fmt: skip
        if counts:
            bad = broken_too_often(counts, DELTA)
            print(
                f"{name}: broken too often in {len(bad)} of {len(counts)} cells (Holm, .01) {bad}"
            )


if __name__ == "__main__":
    main()
