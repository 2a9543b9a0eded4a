"""Whether two values of a field are equal, as `core.compare.Compare` declares it, 0..1.

A text that cannot be read as what was declared is compared as text. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from stepdown.core.compare import Compare
from stepdown.evals.scorers.normal import (
    amount_of,
    day_of,
    money_of,
    squeezed,
    truth_of,
)

Alike = Callable[[Any, Any], float]
EXACT = Compare(by="exact")


def alike(how: Compare, wanted: Any, given: Any) -> float:
    """Return how equal two values are: 0 or 1, or a share for lists."""
    if how.by in ("set", "list"):
        return alike_lists(how, wanted, given, partial(_alike, how.items, how))
    return _alike(how.by, how, wanted, given)


def alike_lists(how: Compare, wanted: Any, given: Any, item: Alike) -> float:
    """Return the F1 of the items of two lists, matched as well as can be, or place by place.

    A value that is no list is a list of one. With `all` only 1 or 0.
    """
    first, second = _listed(wanted), _listed(given)
    if not first and not second:
        return 1.0
    if how.by == "set":
        found = 2 * best_match(first, second, item) / (len(first) + len(second))
    else:
        pairs = zip(first, second, strict=False)
        found = sum(item(*pair) for pair in pairs) / max(len(first), len(second))
    return float(found >= 1.0) if how.all else min(1.0, found)


def best_match(first: Sequence[Any], second: Sequence[Any], item: Alike) -> float:
    """Return the largest sum of `item` over pairs, each value in one pair at most.

    Source: Kuhn (1955), "The Hungarian method", by scipy's linear_sum_assignment.
    """
    if not first or not second:
        return 0.0
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    table = np.array([[item(one, other) for other in second] for one in first])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum())


def same(wanted: Any, given: Any) -> bool:
    """Tell whether two JSON values are equal: 5 equals 5.0, but neither True nor "5"."""
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return wanted.keys() == given.keys() and all(same(wanted[k], given[k]) for k in wanted)
    if isinstance(wanted, list | tuple) and isinstance(given, list | tuple):
        return len(wanted) == len(given) and all(map(same, wanted, given))
    if isinstance(wanted, bool) or isinstance(given, bool):
        return wanted is given
    return bool(wanted == given)


def is_empty(value: Any) -> bool:
    """Tell whether a value says nothing: null, a blank text, an empty list or object."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)


def _alike(by: str, how: Compare, wanted: Any, given: Any) -> float:
    if by == "exact":
        return float(same(wanted, given))
    if is_empty(wanted) or is_empty(given):
        return float(is_empty(wanted) and is_empty(given))
    return float(_BY[by](how, wanted, given))


def _texts(_how: Compare, wanted: Any, given: Any) -> bool:
    if isinstance(wanted, str) and isinstance(given, str):
        return squeezed(wanted) == squeezed(given)
    if isinstance(wanted, str) or isinstance(given, str):
        return squeezed(_spelled(wanted)) == squeezed(_spelled(given))
    return same(wanted, given)


def _spelled(value: Any) -> str:
    """Return a JSON number or truth as people write it; 5.0 is 5."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _numbers(how: Compare, wanted: Any, given: Any) -> bool:
    first, second = amount_of(wanted, how.decimal), amount_of(given, how.decimal)
    if first is None or second is None:
        return first is second and _texts(how, wanted, given)
    return _near(how, first, second)


def _money(how: Compare, wanted: Any, given: Any) -> bool:
    first, second = money_of(wanted, how.decimal), money_of(given, how.decimal)
    if first is None or second is None:
        return first is second and _texts(how, wanted, given)
    return first.agrees(second) and _near(how, first.amount, second.amount)


def _near(how: Compare, wanted: Decimal, given: Decimal) -> bool:
    """Compare in decimals, so that 0.3 is within 0.1 of 0.2."""
    room = max(Decimal(str(how.abs)), Decimal(str(how.rel)) * abs(wanted))
    return abs(wanted - given) <= room


def _days(how: Compare, wanted: Any, given: Any) -> bool:
    first, second = day_of(wanted, how.order), day_of(given, how.order)
    if first is None or second is None:
        return first is second and _texts(how, wanted, given)
    return first == second


def _truths(how: Compare, wanted: Any, given: Any) -> bool:
    first, second = truth_of(wanted), truth_of(given)
    return first is second and (first is not None or _texts(how, wanted, given))


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [] if is_empty(value) else [value]


_BY: Mapping[str, Callable[[Compare, Any, Any], bool]] = {
    "text": _texts,
    "number": _numbers,
    "money": _money,
    "date": _days,
    "boolean": _truths,
}
