"""A log of very many steps, or of very many kinds of broken rows, is still a page to be read."""

from datetime import date

from stepdown.adapters.prices.book import Book
from stepdown.adapters.render.html import html_document
from stepdown.adapters.render.plain import csv_table
from stepdown.audit import audit, audit_document
from stepdown.audit.bill_tables import MOST_STEPS, bill_table
from stepdown.audit.document import MOST_REASONS
from stepdown.audit.sums import reason_of
from stepdown.core.call_columns import Batch
from stepdown.core.report import Table
from stepdown.core.request import Message, Usage
from stepdown.core.usage_log import LoggedCall, Refused

CALLS = [
    LoggedCall(
        id=str(number),
        step=f"a step with quite a long name, number {number}",
        model="gpt-4.1",
        at=f"2026-{1 + number % 12:02}-{1 + number % 28:02}T00:00:00Z",
        messages=(
            Message("system", f"A prompt of {number}."),
            Message("user", f"text {number}"),
        ),
        answer=f"an answer {number} " * 20,
        usage=Usage(1000 + number, 100),
    )
    for number in range(1000)
]


def test_a_thousand_steps_are_a_page_under_500_kb_and_all_of_them_a_csv() -> None:
    report = audit([Batch.of(CALLS)], Book(date(2026, 11, 22)))
    page = html_document(audit_document(report))
    assert len(page.encode()) < 500_000
    assert f"The {MOST_STEPS} costliest steps; 960 more" in page
    assert len(csv_table(bill_table(report)).splitlines()) == 1000 + 2


def test_reasons_that_differ_in_the_value_alone_count_together() -> None:
    refused = [
        Refused("log", line, why)
        for line, why in enumerate(
            [
                "not a time: 'x1'",
                "not a time: 'x2'",
                "cost_usd is no number: '1 dollar: 5'",
                "prompt_tokens must not be negative or endless: -5",
                "prompt_tokens must not be negative or endless: -70",
                'no "request": not a request/response pair',
            ],
            1,
        )
    ]
    read = audit([Batch(refused=refused)], Book(date(2026, 11, 22))).read
    assert {why: n for why, n, _ in read.refused} == {
        "not a time": 2,
        "cost_usd is no number": 1,
        "prompt_tokens must not be negative or endless": 2,
        'no "request": not a request/response pair': 1,
    }
    assert next(row.why for why, _, row in read.refused if why == "not a time").endswith("'x1'")


def test_very_many_reasons_are_cut_and_it_is_said() -> None:
    refused = [Refused("log", line, f"reason number {line} of a kind") for line in range(1, 41)]
    report = audit([Batch(refused=refused)], Book(date(2026, 11, 22)))
    blocks = [block for section in audit_document(report).sections for block in section.blocks]
    table = next(block for block in blocks if isinstance(block, Table) and block.title == "The log")
    shown = [row for row in table.rows if row[0] == "refused"]
    assert len(shown) == MOST_REASONS + 1
    assert shown[-1][2] == "for 28 more reasons, in --json"
    assert report.read.refused_rows == 40


def test_a_reason_keeps_what_is_not_the_value() -> None:
    assert reason_of("not JSON: JSON is malformed (byte 7)") == "not JSON: JSON is malformed"
    assert reason_of("a response of kind 'x', which nobody knows").endswith("nobody knows")
