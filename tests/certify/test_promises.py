"""Every kind of promise: what it speaks of, what is said of it, and whether it is kept."""

import msgspec
import numpy as np
import pytest
from labelled import LABELS, TASK, Labelled, even, on, promised
from scipy import stats

from stepdown.certify.evidence import Certified
from stepdown.core.lock import Lock, lock_from_plain, lock_to_plain
from stepdown.core.replay_array import Panel
from stepdown.core.task import Promise
from stepdown.errors import DataError

COSTS = {"x": {"y": 4.0}, "y": {"z": 1.0}, "z": {"x": 2.0}}
LOOSE = 0.45  # a loss that nothing here comes near: the promise beside it decides
X_POORLY = Labelled({"small": {"": 0.99, "x": 0.79}, "big": {"": 0.99}})

# Every policy but the ceiling misses its promise by half a point or less: to certify is to err.
JUST_BROKEN = {
    "floor": (even(0.846, 0.846), Promise(floor=0.85)),
    "floor, many policies": (even(0.846, 0.846, signals=True), Promise(floor=0.85)),
    "floor, in groups": (even(0.846, 0.846, size=4), Promise(floor=0.85)),
    "min_score": (even(0.846, 0.95), Promise(min_score=0.85)),
    "min_score, many policies": (even(0.846, 0.95, signals=True), Promise(min_score=0.85)),
    "min_score, in groups": (even(0.846, 0.95, size=2, signals=True), Promise(min_score=0.85)),
    "min_agreement": (even(0.846, 1.0), Promise(min_agreement=0.85)),
    "max_disagreement": (even(0.846, 1.0), Promise(max_disagreement=0.15)),
    "max_error_cost": (
        even(0.9, 1.0),  # 0.1 x (0.4 x 4 + 0.3 x 1 + 0.3 x 2) = 0.25
        Promise(max_error_cost=0.246, error_costs=COSTS),
    ),
    "recall": (X_POORLY, Promise(max_loss=LOOSE, recall={"x": 0.8})),
    "a floor and a recall": (X_POORLY, Promise(floor=0.5, recall={"x": 0.8, "y": 0.5})),
}
# The same promises where there is room.
KEPT = {
    "floor": (even(0.97, 0.9), Promise(floor=0.85)),
    "min_score": (even(0.97, 0.9), Promise(min_score=0.85)),
    "min_agreement": (even(0.97, 1.0), Promise(min_agreement=0.85)),
    "max_disagreement": (even(0.97, 1.0), Promise(max_disagreement=0.15)),
    "max_error_cost": (even(0.97, 1.0), Promise(max_error_cost=1.0, error_costs=COSTS)),
    "max_loss": (X_POORLY, Promise(max_loss=LOOSE, recall={"x": 0.5, "y": 0.8})),
}


def naive(done: Certified, promise: Promise) -> bool:
    """The rule that people use: certify what looks fine on these rows."""
    seen = done.tested.policies[-1] if done.tested else None
    if seen is None or not seen.figures:
        return False
    levels = [promise.limit(), *promise.recall.values()]
    at_least = [promise.main() in ("floor", "min_score", "min_agreement"), *[True] * 9]
    return all(
        figure is not None and (figure >= level if up else figure <= level)
        for figure, level, up in zip(seen.figures, levels, at_least, strict=False)
    )


def errors(name: str, trials: int, n: int) -> tuple[int, int]:
    """Return how often a promise that is just broken was certified, and how often it looks fine."""
    world, promise = JUST_BROKEN[name]
    done = [promised(world, promise, n, seed) for seed in range(trials)]
    return sum(broken(one, promise) for one in done), sum(naive(one, promise) for one in done)


def broken(one: Certified, promise: Promise) -> bool:
    """Tell whether what was certified really breaks the promise of these worlds.

    A random mix with the ceiling loses less than the small tier alone, so that a promise over all
    traffic is kept by it; one about kept answers is broken by whatever share is kept.
    """
    everything = one.locked.kept.get(one.task.ceiling, 0.0) == 0
    about_kept = promise.main() in ("min_score", "min_agreement")
    return one.state == "certified" and (about_kept or everything)


def judge(wrong: int, trials: int) -> float:
    """Return the p-value of "it is wrong no more often than delta"."""
    return float(stats.binomtest(wrong, trials, 0.1, alternative="greater").pvalue)


@pytest.mark.parametrize("name", JUST_BROKEN)
def test_a_promise_that_is_just_broken_is_certified_no_more_often_than_delta(name: str) -> None:
    trials = 30
    wrong, _ = errors(name, trials, 120)
    assert judge(wrong, trials) > 0.01 / len(JUST_BROKEN)


def test_the_judge_can_fail_because_what_looks_fine_is_often_broken() -> None:
    _, looked_fine = errors("floor", 40, 120)
    assert judge(looked_fine, 40) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", JUST_BROKEN)
