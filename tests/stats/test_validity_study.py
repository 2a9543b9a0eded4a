"""Does a certified threshold keep its word? Many populations, exact tests with Holm over cells.

A cell is a rule, a population, a target and a number of rows. Seeds count the trials.
"""

import numpy as np
import pytest

from stepdown.stats import baselines
from stepdown.stats.noninferiority import certify_path_counts
from traffic import paths, recorded, study, synthetic
from traffic.population import Population

EVERYDAY = synthetic.everyday()
EDGES = synthetic.edges()
ALONE = [p for p in (*EVERYDAY, *EDGES) if p.groups is None]  # rows independent of each other
TARGETS = (0.9, 0.95)
SIZES = (100, 300, 1000, 3000)
NAMED = {p.name: p for p in (*EVERYDAY, *EDGES)}


def assert_kept(cells: dict[str, tuple[int, int]]) -> None:
    rejected = study.broken_too_often(cells)
    assert not rejected, f"of {len(cells)} cells: {rejected}"


def test_thresholds_keep_their_word_on_every_population() -> None:
    cells = study.cells({"AUTO": study.auto}, [*EVERYDAY, *EDGES], (0.9,), (100, 300), 100)
    some = [NAMED[n] for n in ("calibrated", "at the target .90", "confident-wrong spike")]
    cells |= study.cells({"WARM": study.warm}, some, (0.9,), (100, 600), 100)
    cells |= study.cells({"AUTO": study.auto}, some, (0.95,), (1000,), 200)
    assert len(cells) == 39
    assert_kept(cells)


@pytest.mark.parametrize("name", sorted(baselines.PEERS))
def test_the_peers_that_we_call_valid_are(name: str) -> None:
    some = [NAMED[n] for n in ("calibrated", "at the target .90", "waves")]
    assert_kept(study.cells({name: study.rule(baselines.PEERS[name])}, some, (0.9,), (300,), 200))


@pytest.mark.parametrize(
    ("name", "at_least"), [("observed accuracy", 4), ("normal bound", 1), ("raw confidence", 2)]
)
def test_the_habits_are_rejected_by_this_very_judge(name: str, at_least: int) -> None:
    played = {name: study.rule(baselines.HABITS[name])}
    cells = study.cells(played, EVERYDAY, (0.9,), (300,), 60)
    assert len(study.broken_too_often(cells)) >= at_least


def test_conversations_taken_for_independent_rows_are_rejected_by_this_very_judge() -> None:
    rng = np.random.default_rng(0)
    fate = (rng.random(4000) < 0.89).astype(float)  # one for all 20 messages of a conversation
    groups = np.repeat(np.arange(4000), 20)
    alike = Population("alike", rng.random(80_000), np.repeat(fate, 20), groups=groups)

    def without_groups(population: Population, n: int, target: float, trial: int) -> float | None:
        confidence, score, _ = population.draw(n, np.random.default_rng([n, trial]))
        return study.certified(confidence, score, target, trial)

    assert study.broken_too_often(
        study.cells({"rows": without_groups}, [alike], (0.9,), (400,), 80)
    )
    assert_kept(study.cells({"groups": study.auto}, [alike], (0.9,), (400,), 80))


def test_the_judge_allows_chance_and_counts_the_cells() -> None:
    assert study.broken_too_often({"exactly delta": (100, 1000)}) == []
    one = {"a little above": (128, 1000)}
    assert study.broken_too_often(one)
    many = one | {f"cell {i}": (100, 1000) for i in range(60)}
    assert study.broken_too_often(many) == []
    assert len(study.broken_too_often(many | {"broken": (300, 1000)})) == 1


def test_the_truth_of_a_population_is_what_a_large_draw_shows() -> None:
    for population in (NAMED["calibrated"], NAMED["ties"], NAMED["clustered"]):
        confidence, score, _ = population.draw(60_000, np.random.default_rng(1))
        threshold = float(np.quantile(confidence, 0.7))
        share, accuracy = population.kept(threshold)
        kept = confidence >= threshold
        assert share == pytest.approx(kept.mean(), abs=0.02)
        assert accuracy == pytest.approx(score[kept].mean(), abs=0.02)
    assert NAMED["calibrated"].best_possible(0.9) == pytest.approx(0.4, abs=1e-3)
    assert NAMED["calibrated"].kept(None) == (0.0, 1.0)
    assert NAMED["ties"].best_possible(0.9) == pytest.approx(0.57)


def test_auto_keeps_more_than_its_peers_and_nearly_what_the_best_start_keeps() -> None:
    some = [NAMED[n] for n in ("calibrated", "over-confident", "out of scope")]
    auto, best, ltt, sgr = (
        np.mean([one(population) for population in some])
        for one in (
            lambda p: study.play(study.auto, p, 1000, 0.9, 60).kept,
            lambda p: study.best_start(p, 1000, 0.9, 60),
            lambda p: study.play(study.rule(baselines.learn_then_test), p, 1000, 0.9, 60).kept,
            lambda p: (
                study.play(
                    study.rule(baselines.selection_with_guaranteed_risk), p, 1000, 0.9, 60
                ).kept
            ),
        )
    )
    assert auto > 1.2 * ltt
    assert auto > 1.08 * sgr
    assert auto > 0.85 * best


@pytest.mark.parametrize("trial", range(3))
def test_the_path_that_the_benchmark_measures_is_the_one_that_ships(trial: int) -> None:
    rng = np.random.default_rng(trial)
    difference = rng.choice([-1.0, 0.0, 1.0], 5000, p=[0.045, 0.92, 0.035])
    pair = paths.Pair("made up", np.linspace(1, 0, 5000), difference)
    minus, plus = (counts[::20] for counts in pair.counts(paths.ROWS, rng))
    shipped = certify_path_counts(minus, plus, paths.ROWS, paths.EPSILON, paths.DELTA, start=2)
    assert paths.exact_choice(minus, plus, 2) == shipped.chosen


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_thousand_trials_a_cell(name: str) -> None:
    """Eight cells a population; Holm over all cells of the study, not over these alone."""
    cells = study.cells({"AUTO": study.auto}, [NAMED[name]], TARGETS, SIZES, 1000)
    assert not study.broken_too_often(cells, level=0.01 / len(NAMED))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["calibrated", "waves", "slow decline", "at the target .90"])
def test_a_thousand_trials_a_cell_from_a_start_of_other_rows(name: str) -> None:
    cells = study.cells({"WARM": study.warm}, [NAMED[name]], TARGETS, (300, 1000), 1000)
    assert not study.broken_too_often(cells, level=0.01 / 4)


@pytest.mark.slow
@pytest.mark.skipif(not recorded.available(), reason="needs shared data (set STEPDOWN_DATA)")
def test_a_thousand_trials_a_cell_on_recorded_traffic() -> None:
    assert_kept(study.cells({"AUTO": study.auto}, recorded.looked_at(), TARGETS, (300, 1000), 1000))
