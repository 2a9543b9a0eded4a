"""The loop of learning: its order, its stops, and what an interruption leaves."""

import math
from pathlib import Path

import pytest
from learning_fakes import FakeLearner, Ticking, turns

from stepdown.errors import WeightsError
from stepdown.train.learning import Course, Schedule, batches, learn, rate_at

ROWS = turns(20)
HELD = turns(4, base=1000)


def course(folder: Path, **changes: object) -> Course:
    return Course(folder=folder, key="k", seed=7, stage="learning", **changes)  # type: ignore[arg-type]


def test_every_row_is_learned_once_in_a_pass_and_no_two_passes_have_the_same_order() -> None:
    first, second = (batches(ROWS, 4, 7, epoch) for epoch in (0, 1))
    assert sorted(t.answer for b in first for t in b) == sorted(t.answer for t in ROWS)
    assert first != second
    assert first == batches(ROWS, 4, 7, 0)


def test_a_batch_holds_rows_of_similar_length() -> None:
    spread = [max(t.length for t in b) - min(t.length for t in b) for b in batches(ROWS, 4, 7, 0)]
    assert max(spread) <= 2


def test_the_rate_rises_then_falls_to_nothing() -> None:
    assert rate_at(0.05, 0.1) == pytest.approx(0.5)
    assert rate_at(0.1, 0.1) == pytest.approx(1.0)
    assert rate_at(0.55, 0.1) == pytest.approx(0.5)
    assert rate_at(1.0, 0.1) == pytest.approx(0.0, abs=1e-12)


def test_it_stops_early_and_keeps_the_weights_of_the_best_look(tmp_path: Path) -> None:
    learner = FakeLearner([0.9, 0.5, 0.6, 0.7, 0.8])
    schedule = Schedule(epochs=10, batch=4, checks=1, patience=2)
    found = learn(learner, ROWS, HELD, schedule, course(tmp_path))
    assert (found.ended, found.step, found.best_step, found.best_loss) == ("early", 20, 10, 0.5)
    assert learner.loaded == ["best.safetensors"]
    assert [look.validation_loss for look in found.looks] == [0.9, 0.5, 0.6, 0.7]


def test_without_validation_rows_it_runs_through_and_keeps_the_last_weights(
    tmp_path: Path,
) -> None:
    learner = FakeLearner()
    found = learn(learner, ROWS, [], Schedule(epochs=2, batch=4), course(tmp_path))
    assert (found.ended, found.step, found.best_loss) == ("done", 10, None)
    assert learner.loaded == []


def test_it_ends_before_its_time_is_over_with_the_rate_fallen(tmp_path: Path) -> None:
    learner, clock = FakeLearner(), Ticking(1.0)
    limits = course(tmp_path, seconds=40.0, clock=clock)
    found = learn(learner, ROWS, HELD, Schedule(epochs=100, batch=4), limits)
    assert found.ended == "time"
    assert clock.now <= 45
    assert learner.rates[-1] < 0.3


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    schedule = Schedule(epochs=3, batch=4, checks=1, patience=9)
    whole = FakeLearner()
    learn(whole, ROWS, HELD, schedule, course(tmp_path / "whole"))

    with pytest.raises(KeyboardInterrupt):
        learn(FakeLearner(stop_at=8), ROWS, HELD, schedule, course(tmp_path / "cut"))
    second = FakeLearner()
    found = learn(second, ROWS, HELD, schedule, course(tmp_path / "cut"))

    assert (found.resumed, found.step, len(second.batches)) == (1, 15, 7)
    assert math.isclose(second.weight, whole.weight)


def test_a_finished_run_is_not_learned_again(tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, batch=4)
    learn(FakeLearner(), ROWS, HELD, schedule, course(tmp_path))
    again = FakeLearner()
    found = learn(again, ROWS, HELD, schedule, course(tmp_path))
    assert (again.batches, found.ended) == ([], "done")
    assert again.loaded[-1] == "best.safetensors"


def test_one_that_ended_for_lack_of_time_goes_on_with_more(tmp_path: Path) -> None:
    schedule = Schedule(epochs=2, batch=4, patience=9)
    short = course(tmp_path, seconds=8.0, clock=Ticking(1.0))
    assert learn(FakeLearner(), ROWS, HELD, schedule, short).ended == "time"
    assert learn(FakeLearner(), ROWS, HELD, schedule, course(tmp_path)).ended == "done"


def test_what_another_training_left_is_not_taken_for_ours(tmp_path: Path) -> None:
    learn(FakeLearner([0.1]), ROWS, HELD, Schedule(epochs=1, batch=4), course(tmp_path))
    other = Course(folder=tmp_path, key="other", seed=7, stage="learning")
    learner = FakeLearner()
    found = learn(learner, ROWS, [], Schedule(epochs=1, batch=4), other)
    assert (found.resumed, len(learner.batches), learner.loaded) == (0, 5, [])


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, batch=4)
    found = learn(FakeLearner(), ROWS, HELD, schedule, course(tmp_path))
    (tmp_path / found.checkpoint).write_text("torn")
    with pytest.raises(WeightsError):
        learn(FakeLearner(), ROWS, HELD, schedule, course(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch": 0}, {"patience": 0}, {"warm_up": 1.0}, {"reserve": -0.1}]
)
def test_a_schedule_that_cannot_be_followed_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Schedule(**wrong)  # type: ignore[arg-type]