@pytest.mark.parametrize("n", [60, 400])
def test_the_promises_hold_in_a_larger_study(name: str, n: int) -> None:
    wrong, _ = errors(name, 600, n)
    assert judge(wrong, 600) > 0.01 / (2 * len(JUST_BROKEN))


@pytest.mark.parametrize("name", KEPT)
def test_a_promise_with_room_is_certified_with_its_name_level_and_bound(name: str) -> None:
    world, promise = KEPT[name]
    done = promised(world, promise, 300)
    stated = done.locked.guarantee
    assert (done.state, stated.promise, stated.level) == ("certified", name, promise.limit())
    assert stated.bound is not None
    assert (stated.bound >= stated.level) == (name in ("floor", "min_score", "min_agreement"))
    assert stated.delta == 0.1
    assert stated.method
    assert stated.assumptions


def test_a_lock_with_every_kind_of_promise_can_be_written_and_read_again() -> None:
    tasks = {name: promised(*KEPT[name], 300).locked for name in KEPT}
    lock = Lock(version=1, generator="t", project="p", tasks=tasks)
    assert lock_from_plain(lock_to_plain(lock)) == lock


def test_exact_binomial_is_used_for_labels_and_betting_for_graded_scores() -> None:
    world, promise = KEPT["floor"]
    free = msgspec.structs.replace(TASK, labels=())
    assert "exact binomial" in promised(world, promise).locked.guarantee.method
    assert "betting" in promised(world, promise, task=free).locked.guarantee.method


def test_several_promises_are_tested_by_intersection_union() -> None:
    done = promised(X_POORLY, Promise(max_loss=LOOSE, recall={"x": 0.5}), 300)
    stated = done.locked.guarantee
    assert "Berger 1982" in stated.method
    (recall,) = stated.beside
    assert (recall.promise, recall.level, recall.certified) == ("recall:x", 0.5, True)
    assert recall.bound is not None
    assert 0.5 < recall.bound < 0.79
    assert 80 < recall.n < 160


def test_recall_stops_a_policy_that_the_main_promise_allows() -> None:
    alone = promised(X_POORLY, Promise(max_loss=LOOSE), 300)
    beside = promised(X_POORLY, Promise(max_loss=LOOSE, recall={"x": 0.9}), 300)
    # A mix with the ceiling may keep the recall; the small tier alone, which is allowed without
    # it, does not.
    assert alone.locked.kept.get("small") == 1.0
    assert beside.locked.kept.get("small", 0.0) < 0.5


def test_a_ceiling_that_misses_the_floor_is_said_to() -> None:
    done = promised(even(0.5, 0.6), Promise(floor=0.9), 200)
    stated = done.locked.guarantee
    assert (done.state, stated.bound) == ("ceiling", None)
    assert "ceiling 'big' itself has 0.6" in stated.why
    assert "no policy that leans on it" in stated.why


def test_a_ceiling_that_misses_a_recall_is_said_to() -> None:
    poor = Labelled({"small": {"": 0.4}, "big": {"": 0.95, "x": 0.4}})
    done = promised(poor, Promise(max_loss=0.05, recall={"x": 0.9}), 200)
    assert "which does not keep recall:x 0.9" in done.locked.guarantee.why


def test_the_answers_of_the_ceiling_do_not_count_for_min_score() -> None:
    done = promised(even(0.97, 0.2), Promise(min_score=0.85), 200)
    assert (done.state, done.locked.kept) == ("certified", {"small": 1.0})


def without_answers(table: Panel) -> Panel:
    return msgspec.structs.replace(table, answers={}, texts={})


def test_agreement_without_answers_is_refused() -> None:
    world = even(0.9, 0.9)
    tune, rows = (without_answers(world.draw(60, [i], p)) for i, p in enumerate("tc"))
    with pytest.raises(DataError, match="hold no answer of it"):
        on(tune, rows, Promise(min_agreement=0.9))


def test_an_unknown_answer_counts_as_disagreement() -> None:
    world = even(1.0, 1.0)
    tune, rows = world.draw(60, [1], "t"), world.draw(200, [2], "c")
    codes = rows.answers["small"].copy()
    codes[:60] = -1
    cut = msgspec.structs.replace(rows, answers=rows.answers | {"small": codes})
    assert on(tune, rows, Promise(min_agreement=0.8)).state == "certified"
    done = on(tune, cut, Promise(min_agreement=0.8))
    assert done.state == "ceiling"
    assert done.tested is not None
    assert done.tested.policies[1].figures == (0.7,)


