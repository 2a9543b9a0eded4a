"""What labels shall decide: the same differences as certify reads from judged outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from stepdown.certify.question import Delivered, delivered, labels_from
from stepdown.certify.search import Searched, searched
from stepdown.core.answers import answer_key
from stepdown.core.judgement import Verdicts, judged
from stepdown.core.outcome import Outcome
from stepdown.core.policy import cascade, confidence_of, single
from stepdown.core.replay_array import Panel, panel, replay_array
from stepdown.stats.noninferiority import worst_case_differences

TIERS = ("small", "mid", "big")
FAILURES = (None, None, None, "invalid_output", "unavailable")


def rows(seed: int, n: int = 60) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    return [
        Outcome(
            query_id=f"q{i}",
            tier=tier,
            answer=str(rng.choice(["Yes", "no", "perhaps"])),
            failure=None if tier == "big" else FAILURES[rng.integers(len(FAILURES))],
            signals={"confidence": float(rng.random())},
        )
        for i in range(n)
        for tier in TIERS
    ]


def verdicts(outcomes: list[Outcome], share: float, seed: int) -> Verdicts:
    """All answers of some queries judged at random."""
    rng = np.random.default_rng([seed, 1])
    found: Verdicts = {}
    chosen = {one.query_id for one in outcomes if rng.random() < share}
    for one in outcomes:
        if one.query_id in chosen and one.answer is not None:
            found.setdefault(one.query_id, {})[answer_key(one.answer)] = bool(rng.random() < 0.5)
    return found


def path(table: Panel) -> list[Searched]:
    policies = [single("big"), cascade(("small", "mid", "big"), (0.7, 0.5)), single("mid")]
    return [searched(table, policy) for policy in policies]


def made(outcomes: list[Outcome], said: Verdicts) -> tuple[Panel, list[Searched], Delivered]:
    table = panel(judged(outcomes, "big", said))
    confident = {f"{t}.confidence": table.signals[f"{t}.confidence"] for t in TIERS}
    assert confidence_of("small") in confident
    along = path(table)
    return table, along, delivered(along, table)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_differences_at_worst_are_those_that_certify_tests(seed: int, share: float) -> None:
    outcomes = rows(seed)
    said = verdicts(outcomes, share, seed)
    table, along, codes = made(outcomes, said)
    labels = labels_from(codes, table.query_ids, said)
    agree = codes.codes == codes.codes[0]
    known = np.broadcast_to(labels.known, agree.shape)
    worst = worst_case_differences(agree, known, labels.difference)
    score = np.array([np.nan_to_num(replay_array(o.policy, table).score) for o in along])
    assert worst == pytest.approx(score - score[0])


def test_a_row_of_which_one_answer_was_not_judged_is_unlabelled() -> None:
    outcomes = [Outcome(query_id="q", tier=t, answer=t, signals={}) for t in TIERS]
    table, _, codes = made([*outcomes, *rows(1)], {})
    told = {"q": {"mid": True}}
    assert not labels_from(codes, table.query_ids, told).known[0]
    told["q"]["big"] = False
    found = labels_from(codes, table.query_ids, told)
    assert found.known[0]
    assert found.difference[2, 0] == 1


def test_where_the_ceiling_gave_no_answer_no_label_is_needed() -> None:
    away = Outcome(query_id="q", tier="big", answer="no", failure="truncated", signals={})
    cheap = [Outcome(query_id="q", tier=t, answer="yes", signals={}) for t in TIERS[:2]]
    table, _, codes = made([away, *cheap, *rows(2)], {})
    found = labels_from(codes, table.query_ids, {})
    assert found.known[0]
    assert found.difference[:, 0].tolist() == [0, 0, 0]
    assert not found.known[1:].any()


def test_equal_answers_are_one_and_the_ceilings_comes_first() -> None:
    said = {"small": "Refund", "mid": "delivery", "big": " refund"}
    outcomes = [Outcome(query_id="q", tier=t, answer=a, signals={}) for t, a in said.items()]
    _, _, codes = made([*outcomes, *rows(3)], {})
    assert codes.keys_of(0) == ("refund", "delivery")
