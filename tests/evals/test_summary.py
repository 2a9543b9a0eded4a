"""From outcomes to the decision: who passes, what is not decidable, what is unknown."""

import io
import random
from collections.abc import Sequence
from typing import Any

import pytest
from eval_fakes import LABEL_TASK
from msgspec.structs import replace
from rich.console import Console

from stepdown.adapters.render.terminal import print_document
from stepdown.core.outcome import Outcome
from stepdown.core.report import Table
from stepdown.core.task import Promise, Task
from stepdown.errors import DataError
from stepdown.evals.decision import (
    Evidence,
    Question,
    decide_on,
    design_effect,
    holm,
    more_labels,
    p_value,
)
from stepdown.evals.document import eval_document
from stepdown.evals.summary import Summary, TierFigures, summarise

TASK = replace(
    LABEL_TASK, tiers=("rule", "small", "big"), promise=Promise(max_loss=0.05, delta=0.1)
)


def column(tier: str, scores: Sequence[float | None], **more: Any) -> list[Outcome]:
    return [Outcome(query_id=f"q{i}", tier=tier, score=s, **more) for i, s in enumerate(scores)]


def wrong(n: int, first: int, *, start: int = 0) -> list[float | None]:
    return [0.0 if start <= i < start + first else 1.0 for i in range(n)]


def summed(outcomes: Sequence[Outcome], task: Task = TASK, **more: Any) -> Summary:
    return summarise(task, outcomes, seed=1, **more)


def of(summary: Summary, tier: str) -> TierFigures:
    return next(figures for figures in summary.tiers if figures.tier == tier)


def three(n: int, rule: int, small: int, big: int = 0) -> list[Outcome]:
    return [
        *column("rule", wrong(n, rule)),
        *column("small", wrong(n, small)),
        *column("big", wrong(n, big)),
    ]


def test_the_smallest_tier_that_passes_is_chosen() -> None:
    found = summed(three(400, rule=100, small=4))
    assert found.decision.chosen == "small"
    assert found.decision.text == "small is the smallest tier that passes."
    assert [f.verdict for f in found.tiers] == ["fails", "passes", "ceiling"]


def test_a_weaker_tier_may_pass_where_a_stronger_one_fails() -> None:
    assert summed(three(400, rule=4, small=100)).decision.chosen == "rule"


def test_when_every_smaller_tier_fails_the_task_stays_on_the_ceiling() -> None:
    found = summed(three(400, rule=100, small=80))
    assert found.decision.chosen == "big"
    assert "stays on big" in found.decision.text


def test_too_few_rows_are_not_decidable_and_say_how_many_more() -> None:
    found = summed(three(40, rule=20, small=0))
    assert found.decision.chosen is None
    assert found.decision.cheaper_undecided == "small"
    more = found.decision.more_labels
    assert more is not None
    assert more > 40
    assert found.decision.text == f"Not decidable: label about {more:,} more, for small."


def test_a_cheaper_tier_that_is_undecided_is_named_beside_the_choice() -> None:
    found = summed(three(200, rule=7, small=0))
    assert found.decision.chosen == "small"
    assert found.decision.cheaper_undecided == "rule"
    assert "A cheaper tier, rule, is not decidable" in found.decision.text


def test_a_dead_ceiling_decides_nothing() -> None:
    rows = [*column("small", wrong(50, 1)), *column("big", [None] * 50, failure="unavailable")]
    found = summed(rows)
    assert found.decision.chosen is None
    assert found.floor is None
    assert found.ceiling_score is None
    assert of(found, "big").unscored == 50


def test_rows_without_a_score_are_left_out_and_counted_never_zero() -> None:
    rows = [*column("small", [1.0, None, 1.0, 0.0]), *column("big", [1.0, 1.0, None, 1.0])]
    found = of(summed(rows), "small")
    assert found.score.value == pytest.approx(2 / 3)
    assert (found.unscored, found.paired) == (1, 2)
    assert found.difference is not None
    assert found.difference.value == -0.5


def test_the_floor_is_the_ceiling_less_the_allowed_loss_unless_given() -> None:
    assert summed(three(100, 0, 0, big=10)).floor == pytest.approx(0.85)
    given = summed(three(400, 0, 0, big=10), floor=0.999)
    assert given.floor == 0.999
    assert given.floor_given
    assert given.decision.chosen is None