def test_where_the_ceiling_is_the_reference_disagreement_is_promised_and_that_is_said() -> None:
    done = promised(even(0.999, 1.0), Promise(), 300, reference="ceiling")
    stated = done.locked.guarantee
    assert (stated.promise, stated.level, stated.reference) == ("max_disagreement", 0.02, "ceiling")
    assert any("scores 1 by construction" in said for said in done.warnings)


def test_a_ceiling_that_is_right_on_every_row_is_taken_for_the_reference() -> None:
    done = promised(even(0.9, 1.0), Promise(), 100)
    assert done.locked.guarantee.promise == "max_disagreement"
    assert any("scores 1 by construction" in said for said in done.warnings)


def test_a_loss_that_was_written_down_stays_the_promise_when_the_ceiling_is_always_right() -> None:
    done = promised(even(0.9, 1.0), Promise(max_loss=0.02), 100)
    assert done.locked.guarantee.promise == "max_loss"


def test_without_answers_the_score_is_the_agreement_with_a_ceiling_that_is_the_reference() -> None:
    world = even(0.999, 1.0)
    tune, rows = (without_answers(world.draw(300, [i], p)) for i, p in enumerate("tc"))
    done = on(tune, rows, Promise(), reference="ceiling")
    assert (done.state, done.locked.guarantee.promise) == ("certified", "max_disagreement")


def test_error_costs_need_right_answers() -> None:
    world, promise = KEPT["max_error_cost"]
    tune, rows = world.draw(60, [1], "t"), world.draw(60, [2], "c")
    bare = msgspec.structs.replace(rows, truths=())
    with pytest.raises(DataError, match="no row says which label is right"):
        on(tune, bare, promise)


def test_an_error_that_is_not_named_costs_the_most() -> None:
    wrong = even(0.0, 1.0, share=0.0)  # every y is called z, every z is called x
    named = promised(wrong, Promise(max_error_cost=3.0, error_costs=COSTS), 200)
    unnamed = promised(wrong, Promise(max_error_cost=3.0, error_costs={"x": {"y": 4.0}}), 200)
    assert dearest(named) == pytest.approx(1.5, abs=0.2)
    # Of the random mixes with the ceiling the last that is tested lets the small tier answer 4/5.
    assert dearest(unnamed) == pytest.approx(4.0 * 0.8, abs=0.3)


def dearest(one: Certified) -> float:
    """The error cost of the policy that lets the small tier answer most."""
    assert one.tested is not None
    figures = [policy.figures[0] for policy in one.tested.policies if policy.figures]
    return max(figure for figure in figures if figure is not None)


def test_a_limit_that_no_error_can_exceed_promises_nothing() -> None:
    with pytest.raises(DataError, match="would promise nothing"):
        promised(even(0.9, 1.0), Promise(max_error_cost=4.0, error_costs=COSTS))


def test_recall_of_a_label_that_never_occurs_is_refused_with_the_labels_that_do() -> None:
    with pytest.raises(DataError, match="no row of 100 has that label") as caught:
        promised(even(0.9, 1.0), Promise(max_loss=0.1, recall={"legal_threat": 0.99}))
    assert "'x', 'y', 'z'" in caught.value.hint


def test_a_label_that_only_the_certify_rows_hold_can_still_be_promised() -> None:
    tune = even(0.99, 1.0, share=0.0).draw(60, [1], "t")
    rows = even(0.99, 1.0).draw(300, [2], "c")
    done = on(tune, rows, Promise(max_loss=LOOSE, recall={"x": 0.8}))
    assert done.state == "certified"


def test_min_score_counts_answers_without_a_score_as_wrong_and_says_how_many() -> None:
    world, promise = KEPT["min_score"]
    tune, rows = world.draw(60, [1], "t"), world.draw(200, [2], "c")
    score = rows.score["small"].copy()
    score[:100] = np.nan
    done = on(tune, msgspec.structs.replace(rows, score=rows.score | {"small": score}), promise)
    assert done.state == "ceiling"
    assert any("100 answers of 'small' have no score" in said for said in done.warnings)


def test_min_score_needs_no_score_of_the_ceiling() -> None:
    world, promise = KEPT["min_score"]
    tune, rows = world.draw(60, [1], "t"), world.draw(200, [2], "c")
    blank = msgspec.structs.replace(rows, score=rows.score | {"big": np.full(rows.n, np.nan)})
    done = on(tune, blank, promise)
    assert (done.state, done.dropped) == ("certified", 0)
    assert done.locked.guarantee.loss is not None
    assert done.locked.guarantee.loss.value is None


RISING = even(0.97, 0.9, signals=True)


def test_without_tune_rows_one_tiers_threshold_is_found_and_tested_by_auto() -> None:
    rows = RISING.draw(400, [3], "c")
    done = on([], rows, Promise(min_score=0.85))  # type: ignore[arg-type]
    stated = done.locked.guarantee
    assert (done.state, stated.n_tune) == ("certified", 0)
    assert "AUTO" in stated.method
    assert done.locked.kept["small"] > 0.5
    assert stated.bound is not None
    assert stated.bound >= 0.85


