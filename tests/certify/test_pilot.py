"""The pilot takes the signal that tells right from wrong, and does not take noise for one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from stepdown.certify.calibration import Pilot, choose, pilot, with_confidence
from stepdown.core.bought import Bought
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel, panel

RNG = np.random.default_rng(7)
N = 200
RIGHT = (RNG.random(N) < 0.7).astype(float)
NOISE = RNG.uniform(0, 1, N)
TELLING = np.clip(0.5 * RIGHT + RNG.uniform(0, 0.5, N), 0, 1)


def rows(
    signals: dict[str, np.ndarray],
    right: np.ndarray = RIGHT,
    *,
    failures: Mapping[int, str] = {},
    more: list[Outcome] | None = None,
) -> Panel:
    made = [
        Outcome(
            query_id=f"q{i}",
            tier="small",
            score=0.0 if i in failures else float(right[i]),
            signals={name: float(values[i]) for name, values in signals.items()},
            answer="same" if right[i] else f"other {i}",
            failure=failures.get(i),
        )
        for i in range(len(right))
    ]
    return panel([*made, *(more or [])])


def area(found: Pilot, name: str) -> float:
    one = next(one for one in (*found.ranked, *found.others) if one.signal == name)
    assert one.auroc is not None
    return one.auroc


def test_a_signal_that_tells_beats_the_preferred_one_that_does_not() -> None:
    found = pilot(rows({"label_prob": NOISE, "margin": TELLING}), "small", "classify")
    assert found.chosen is not None
    assert found.chosen.signal == "margin"
    assert area(found, "margin") > 0.9


def test_of_signals_that_cannot_be_told_apart_the_preferred_one_is_taken() -> None:
    wobble = np.clip(TELLING + RNG.normal(0, 0.01, N), 0, 1)
    table = rows({"certainty": TELLING, "margin": TELLING, "label_prob": wobble})
    found = pilot(table, "small", "classify")
    assert found.chosen is not None
    assert found.chosen.signal == "label_prob"


def test_with_few_rows_a_lucky_signal_does_not_replace_the_preferred_one() -> None:
    few = RIGHT[:24].copy()
    few[:] = 1.0
    few[0] = 0.0
    lucky = np.linspace(0.1, 0.9, 24)  # ranks the one wrong row last, by luck
    default = np.roll(lucky, -4)  # four right rows below it
    found = pilot(rows({"label_prob": default, "margin": lucky}, few), "small", "classify")
    assert area(found, "margin") == 1.0
    assert found.chosen is not None
    assert found.chosen.signal == "label_prob"


def test_signals_of_another_kind_of_task_are_not_looked_at() -> None:
    table = rows({"label_prob": NOISE, "field_min": TELLING})
    assert [one.signal for one in pilot(table, "small", "classify").ranked] == ["label_prob"]
    chosen = choose(table, "small", "extract")
    assert chosen is not None
    assert chosen.signal == "field_min"


def test_a_constant_signal_is_left_out_with_a_note() -> None:
    table = rows({"field_min": np.full(N, 0.9), "span_found": TELLING})
    found = pilot(table, "small", "extract")
    assert found.chosen is not None
    assert found.chosen.signal == "span_found"
    assert found.notes == ("small: field_min is constant on the tune rows and says nothing.",)


def test_where_every_answer_is_right_nothing_is_learned_and_the_preferred_signal_stays() -> None:
    found = choose(rows({"label_prob": np.ones(N), "familiarity": NOISE}, np.ones(N)), "small")
    assert found is not None
    assert (found.signal, found.kind) == ("label_prob", "identity")


def test_noise_is_named_as_such() -> None:
    (note,) = pilot(rows({"token_mean": NOISE}), "small", "draft").notes
    assert note == "small: token_mean hardly tells right from wrong answers."


def test_answers_that_cannot_be_sent_do_not_flatter_the_check_of_their_shape() -> None:
    shape = np.ones(N)
    shape[:40] = 0.0
    table = rows({"schema_valid": shape}, failures=dict.fromkeys(range(40), "invalid_output"))
    (one,) = pilot(table, "small", "extract").ranked
    assert one.auroc is None
    assert "constant" in one.note


def test_where_a_signal_is_unknown_it_ranks_last() -> None:
    gaps = TELLING.copy()
    gaps[RIGHT == 1] = np.where(RNG.random(int(RIGHT.sum())) < 0.5, np.nan, gaps[RIGHT == 1])
    found = pilot(rows({"label_prob": TELLING, "margin": gaps}), "small", "classify")
    assert area(found, "margin") < area(found, "label_prob")


def bought(name: str, values: np.ndarray) -> list[Outcome]:
    return [
        Outcome(query_id=f"q{i}", tier=f"?{name}", signals={"value": float(values[i])})
        for i in range(N)
    ]


def test_without_log_probabilities_a_vote_is_what_a_policy_should_read() -> None:
    vote = {"sure": Bought(kind="vote", tier="small")}
    found = pilot(rows({}, more=bought("sure", np.round(TELLING, 1))), "small", "classify", vote)
    assert found.chosen is None
    assert found.best == "sure"
    about_another = {"sure": Bought(kind="judge", tier="small", of="mid")}
    assert pilot(rows({}, more=bought("sure", TELLING)), "small", None, about_another).best is None


def test_agreement_with_another_tier_is_measured_as_a_policy_reads_it() -> None:
    mid = [Outcome(query_id=f"q{i}", tier="mid", score=1.0, answer="same") for i in range(N)]
    found = pilot(rows({"label_prob": NOISE}, more=mid), "small", "classify")
    assert area(found, "mid=small") == 1.0
    assert found.best == "mid=small"


def test_a_free_signal_is_read_unless_another_is_clearly_better() -> None:
    vote = {"sure": Bought(kind="vote", tier="small")}
    table = rows({"label_prob": TELLING}, more=bought("sure", TELLING))
    assert pilot(table, "small", "classify", vote).best == "small.confidence"


@pytest.mark.parametrize("n", [0, 5])
def test_a_handful_of_rows_chooses_the_preferred_signal_as_it_is(n: int) -> None:
    table = rows({"margin": TELLING, "label_prob": NOISE}, RIGHT).take(np.arange(n))
    found = choose(table, "small", "classify")
    if n == 0:
        assert found is None
    else:
        assert found is not None
        assert (found.signal, found.kind) == ("label_prob", "identity")


def test_a_skewed_signal_gets_the_map_that_fits_it_and_keeps_its_order() -> None:
    rng = np.random.default_rng(3)
    s = rng.beta(0.4, 0.4, 4000)
    truth = 1 / (1 + np.exp(-(0.1 * np.log(s) - 2.0 * np.log(1 - s) - 2.0)))
    right = (rng.random(4000) < truth).astype(float)
    table = rows({"label_prob": s}, right)
    found = choose(table, "small", "classify")
    assert found is not None
    assert found.kind == "beta"
    sure = with_confidence(table, {"small": found}).signals["small.confidence"]
    order = np.argsort(s)
    assert (np.diff(sure[order]) >= -1e-12).all()
    assert abs(sure.mean() - right.mean()) < 0.01
