"""The id of a request: the caller's, where it is safe to print and to keep, else a new one."""

from __future__ import annotations

import random
import re
import time

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def safe_id(asked: str) -> str:
    """Return the caller's request id when it is safe to print and to keep, else a new one."""
    return asked if _SAFE_ID.fullmatch(asked) else new_id()


def new_id() -> str:
    """Return a request id that nobody else has.

    It begins with the time, so that the ledger's index grows at its end. It is a name and no
    secret; the generator is seeded by the system, and anew after a fork.
    """
    now, chance = time.time_ns() // 1_000_000, random.getrandbits(52)
    return f"req-{now:011x}{chance:013x}"