def test_auto_is_wrong_no_more_often_than_delta() -> None:
    world, trials = even(0.846, 0.95, signals=True), 60
    rows = [world.draw(150, [seed, 2], "c") for seed in range(trials)]
    done = [on([], one, Promise(min_score=0.85)) for one in rows]  # type: ignore[arg-type]
    assert judge(sum(one.state == "certified" for one in done), trials) > 0.01


def test_without_tune_rows_a_promise_that_must_search_is_refused() -> None:
    with pytest.raises(DataError, match="has 0 tune and 100 certify rows"):
        on([], RISING.draw(100, [3], "c"), Promise(floor=0.8))  # type: ignore[arg-type]


def test_a_delta_for_the_project_is_divided_among_its_tasks_and_that_is_said() -> None:
    world, _ = KEPT["floor"]
    promise = Promise(floor=0.85, delta=0.1, over="project")
    stated = promised(world, promise, 300, tasks_together=4).locked.guarantee
    assert stated.delta == pytest.approx(0.025)
    assert any("4 tasks of the project together" in said for said in stated.assumptions)
    alone = promised(world, Promise(floor=0.85), 300, tasks_together=4).locked.guarantee
    assert alone.delta == 0.1


def test_a_cost_beside_a_promise_is_estimated_and_not_certified() -> None:
    world, _ = KEPT["floor"]
    done = promised(world, Promise(floor=0.85, max_cost_usd=0.5), 300)
    (cost,) = done.locked.guarantee.beside
    assert (cost.promise, cost.certified, cost.bound) == ("max_cost_usd", False, None)
    assert cost.estimate is not None
    assert cost.estimate.value == pytest.approx(0.001)


def test_what_is_slower_than_was_promised_is_not_chosen() -> None:
    world, _ = KEPT["floor"]
    done = promised(world, Promise(floor=0.85, max_latency_s=0.5), 300)
    assert done.state == "ceiling"
    assert "not surely within max_latency_s 0.5" in done.locked.guarantee.why


@pytest.mark.parametrize("column", ["cost_usd", "latency_s"])
def test_an_unknown_amount_cannot_be_promised(column: str) -> None:
    world, _ = KEPT["floor"]
    tune, rows = world.draw(60, [1], "t"), world.draw(60, [2], "c")
    values = getattr(rows, column)
    holes = values | {"small": np.where(np.arange(60) < 7, np.nan, 1.0)}
    cut = msgspec.structs.replace(rows, **{column: holes})
    promise = Promise(floor=0.85, max_cost_usd=5, max_latency_s=5)
    with pytest.raises(DataError, match=f"{column} is unknown for 7 of 60 calls of 'small'"):
        on(tune, cut, promise)


@pytest.mark.parametrize(
    ("world", "promise", "low", "high"),
    [
        (even(0.97, 1.0), Promise(min_score=0.95), 200, 900),
        (even(0.97, 0.97), Promise(max_loss=0.05), 60, 900),
        (even(0.999, 0.999), Promise(max_loss=0.001), 1000, 60_000),
        (even(0.9, 0.9), Promise(floor=0.8), 20, 200),
    ],
)
def test_when_undecided_the_rows_that_would_decide_are_named(
    world: Labelled, promise: Promise, low: int, high: int
) -> None:
    done = promised(world, promise, 15, n_tune=1000)
    needed = done.locked.guarantee.labels_needed
    assert (done.state, needed is not None) == ("ceiling", True)
    assert low < (needed or 0) < high


def test_graded_scores_are_planned_by_drawing_the_tune_rows_again() -> None:
    free = msgspec.structs.replace(TASK, labels=())
    done = promised(even(0.9, 0.9), Promise(floor=0.8), 15, n_tune=1000, task=free)
    assert 20 < (done.locked.guarantee.labels_needed or 0) < 500


def test_the_labels_of_a_population_are_all_used() -> None:
    assert set(even(0.9, 0.9).draw(300, [0], "c").truths) == set(LABELS)


def test_where_the_ceiling_is_the_reference_answers_without_a_score_are_scored_by_agreement() -> (
    None
):
    world = even(0.97, 1.0)
    tune, rows = (
        msgspec.structs.replace(t, score={tier: np.full(t.n, np.nan) for tier in t.score})
        for t in (world.draw(300, [i], p) for i, p in enumerate("tc"))
    )
    done = on(tune, rows, Promise(max_disagreement=0.1), reference="ceiling")
    assert done.state == "certified"
    assert done.locked.expected["score"].value == pytest.approx(0.97, abs=0.03)
    assert not any("no score" in said for said in done.warnings)
