"""The budget of audits: spread over the month, held while audits are under way."""

from __future__ import annotations

from datetime import date

import pytest

from stepdown.config.schema import AuditingKeys, AuditLimits
from stepdown.wiring.audit_purses import LATE_S, Purses, allowance


class Books:
    """What the ledger says of the month, moved on by hand."""

    def __init__(self) -> None:
        self.month = 0.0
        self.now_s = 1000.0

    def __call__(self, _task: str) -> tuple[float, float]:
        return 0.0, self.month


def purses(keys: AuditingKeys, books: Books, day: int = 15) -> Purses:
    return Purses(keys, books, today=lambda: date(2026, 11, day), seconds=lambda: books.now_s)


def test_the_budget_of_a_month_is_spread_over_its_days() -> None:
    assert allowance(30.0, date(2026, 11, 1)) == pytest.approx(1.0)
    assert allowance(30.0, date(2026, 11, 30)) == pytest.approx(30.0)
    assert allowance(28.0, date(2027, 2, 28)) == pytest.approx(28.0)


def test_a_busy_day_cannot_spend_the_month() -> None:
    books = Books()
    keys = AuditingKeys(share=0.1, usd_per_month=30.0)
    books.month = 14.9
    assert purses(keys, books)("intent").left()
    books.month = 15.1
    assert not purses(keys, books)("intent").left()
    assert purses(keys, books, day=16)("intent").left()


def test_what_the_books_do_not_hold_yet_counts_too() -> None:
    books, keys = Books(), AuditingKeys(share=0.1, usd_per_month=2.0)
    found = purses(keys, books)("intent")
    found.begun()
    found.spent(0.6)
    assert not found.left()  # 0.6 spent and 0.6 for the next one is above 1.0
    books.now_s += LATE_S + 1
    assert found.left()
    found.begun()
    assert not found.left()  # one under way and the next


def test_an_audit_without_a_cost_counts_as_the_dearest_so_far() -> None:
    books, keys = Books(), AuditingKeys(share=0.1, usd_per_month=4.0)
    found = purses(keys, books)("intent")
    found.spent(0.7)
    found.spent(None)
    assert not found.left()


def test_a_task_has_its_own_words() -> None:
    keys = AuditingKeys(share=0.1, tasks={"intent": AuditLimits(share=0.5)})
    made = purses(keys, Books())
    assert (made("intent").share, made("urgency").share) == (0.5, 0.1)
    assert not made("intent").limited
    assert Purses(None, Books())("intent").share == 0.0
