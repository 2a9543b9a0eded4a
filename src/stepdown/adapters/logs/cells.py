"""Counts, amounts and words out of values that nobody has typed: JSON cells and those of tables."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

# How exports write that there is nothing.
_NOTHING = ("", "null", "None", "NaN", "nan", "\\N")


def count(name: str, value: Any) -> int | None:
    """Return a whole number, None for nothing.

    Raises:
        ValueError: it is none, or negative.
    """
    number = amount(name, value)
    if number is None:
        return None
    if not number.is_integer():
        raise ValueError(f"{name} is no whole number: {value!r}")
    return int(number)


def amount(name: str, value: Any) -> float | None:
    """Return a number that is not negative, None for nothing.

    Raises:
        ValueError: it is none, negative or endless.
    """
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no number: {value!r}") from error
    if isnan(number):  # NaN is how columns of numbers write that there is nothing
        return None
    if number < 0 or not isfinite(number):
        raise ValueError(f"{name} must not be negative or endless: {value!r}")
    return number


def word(value: Any) -> str | None:
    """Return a value as text, None for nothing and for what is no single value."""
    if value is None or isinstance(value, dict | list):
        return None
    text = str(value)
    return None if text in _NOTHING else text


def flag(value: Any) -> float | None:
    """Return 1 or 0 for yes or no, None for nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return 1.0 if value.lower() in ("true", "1", "yes", "hit") else 0.0
    return 1.0 if value else 0.0


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, an empty one for everything else."""
    return value if isinstance(value, dict) else {}
