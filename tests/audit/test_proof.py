"""What a proof would take: the table is the shipped test's, and the saving nets its cost off."""

import msgspec
import pytest
from tests.audit.test_plan import MESSAGES, Book, N, log, one

from stepdown.audit import Assumption, AuditReport, Rules, audit, audit_document
from stepdown.audit.proof import SCENARIOS, plans, proof_of, rows_for
from stepdown.core.call_columns import Batch
from stepdown.core.digest import digest
from stepdown.core.report import Table
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall
from stepdown.ports.price_book import Rate, Rates
from stepdown.stats.planning import plan_max_loss
from stepdown.stats.sequence import FIRST_SHARE

RULES = Rules()


@pytest.mark.parametrize(
    ("limit", "kept", "scenario"),
    [(0.02, 0.9, "good"), (0.03, 0.5, "poor"), (0.03, 1.0, "good"), (0.05, 0.95, "poor")],
)
def test_the_table_says_what_the_test_that_ships_needs(
    limit: float, kept: float, scenario: str
) -> None:
    seen, table = SCENARIOS[scenario], plans()
    share = table.delta * table.first_share
    fresh = plan_max_loss(kept, seen.disagree, seen.loss, seen.gain, limit, share, table.power)
    assert rows_for(limit, kept, scenario) == fresh.rows


def test_the_table_is_whole_and_is_of_the_assumptions_that_the_audit_shows() -> None:
    table = plans()
    assert table.digest == digest(msgspec.to_builtins(table.cells))
    assert dict(table.scenarios) == dict(SCENARIOS)
    assert table.first_share == FIRST_SHARE
    assert len(table.cells) == len(set(table.cells))


def test_a_share_or_limit_between_two_cells_is_planned_by_the_stricter_one() -> None:
    assert rows_for(0.035, 0.6, "poor") == rows_for(0.03, 0.7, "poor")
    assert rows_for(0.001, 0.5, "good") is None


def test_rules_cost_only_attempts_and_judged_work_costs_a_judge_twice_for_each_row() -> None:
    ruled = proof_of("classify", (0.5, 0.95), 0.001, 0.01, RULES)
    judged = proof_of("draft", (0.5, 0.95), 0.001, 0.01, RULES)
    assert (ruled.judged, judged.judged) == (False, True)
    assert ruled.rows_low is not None
    assert ruled.eval_low_usd is not None
    calls = ruled.eval_low_usd / 0.001
    assert ruled.rows_low < calls <= ruled.rows_low * (1 + RULES.tune_rows) + 1
    assert judged.eval_low_usd == pytest.approx(calls * (0.001 + 2 * 0.01))
    assert ruled.labels_low == -(-ruled.rows_low // 40)  # half is kept, a twentieth of it differs


def test_an_unknown_price_is_an_unknown_cost_and_never_zero() -> None:
    assert proof_of("extract", (0.3, 0.9), None, 0.01, RULES).eval_low_usd is None
    assert proof_of("draft", (0.3, 0.9), 0.001, None, RULES).eval_high_usd is None
    assert proof_of("extract", (0.3, 0.9), 0.001, None, RULES).eval_low_usd is not None


def timed(days: float) -> AuditReport:
    calls = [
        LoggedCall(
            id=str(i),
            step="draft",
            model="m",
            at=f"2026-11-{1 + int(i * days / N):02}T00:00:00Z",
            messages=(Message("user", MESSAGES[i]),),
            answer=f"We are sorry, parcel {i} is on its way and arrives soon.",
            usage=Usage(1000, 100),
        )
        for i in range(N)
    ]
    rules = Rules(assumptions={"small": Assumption(0.3, 0.9, model="small")})
    return audit([Batch.of(calls)], Cheap(), rules=rules)


class Cheap(Book):
    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        if model == "small":
            return Rates((Rate(input=0.02, output=0.1, basis="list", source="a list"),))
        return super().rates(model, provider=provider, day=day, processing=processing)


def test_a_saving_is_less_an_eval_a_month_with_its_judge() -> None:
    (step,) = timed(28).steps
    proof, saving = step.advice.proof, step.advice.saving
    assert proof is not None
    assert saving is not None
    assert proof.eval_low_usd is not None
    months = 27 / RULES.month_days
    # 400 calls of $0.003; an attempt is a hundredth of that, for 0.9 of the tokens at the high end
    assert saving.high_usd == pytest.approx(0.9 * 1.2 - 0.9 * 0.012 - months * proof.eval_low_usd)
    assert "less an eval a month with a judge" in saving.high_assumes


def test_a_log_without_a_period_says_that_evals_are_not_in_the_saving() -> None:
    saving = one(log(MESSAGES, [f"l{i % 3}" for i in range(N)])).advice.saving
    assert saving is not None
    assert "before hosting and evals" in saving.low_assumes


def test_the_report_shows_rows_labels_and_cost_with_their_source() -> None:
    blocks = [block for section in audit_document(timed(28)).sections for block in section.blocks]
    table = next(
        b for b in blocks if isinstance(b, Table) and b.title == "What it would take to prove it"
    )
    (row,) = table.rows
    assert row[0] == "draft"
    assert "to" in str(row[1])
    assert row[-1] == "a judge"
    assert any(f"the test that ships ({plans().date})" in note for note in table.notes)
