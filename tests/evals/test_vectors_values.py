"""Reference vectors: what a written value means, and when two are equal.

`source` says where each expected value comes from: `hand` is worked out by hand from the text,
`iso` from ISO 8601, `cldr` from the number formats of Unicode CLDR 48 (which mark parts thousands,
which begins the fraction), `sroie` from date and amount forms that receipts of ICDAR 2019 SROIE use
(the forms, not the receipts).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from stepdown.core.compare import Compare
from stepdown.evals.scorers.comparing import alike
from stepdown.evals.scorers.normal import Money, amount_of, day_of, money_of, truth_of

MONEY: list[tuple[Any, str | None, tuple[str, str | None] | None, str]] = [
    # written, decimal mark told, amount and currency, source
    ("12.50", None, ("12.50", None), "hand"),
    ("$12.50", None, ("12.50", "$"), "hand"),
    ("US$ 10", None, ("10", "USD"), "hand"),
    ("USD 10", None, ("10", "USD"), "hand"),
    ("10 USD", None, ("10", "USD"), "hand"),
    ("1.234,56 €", None, ("1234.56", "EUR"), "cldr de"),
    ("€ 1.234.567,89", None, ("1234567.89", "EUR"), "cldr nl"),
    ("$1,234.56", None, ("1234.56", "$"), "cldr en"),
    ("1 234,56 zł", None, ("1234.56", "PLN"), "cldr pl"),
    ("1 234,56 €", None, ("1234.56", "EUR"), "cldr fr, no-break space"),
    ("1'234.50 CHF", None, ("1234.50", "CHF"), "cldr de-CH"),
    ("1’234.50 CHF", None, ("1234.50", "CHF"), "cldr de-CH, typographic"),
    ("₹1,00,000", None, ("100000", "INR"), "cldr hi"),
    ("1,23,456.78", None, ("123456.78", None), "cldr en-IN"),
    ("RM12.50", None, ("12.50", "MYR"), "sroie"),
    ("RM 12.50", None, ("12.50", "MYR"), "sroie"),
    ("£0", None, ("0", "GBP"), "hand"),
    ("CHF 5.-", None, ("5", "CHF"), "hand"),
    ("-$5", None, ("-5", "$"), "hand"),
    ("$-5", None, ("-5", "$"), "hand"),
    ("($5.00)", None, ("-5.00", "$"), "hand, brackets of accountants"),
    ("5,00-", None, ("-5.00", None), "hand, sign behind"),
    ("−5.00", None, ("-5.00", None), "hand, minus sign U+2212"),
    ("１２.５０", None, ("12.50", None), "hand, full width"),
    ("1,234", None, ("1234", None), "hand, three digits part thousands"),
    ("1.234", None, ("1234", None), "hand, three digits part thousands"),
    ("1.234", ".", ("1.234", None), "hand, told"),
    ("1,234", ",", ("1.234", None), "hand, told"),
    ("1,23", None, ("1.23", None), "hand"),
    (12.5, None, ("12.5", None), "hand, JSON number"),
    (7, None, ("7", None), "hand, JSON number"),
    ("12.50 or 13.50", None, None, "hand, two amounts are none"),
    ("Total: 9.90", None, None, "hand, words are no amount"),
    ("free", None, None, "hand"),
    ("10-20", None, None, "hand, a range"),
    ("5 apples", None, None, "hand"),
    ("", None, None, "hand"),
    (True, None, None, "hand, JSON true is no number"),
    (None, None, None, "hand"),
]
NUMBERS: list[tuple[Any, str | None, str | None, str]] = [
    ("1.234", None, "1.234", "hand, a plain number stays one"),
    ("1.234", ",", "1234", "hand, told"),
    ("1,234.5", None, "1234.5", "cldr en"),
    ("1.234,5", None, "1234.5", "cldr de"),
    ("1e3", None, "1000", "hand"),
    ("-0.5", None, "-0.5", "hand"),
    ("1 000", None, "1000", "cldr fr"),
    (3, None, "3", "hand"),
    (2.5, None, "2.5", "hand"),
    ("nan", None, None, "hand"),
    ("inf", None, None, "hand"),
    ("$5", None, None, "hand, money is no bare number"),
    ("five", None, None, "hand"),
    (False, None, None, "hand"),
]
DAYS: list[tuple[str, str | None, date | None, str]] = [
    ("2026-01-02", None, date(2026, 1, 2), "iso"),
    ("2026-01-02", "dmy", date(2026, 1, 2), "iso, whatever the order"),
    ("20260102", None, date(2026, 1, 2), "iso basic"),
    ("2026-01-02T23:30:00-05:00", None, date(2026, 1, 2), "iso, the zone is not converted"),
    ("2026/1/2", "dmy", date(2026, 1, 2), "hand, year first"),
    ("02/01/2026", "dmy", date(2026, 1, 2), "hand"),
    ("02/01/2026", "mdy", date(2026, 2, 1), "hand"),
    ("02/01/2026", None, None, "hand, two readings"),
    ("05/05/2020", None, date(2020, 5, 5), "hand, one reading"),
    ("25/12/2018", None, date(2018, 12, 25), "sroie, one reading"),
    ("25-12-18", None, date(2018, 12, 25), "sroie"),
    ("25/12/2018 10:33:12 AM", None, date(2018, 12, 25), "sroie"),
    ("25 DEC 2018", None, date(2018, 12, 25), "sroie"),
    ("10 OCT 18", "dmy", date(2018, 10, 10), "sroie"),
    ("03-JAN-2017", None, date(2017, 1, 3), "sroie"),
    ("Dec 25, 2018", None, date(2018, 12, 25), "hand"),
    ("1st of May 2020", None, date(2020, 5, 1), "hand"),
    ("25.12.2018", None, date(2018, 12, 25), "cldr de"),
    ("01/02/03", "ymd", date(2001, 2, 3), "hand"),
    ("01/02/03", "dmy", date(2003, 2, 1), "hand"),
    ("31/02/2020", "dmy", None, "hand, no such day"),
    ("May 2020", None, None, "hand, no day"),
    ("3 May", None, None, "hand, no year"),
    ("Monday", None, None, "hand"),
    ("2018", None, None, "hand"),
    ("12:30", None, None, "hand"),
    ("soon", "dmy", None, "hand"),
    ("", None, None, "hand"),
]
TRUTHS: list[tuple[Any, bool | None, str]] = [
    (True, True, "hand"),
    ("Yes", True, "hand"),
    (" no ", False, "hand"),
    (0, False, "hand"),
    ("1", True, "hand"),
    ("maybe", None, "hand"),
    (2, None, "hand"),
    (None, None, "hand"),
]
ALIKE: list[tuple[dict[str, Any], Any, Any, float, str]] = [
    # comparison, reference, answer, score, source
    ({"by": "exact"}, "A", "a", 0, "hand"),
    ({"by": "exact"}, 5, 5.0, 1, "hand, JSON has one kind of number"),
    ({"by": "exact"}, 1, True, 0, "hand, JSON true is no number"),
    ({"by": "exact"}, "5", 5, 0, "hand"),
    ({"by": "exact"}, [1, 2], [2, 1], 0, "hand"),
    ({"by": "exact"}, {"a": [1]}, {"a": [1.0]}, 1, "hand"),
    ({"by": "exact"}, None, "", 0, "hand"),
    ({"by": "text"}, "Straße", "STRASSE", 1, "Unicode case folding"),
    ({"by": "text"}, " a\u00a0b ", "A B", 1, "hand"),
    ({"by": "text"}, "é", "e\u0301", 1, "Unicode NFKC"),
    ({"by": "text"}, "a-b", "ab", 0, "hand"),
    ({"by": "text"}, None, " ", 1, "hand, both say nothing"),
    ({"by": "text"}, "5", 5, 1, "hand"),
    ({"by": "number"}, 10, "10.0", 1, "hand"),
    ({"by": "number", "abs": 0.1}, 0.2, 0.3, 1, "hand, in decimals"),
    ({"by": "number", "abs": 0.1}, 0.2, 0.31, 0, "hand"),
    ({"by": "number", "rel": 0.05}, 100, 105, 1, "hand"),
    ({"by": "number", "rel": 0.05}, 100, 105.01, 0, "hand"),
    ({"by": "number", "rel": 0.05}, -100, -95, 1, "hand"),
    ({"by": "number"}, "many", "MANY", 1, "hand, compared as text"),
    ({"by": "number"}, 3, "many", 0, "hand"),
    ({"by": "money"}, "1.234,56 €", "EUR 1,234.56", 1, "cldr"),
    ({"by": "money"}, "$5", "5 CAD", 1, "hand, a dollar may be Canadian"),
    ({"by": "money"}, "$5", "€5", 0, "hand"),
    ({"by": "money"}, "USD 5", "CAD 5", 0, "hand"),
    ({"by": "money"}, "5.00", "$5", 1, "hand, an unwritten currency"),
    ({"by": "money"}, 12.5, "12,50", 1, "hand"),
    ({"by": "money", "abs": 0.01}, "10.00", "10.01", 1, "hand"),
    ({"by": "money"}, "$5", "-$5", 0, "hand"),
    ({"by": "date"}, "2018-12-25", "25 Dec 2018", 1, "hand"),
    ({"by": "date", "order": "dmy"}, "2026-01-02", "2/1/26", 1, "hand"),
    ({"by": "date", "order": "mdy"}, "2026-01-02", "2/1/26", 0, "hand"),
    ({"by": "date"}, "02/01/2026", "02/01/2026", 1, "hand, the same text"),
    ({"by": "date"}, "2026-01-02", "02/01/2026", 0, "hand, not guessed"),
    ({"by": "boolean"}, True, "yes", 1, "hand"),
    ({"by": "boolean"}, False, "true", 0, "hand"),
    ({"by": "set"}, ["a", "b"], ["B", "a"], 1, "hand"),
    ({"by": "set"}, ["a", "b", "c"], ["a", "b"], 0.8, "hand: 2*2/(3+2)"),
    ({"by": "set"}, ["a", "a"], ["a"], 2 / 3, "hand: each once, 2*1/(2+1)"),
    ({"by": "set", "all": True}, ["a", "b", "c"], ["a", "b"], 0, "hand"),
    ({"by": "set"}, [], None, 1, "hand"),
    ({"by": "set"}, "a", ["A"], 1, "hand, one value is a list of one"),
    ({"by": "set", "items": "money"}, ["$1", "$2"], ["2.00", "1.00"], 1, "hand"),
    ({"by": "set", "items": "number", "abs": 1}, [1, 3], [2, 2], 1, "hand, the best pairs"),
    ({"by": "list"}, ["a", "b"], ["b", "a"], 0, "hand"),
    ({"by": "list"}, ["a", "b", "c", "d"], ["a", "b", "c"], 0.75, "hand: 3 places of 4"),
]


@pytest.mark.parametrize(("written", "decimal", "expected", "source"), MONEY)
def test_money(written: Any, decimal: Any, expected: Any, source: str) -> None:
    wanted = None if expected is None else Money(Decimal(expected[0]), expected[1])
    assert money_of(written, decimal) == wanted, source


@pytest.mark.parametrize(("written", "decimal", "expected", "source"), NUMBERS)
def test_numbers(written: Any, decimal: Any, expected: str | None, source: str) -> None:
    assert amount_of(written, decimal) == (expected and Decimal(expected)), source


@pytest.mark.parametrize(("written", "order", "expected", "source"), DAYS)
def test_days(written: str, order: Any, expected: date | None, source: str) -> None:
    assert day_of(written, order) == expected, source


@pytest.mark.parametrize(("written", "expected", "source"), TRUTHS)
def test_truths(written: Any, expected: bool | None, source: str) -> None:
    assert truth_of(written) is expected, source


@pytest.mark.parametrize(("how", "wanted", "given", "score", "source"), ALIKE)
def test_alike(how: dict[str, Any], wanted: Any, given: Any, score: float, source: str) -> None:
    assert alike(Compare(**how), wanted, given) == pytest.approx(score), source
