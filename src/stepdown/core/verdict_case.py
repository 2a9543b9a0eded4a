"""One verdict of a check, as CI shows it: what was looked at, how it ended, and why."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Ended = Literal["passed", "failed", "error", "skipped"]


class VerdictCase(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case: `failed` is a no, `error` something that the user must fix, `skipped` not judged.

    `suite` is the task or tier that it is about; `message` one sentence, `detail` the figures.
    """

    suite: str
    name: str
    ended: Ended
    message: str = ""
    detail: str = ""
    seconds: float | None = None