def test_an_explicit_floor_that_is_met_does_not_stand_in_the_way() -> None:
    assert summed(three(400, 0, 0, big=10), floor=0.9).decision.chosen == "rule"


def test_groups_widen_the_interval_and_can_undo_a_pass() -> None:
    loose = three(400, rule=100, small=8)
    tight = [replace(o, group=f"g{int(o.query_id[1:]) // 40}") for o in loose]
    free, grouped = summed(loose), summed(tight)
    assert free.decision.chosen == "small"
    assert grouped.decision.chosen is None
    assert grouped.groups == 10
    a, b = of(free, "small").score, of(grouped, "small").score
    assert a.value == b.value
    assert a.low is not None
    assert b.low is not None
    assert b.low < a.low


def test_graded_scores_are_decided_by_a_test_that_fits_them() -> None:
    task = replace(TASK, scorer="patterns")
    draw = random.Random(5)
    base = [draw.choice([0.5, 0.75, 1.0]) for _ in range(600)]
    near = [max(0.0, s - draw.choice([0.0, 0.0, 0.0, 0.01])) for s in base]
    far = [s - 0.3 for s in base]
    rows = [*column("rule", far), *column("small", near), *column("big", base)]
    found = summed(rows, task)
    assert [f.verdict for f in found.tiers] == ["fails", "passes", "ceiling"]


def test_latency_and_cost_are_over_what_is_known_and_the_rest_is_counted() -> None:
    rows = [
        Outcome(query_id="a", tier="small", score=1.0, cost_usd=0.002, latency_s=1.0),
        Outcome(query_id="b", tier="small", score=1.0, latency_s=3.0),
        Outcome(query_id="c", tier="small", failure="unavailable"),
        *(Outcome(query_id=q, tier="big", score=1.0) for q in "abc"),
    ]
    small, big = of(summed(rows), "small"), of(summed(rows), "big")
    assert small.usd_per_1k.value == pytest.approx(2.0)
    assert (small.cost_unknown, big.cost_unknown) == (1, 3)
    assert small.latency_p50_s.value == 2.0
    assert big.usd_per_1k.value is None
    assert big.latency_p95_s.value is None
    assert small.failures == {"unavailable": 1}


def test_outcomes_of_no_tier_of_the_task_are_refused() -> None:
    with pytest.raises(DataError, match="no outcomes of the tiers"):
        summed(column("elsewhere", [1.0]))


def test_holm_steps_down_and_stops_at_the_first_that_is_too_large() -> None:
    assert holm({"a": 0.01, "b": 0.03, "c": 0.2}, 0.06) == {"a", "b"}
    assert holm({"a": 0.03, "b": 0.03}, 0.05) == frozenset()


def test_the_plan_for_labels_reaches_a_set_that_can_decide() -> None:
    asked = Question(max_loss=0.1, delta=0.1, binary=True, seed=1)
    few = Evidence(tier="x", scores=[1.0] * 39 + [0.0], ceiling=[1.0] * 40)
    more = more_labels(few, asked, candidates=1)
    assert more is not None
    n = 40 + more
    errors = round(n / 40)
    many = Evidence(tier="x", scores=[float(i >= errors) for i in range(n)], ceiling=[1.0] * n)
    assert p_value(many, asked) <= asked.delta


