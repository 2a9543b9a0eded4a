"""What a written value means: amounts, money, days, yes and no. Each returns None where it is none.

Days: python-dateutil, English names of months; amounts and currencies: price-parser. Both guess
more than a scorer may, so what they leave unread, or read in two ways, is no value here.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from msgspec import Struct

from stepdown.core.compare import DateOrder, Decimals

_DOLLARS = frozenset((
    "USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "BRL", "JMD",
    "NAD", "FJD"
))  # fmt: skip
_CODES = {
    "€": "EUR", "£": "GBP", "¥": "JPY", "US$": "USD", "A$": "AUD", "C$": "CAD", "R$": "BRL",
    "₹": "INR", "₩": "KRW", "zł": "PLN", "RM": "MYR", "Rp": "IDR", "Fr": "CHF", "₽": "RUB",
    "S$": "SGD", "HK$": "HKD", "NZ$": "NZD", "₺": "TRY", "฿": "THB", "₫": "VND", "₱": "PHP",
}  # fmt: skip
_YEAR_FIRST = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")
_APOSTROPHE = re.compile(r"(?<=\d)['’](?=\d{3})")  # parts thousands in Switzerland
_MOST = 100  # characters of a text that can be an amount or a day
_YES = frozenset(("true", "yes", "y", "1", "on"))
_NO = frozenset(("false", "no", "n", "0", "off"))


class Money(Struct, frozen=True):
    """An amount, and its currency where one is written: an ISO 4217 code, or `$` for any dollar."""

    amount: Decimal
    currency: str | None = None

    def agrees(self, other: Money) -> bool:
        """Tell whether two currencies can be the same: an unwritten one can be any."""
        pair = {self.currency, other.currency}
        if None in pair or len(pair) == 1:
            return True
        return "$" in pair and not (pair - {"$"}) - _DOLLARS


def squeezed(text: str) -> str:
    """Return the text in NFKC, case-folded, with single spaces; doing it twice changes nothing."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", once.casefold()).split())


def amount_of(value: object, decimal: Decimals | None = None) -> Decimal | None:
    """Return a number, also one written with separators of thousands: `1,234.56`, `1.234,56`.

    A text that is a plain number by itself (`1.234`) is read as one unless `decimal` says that the
    comma is the decimal mark.
    """
    plain = _plain_number(value, decimal)
    if plain is not None or not isinstance(value, str):
        return plain
    found = money_of(value, decimal)
    return None if found is None or found.currency is not None else found.amount


def money_of(value: object, decimal: Decimals | None = None) -> Money | None:
    """Return an amount with its currency; a sign or brackets make it negative.

    Without `decimal` a single mark before exactly three digits parts thousands (`1.234` is 1234),
    as price-parser has it.
    """
    if not isinstance(value, str):
        plain = _plain_number(value, None)
        return None if plain is None else Money(plain)
    return _money(value, decimal)


def day_of(value: object, order: DateOrder | None = None) -> date | None:
    """Return the day that a text names; hours are left out, zones are not converted.

    A year in front is read year, month, day. Otherwise `order` says how 01/02/2026 is read;
    without one a text that can be read in two ways names no day. So does one without a year.
    """
    if isinstance(value, str) and value.strip() and len(value) <= _MOST:
        return _day(unicodedata.normalize("NFKC", value).strip(), order)
    return None


def truth_of(value: object) -> bool | None:
    """Return yes or no, also when it is written as a word or as 1 and 0."""
    if isinstance(value, bool):
        return value
    word = squeezed(str(value)) if isinstance(value, str | int) else ""
    return True if word in _YES else False if word in _NO else None


def _plain_number(value: object, decimal: Decimals | None) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    text = str(value).strip()
    if len(text) > _MOST or (isinstance(value, str) and decimal == "," and "." in text):
        return None
    try:
        found = Decimal(text.replace("_", "x"))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


@lru_cache(maxsize=4096)
def _money(text: str, decimal: Decimals | None) -> Money | None:
    from price_parser import Price

    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    if len(plain) > _MOST:
        return None
    plain = _APOSTROPHE.sub("", plain)
    bare, sign = _signed(plain)
    found = Price.fromstring(bare, decimal_separator=decimal)
    if found.amount is None or not found.amount_text or not any(map(str.isdigit, bare)):
        return None
    rest = bare.replace(found.amount_text, "", 1).replace(found.currency or "", "", 1)
    if rest.strip(" .-,") or abs(found.amount.adjusted()) > _MOST:
        return None
    return Money(sign * found.amount, _currency(found.currency))


def _signed(text: str) -> tuple[str, int]:
    """Return an amount without its sign or the brackets that accountants write, and the sign."""
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].strip(), -1
    if text.count("-") == 1 and not text.endswith(".-") and (head := text.partition("-")):
        before_digits = not any(map(str.isdigit, head[0]))
        if before_digits or not head[2].strip():
            return f"{head[0]}{head[2]}".strip(), -1
    return text, 1


def _currency(written: str | None) -> str | None:
    if not written:
        return None
    return _CODES.get(written, written.upper())


@lru_cache(maxsize=4096)
def _day(text: str, order: DateOrder | None) -> date | None:
    if _YEAR_FIRST.match(text):
        return _parsed(text, day_first=False, year_first=True)
    if text.isdigit():
        return _parsed(text, day_first=False, year_first=True) if len(text) == 8 else None
    if order is not None:
        return _parsed(text, day_first=order == "dmy", year_first=order == "ymd")
    first, second = (_parsed(text, day_first=way, year_first=False) for way in (True, False))
    return first if first == second else None


def _parsed(text: str, *, day_first: bool, year_first: bool) -> date | None:
    """Read a day twice, on top of two days that share no part: what differs was not written."""
    from dateutil import parser

    found = []
    for base in (datetime(2001, 3, 5), datetime(2002, 4, 6)):  # noqa: DTZ001 - no zone is meant
        try:
            read = parser.parse(text, default=base, dayfirst=day_first, yearfirst=year_first)
        except (ValueError, OverflowError, TypeError):
            return None
        found.append(read.date())
    return found[0] if found[0] == found[1] else None
