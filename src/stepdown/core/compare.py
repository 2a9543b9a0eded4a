"""When two values of a field count as equal: the declaration, as `stepdown.toml` holds it.

It compares nothing; `evals.scorers.comparing` does.
"""

from __future__ import annotations

from math import isfinite
from typing import Literal

from msgspec import Struct

Comparing = Literal["exact", "text", "number", "money", "date", "boolean", "set", "list"]
DateOrder = Literal["dmy", "mdy", "ymd"]
Decimals = Literal[".", ","]
TOLERANT = ("number", "money")


class Compare(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the values of one field are compared.

    `exact`: to the letter; `text`: without case, white space and Unicode form; `number` and
    `money`: as amounts, within `abs` or `rel` of the reference, whichever is wider, 1.234 read by
    `decimal`; `date`: as days, 01/02/2026 read by `order` and, without one, not guessed;
    `boolean`; `set`: lists without regard to order, scored by F1, or with `all` 1 only when every
    item is there; `list`: the same in order. `items` says how the items of a list are compared.
    """

    by: Comparing
    abs: float = 0.0
    rel: float = 0.0
    decimal: Decimals | None = None
    order: DateOrder | None = None
    all: bool = False
    items: Literal["exact", "text", "number", "money", "date", "boolean"] = "text"

    def __post_init__(self) -> None:
        """Refuse a tolerance that is none, and options that this way of comparing does not have."""
        for name in ("abs", "rel"):
            given = getattr(self, name)
            if not (isfinite(given) and given >= 0):
                raise ValueError(f"`{name}` must be 0 or more and finite, got {given}")
        ways = (self.by, self.items) if self.by in ("set", "list") else (self.by,)
        if (self.abs or self.rel) and not set(ways) & set(TOLERANT):
            raise ValueError(f"`abs` and `rel` are for {' and '.join(TOLERANT)}, not {self.by!r}")
        if self.all and self.by not in ("set", "list"):
            raise ValueError(f"`all` is for set and list, not {self.by!r}")