def test_rows_of_one_group_count_for_less() -> None:
    import numpy as np

    gap = np.array([-1.0, -1.0, 0.0, 0.0] * 25)
    twins = [str(i // 2) for i in range(100)]
    assert design_effect(gap, None) == 1.0
    assert design_effect(gap, twins) == pytest.approx(2.0)


def test_from_a_single_group_nothing_is_planned_and_the_decision_says_so() -> None:
    import numpy as np

    scores = [0.0] * 2 + [1.0] * 98
    alone = Evidence(tier="x", scores=scores, ceiling=[1.0] * 100, groups=["a"] * 100)
    asked = Question(max_loss=0.05, delta=0.1, binary=True, seed=1)
    assert design_effect(np.array([0.0, -1.0]), ["a", "a"]) is None
    assert design_effect(np.array([0.0, 0.0]), ["a", "a"]) is None
    assert more_labels(alone, asked, 1) is None
    assert "all its rows are one group" in decide_on([alone], "big", asked).text


def test_tiers_that_are_too_weak_pass_no_more_often_than_promised() -> None:
    from scipy import stats

    asked = Question(max_loss=0.05, delta=0.1, binary=True, seed=1)
    draw, wrongly, trials, n = random.Random(11), 0, 400, 150
    known: dict[int, float] = {}
    for _ in range(trials):
        lost = [sum(draw.random() < 0.05 for _ in range(n)) for _ in range(2)]
        for k in set(lost) - set(known):
            scores = [float(i >= k) for i in range(n)]
            known[k] = p_value(Evidence(tier="x", scores=scores, ceiling=[1.0] * n), asked)
        wrongly += bool(holm({str(i): known[k] for i, k in enumerate(lost)}, asked.delta))
    assert stats.binomtest(wrongly, trials, asked.delta, alternative="greater").pvalue > 0.001


LLM = "recorded answers of a large language model"


def test_the_report_fits_80_columns_and_says_what_was_recorded_and_tested() -> None:
    rows = [
        replace(o, latency_s=0.01, cost_usd=1e-6) for o in three(400, 100, 4) if o.tier != "big"
    ]
    rows += [replace(o, cost_usd=0.002) for o in column("big", wrong(400, 0))]
    document = eval_document([summed(rows, recorded={"big": LLM})], split="certify 400")
    paper = Console(file=io.StringIO(), width=80)
    print_document(document, paper)
    text = paper.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= 80
    flat = " ".join(text.split())
    assert LLM in flat
    assert "2 tiers tested at once" in flat
    assert "small is the smallest tier that passes" in flat


def test_every_table_with_a_recorded_tier_says_so_and_no_other_does() -> None:
    rows = three(100, 0, 0)
    for recorded in ({"big": LLM}, dict[str, str]()):
        (section,) = eval_document([summed(rows, recorded=recorded)]).sections
        tables = [block for block in section.blocks if isinstance(block, Table)]
        noted = [any(LLM in n for n in t.notes) for t in tables]
        assert noted == [bool(recorded)] * 2


def test_several_tasks_state_their_multiplicity() -> None:
    one = summed(three(100, 0, 0))
    assert "not divided" in eval_document([one, one]).footer
    assert eval_document([one]).footer == ""


def test_a_stopped_tier_is_called_stopped_and_every_score_keeps_its_n_at_80_columns() -> None:
    figures = summed(three(100, rule=10, small=4))
    stopped = tuple(
        replace(f, stopped="failed.", verdict="no_data") if f.tier == "rule" else f
        for f in figures.tiers
    )
    shown = printed(replace(figures, tiers=stopped))
    assert "failed." in shown
    assert "failed.." not in shown
    assert "stopped" in next(line for line in shown.splitlines() if line.startswith("rule"))
    assert "Not shown" not in shown


def test_n_is_that_of_the_score_and_pairs_stand_apart_where_they_are_fewer() -> None:
    rows = [*column("small", [1.0] * 30), *column("big", [1.0] * 20 + [None] * 10)]
    found = summed(rows, replace(TASK, tiers=("small", "big")))
    table = next(b for b in eval_document([found]).sections[0].blocks if isinstance(b, Table))
    names = [column.title for column in table.columns]
    small = dict(zip(names, table.rows[0], strict=True))
    assert [getattr(small[name], "value", None) for name in ("n", "pairs")] == [30, 20]
    whole = summed(three(100, rule=10, small=4))
    table = next(b for b in eval_document([whole]).sections[0].blocks if isinstance(b, Table))
    assert "pairs" not in [column.title for column in table.columns]


def test_a_scorer_that_raised_is_said_above_the_scores() -> None:
    rows = [*column("small", [0.0] * 3, failure="scorer_error"), *column("big", [1.0] * 3)]
    shown = printed(summed(rows, replace(TASK, tiers=("small", "big"))))
    assert "The scorer raised, by answers: 3 of small." in shown


def printed(summary: Summary) -> str:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    print_document(eval_document([summary]), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
