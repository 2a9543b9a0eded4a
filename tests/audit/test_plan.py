"""Kinds of work, their evidence, and what could step down."""

import json

import pytest

from stepdown.audit import Assumption, AuditReport, Rules, StepBill, audit, audit_document
from stepdown.audit.bill_tables import bill_table
from stepdown.core.call_columns import Batch
from stepdown.core.report import Claim, Document, Table
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall
from stepdown.ports.price_book import Rate, Rates

LIST = Rate(input=2.0, output=10.0, basis="list", source="a list")
N = 400


class Book:
    def rates(
        self, model: str, *, provider: str | None, day: str | None, processing: str
    ) -> Rates | None:
        return None if model.endswith("secret") else Rates((LIST,))


price_of = Book()


def log(
    asked: list[str],
    answers: list[str],
    name: str = "step",
    usage: Usage | None = None,
    tools: int = 0,
) -> list[LoggedCall]:
    return [
        LoggedCall(
            id=f"{name}{i}",
            step=name,
            step_rule="flag",
            model="m",
            messages=(Message("user", text),),
            answer=answer,
            usage=usage or Usage(1000, 100),
            tools=tools,
        )
        for i, (text, answer) in enumerate(zip(asked, answers, strict=True))
    ]


def run(calls: list[LoggedCall], rules: Rules | None = None) -> AuditReport:
    return audit([Batch.of(calls)], price_of, rules=rules)


def one(calls: list[LoggedCall], rules: Rules | None = None) -> StepBill:
    (step,) = run(calls, rules).steps
    return step


MESSAGES = [f"Order A{i} of {i % 7} lamps came late and nobody wrote to me" for i in range(N)]


def test_a_bounded_set_of_answers_is_a_classification_for_an_expert() -> None:
    labels = [f'{{"intent": "label_{i % 30}"}}' for i in range(N)]
    step = one(log(MESSAGES, labels))
    assert (step.kind.kind, step.advice.verdict, step.advice.tier) == ("classify", "yes", "expert")
    assert len(step.labels) == 30
    assert step.kind.evidence[0] == "30 different answers in 400"
    assert step.contract is not None
    assert step.contract.output == '{"intent": "{answer}"}'


def test_answers_that_are_all_different_are_no_classification() -> None:
    step = one(log(MESSAGES, [f"word{i}" for i in range(N)]))
    assert step.kind.kind != "classify"
    assert step.labels == ()


def test_one_answer_for_everything_needs_no_model() -> None:
    assert one(log(MESSAGES, ["ok"] * N)).advice.tier == "rule"


def test_the_same_fields_copied_from_the_input_are_an_extraction() -> None:
    answers = [json.dumps({"order": f"A{i}", "date": None}) for i in range(N)]
    step = one(log(MESSAGES, answers))
    assert (step.kind.kind, step.advice.tier) == ("extract", "small")
    assert "100% of its texts are copied from the input" in step.kind.evidence


def test_one_structure_to_another_is_a_conversion() -> None:
    asked = [json.dumps({"id": i, "who": f"p{i}"}) for i in range(N)]
    answers = [json.dumps({"number": i, "person": f"p{i}"}) for i in range(N)]
    assert one(log(asked, answers)).kind.kind == "convert"


def test_a_rewritten_input_is_a_polish_and_a_new_text_is_a_draft() -> None:
    polished = [text.replace("nobody wrote", "no one has written") for text in MESSAGES]
    assert one(log(MESSAGES, polished)).kind.kind == "polish"
    replies = [f"We are sorry, parcel {i} is on its way and arrives soon." for i in range(N)]
    assert one(log(MESSAGES, replies)).kind.kind == "draft"


def test_short_prose_from_a_long_input_is_a_summary() -> None:
    asked = [" ".join(f"fact{i}x{j}" for j in range(300)) for i in range(N)]
    answers = [f"It is about fact{i}x1 and fact{i}x2 mostly." for i in range(N)]
    assert one(log(asked, answers)).kind.kind == "summarise"


def test_long_prose_is_open_ended_and_stays() -> None:
    answers = [f"An essay, number {i}." for i in range(N)]
    step = one(log(MESSAGES, answers, usage=Usage(1000, 3000)))
    assert (step.kind.kind, step.advice.verdict, step.advice.tier) == ("open-ended", "no", "stay")
    assert step.advice.saving is None


@pytest.mark.parametrize(("tools", "verdict"), [(2, "maybe"), (12, "no")])
def test_calls_with_many_tools_stay(tools: int, verdict: str) -> None:
    step = one(log(MESSAGES, [f"t{i}" for i in range(N)], tools=tools))
    assert (step.kind.kind, step.advice.verdict) == ("tool_call", verdict)


def test_few_calls_make_a_yes_a_maybe_and_say_so() -> None:
    step = one(log(MESSAGES[:50], [f"l{i % 3}" for i in range(50)]))
    assert (step.kind.kind, step.advice.verdict) == ("classify", "maybe")
    assert "only 50 calls" in step.advice.why


def test_without_content_a_kind_is_read_from_the_name_or_unknown() -> None:
    def bare(name: str) -> LoggedCall:
        return LoggedCall(id=name, step=name, model="m", usage=Usage(10, 1))

    kinds = {step.name: step for step in run([bare("intent"), bare("zzz")]).steps}
    assert kinds["intent"].kind.kind == "classify"
    assert kinds["intent"].advice.verdict == "maybe"
    assert (kinds["zzz"].kind.kind, kinds["zzz"].advice.tier) == ("unknown", "stay")


def test_a_saving_says_what_each_end_assumes_and_pays_for_every_attempt() -> None:
    rules = Rules(assumptions={"expert": Assumption(0.5, 0.9, 0.0001, "your rate")})
    step = one(log(MESSAGES, [f"l{i % 3}" for i in range(N)]), rules)
    saving = step.advice.saving
    assert saving is not None
    # 400 calls of $0.003; 400 attempts of $0.0001 are paid whether kept or not.
    assert saving.low_usd == pytest.approx(0.5 * 1.2 - 0.04)
    assert saving.high_usd == pytest.approx(0.9 * 1.2 - 0.04)
    assert saving.low_assumes.startswith("50% of calls")
    assert "your rate" in saving.high_assumes


def tables(document: Document) -> dict[str, Table]:
    blocks = [block for section in document.sections for block in section.blocks]
    return {block.title: block for block in blocks if isinstance(block, Table)}


def test_the_document_holds_the_bill_the_plan_and_what_was_read() -> None:
    report = run(log(MESSAGES, [f"l{i % 3}" for i in range(N)], "intent"))
    found = tables(audit_document(report))
    assert list(found) == [
        "Today, per step",
        "The calls of each step",
        "The plan",
        "The evidence",
        "What it would take to prove it",
        "The same model, asked less",
        "The log, before and after",
        "The log",
    ]
    for table in found.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
    bill = found["Today, per step"]
    assert bill.total is not None
    assert len(bill.total) == len(bill.columns)
    assert any("list price" in note for note in bill.notes)


def test_an_unknown_figure_stays_unknown_in_the_document() -> None:
    report = run([LoggedCall(id="1", step="a")])
    bill = bill_table(report)
    cells = dict(zip([c.title for c in bill.columns], bill.rows[0], strict=True))
    for title in ("Cost", "$/message", "p50", "Tokens in"):
        cell = cells[title]
        assert isinstance(cell, Claim)
        assert cell.value is None


def test_an_empty_report_is_still_a_document() -> None:
    assert tables(audit_document(run([])))["Today, per step"].rows == ()
