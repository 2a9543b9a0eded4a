"""The id of a request: the caller's, where it is safe to print and to keep, else a new one."""

from __future__ import annotations

import re
import secrets

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def safe_id(asked: str) -> str:
    """Return the caller's request id when it is safe to print and to keep, else a new one."""
    return asked if _SAFE_ID.fullmatch(asked) else new_id()


def new_id() -> str:
    """Return a request id that nobody else has."""
    return f"req-{secrets.token_hex(12)}"
