"""Play threshold rules on populations many times: what they keep, and how often they break."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stepdown.stats import bounds
from stepdown.stats.kept_rows import kept_rows
from stepdown.stats.sequence import certify_kept_accuracy, warm_start
from traffic.population import Floats, Ints, Population

DELTA = 0.1
Played = Callable[[Population, int, float, int], float | None]
"""(population, n, target, trial) -> threshold; the trial is the seed of the draw."""
Rule = Callable[[Floats, Floats, float, float], float | None]


@dataclass(frozen=True)
class Cell:
    """What one rule did on one population, over `trials` independent draws of n rows."""

    kept: float
    broken: int
    trials: int


def draw_rows(population: Population, n: int, trial: int, part: int = 0) -> tuple[Floats, Floats]:
    """Return confidences and scores of a trial; other parts are other rows of the same traffic."""
    confidence, score, _ = population.draw(n, np.random.default_rng([n, trial, part]))
    return confidence, score


def auto(population: Population, n: int, target: float, trial: int) -> float | None:
    """Play AUTO; the rows of a grouped population are tested by group."""
    confidence, score, groups = population.draw(n, np.random.default_rng([n, trial, 0]))
    return certified(confidence, score, target, trial, groups)


def certified(
    confidence: Floats, score: Floats, target: float, trial: int, groups: Ints | None = None
) -> float | None:
    """Return AUTO's threshold for these rows, in groups or independent."""
    found = certify_kept_accuracy(confidence, score, target, DELTA, trial, groups=groups)
    return found.threshold


def warm(population: Population, n: int, target: float, trial: int) -> float | None:
    """Play WARM: half as many other rows choose the start, n fresh rows test."""
    start = warm_start(*draw_rows(population, n // 2, trial, part=1), target, DELTA, n)
    rows = draw_rows(population, n, trial)
    return certify_kept_accuracy(*rows, target, DELTA, trial, start=start).threshold


def rule(of: Rule) -> Played:
    """Return how to play a rule that sees the rows alone."""

    def played(population: Population, n: int, target: float, trial: int) -> float | None:
        return of(*draw_rows(population, n, trial), target, DELTA)

    return played


def play(
    played: Played, population: Population, n: int, target: float, trials: int, first: int = 0
) -> Cell:
    """Return what a rule keeps on average, and how often its promise is broken."""
    found = [played(population, n, target, first + t) for t in range(trials)]
    kept = float(np.mean([population.kept(threshold)[0] for threshold in found]))
    return Cell(kept, sum(population.broken(threshold, target) for threshold in found), trials)


def best_start(population: Population, n: int, target: float, trials: int) -> float:
    """Return the share kept from the best start in hindsight: AUTO's levels and test, no pilot.

    The best of 40 starts (shares of traffic) on the average of these very trials: no rule that
    must find its start can be expected to reach it.
    """
    least = bounds.n_min(target, DELTA) / n
    starts = np.geomspace(least, 1.0, 40)
    kept = [_kept_from(population, n, target, trial, starts) for trial in range(trials)]
    return float(np.mean(kept, axis=0).max())


def _kept_from(
    population: Population, n: int, target: float, trial: int, starts: Floats
) -> list[float]:
    rows = kept_rows(*draw_rows(population, n, trial), target, trial)
    grid = rows.levels(DELTA)
    held = rows.kept_at(grid)
    passed = bounds.accuracy_p_value(rows.sums[held], held, target) <= DELTA
    last = grid.size - 1
    end = np.where(passed, last, np.arange(grid.size) - 1)
    end = np.minimum.accumulate(end[::-1])[::-1]  # the last level before the next failure
    begin = np.searchsorted(held, np.ceil(starts * n - 1e-9))
    share = [population.kept(float(threshold))[0] for threshold in grid]
    return [share[end[b]] if b <= last and passed[b] else 0.0 for b in begin]


def broken_too_often(
    cells: Mapping[str, tuple[int, int]], delta: float = DELTA, level: float = 0.01
) -> list[str]:
    """Return the cells whose violations a true rate of delta does not explain.

    Exact binomial tests of "violation rate <= delta", Holm at `level` over the cells.
    """
    from scipy import stats

    p = {name: stats.binomtest(*cells[name], delta, alternative="greater").pvalue for name in cells}
    rejected: list[str] = []
    for rank, name in enumerate(sorted(p, key=lambda cell: float(p[cell]))):
        if p[name] > level / (len(p) - rank):
            break
        rejected.append(f"{name}: {cells[name][0]} of {cells[name][1]}, p {p[name]:.1g}")
    return rejected


def cells(
    played: Mapping[str, Played],
    populations: Iterable[Population],
    targets: Iterable[float],
    sizes: Iterable[int],
    trials: int,
) -> dict[str, tuple[int, int]]:
    """Return violations and trials of every rule x population x target x size."""
    found: dict[str, tuple[int, int]] = {}
    for population in populations:
        for target in targets:
            for n in sizes:
                for name, one in played.items():
                    cell = play(one, population, n, target, trials)
                    key = f"{name}, {population.name}, T={target}, n={n}"
                    found[key] = (cell.broken, cell.trials)
    return found
