"""Names: which may be given, and the nearest known word for one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from stepdown.core.derived import TRIAGE
from stepdown.errors import ConfigError

# A tier's name stands in names of signals (`TIER.NAME`, `A=B`), states (`?NAME`) and outcomes
# (`DRAFT>POLISH`); a task's name stands in names of files.
SIGNS = "=?>"
TAKEN = (TRIAGE, "draw", "prompt")


def nearest(word: str, known: Iterable[str], what: str) -> str:
    """Return the hint for an unknown word: the nearest known one, else all of them.

    One of the same parts in another order (`usd_per_mtok_input`) is nearer than any by letters.
    """
    listed = sorted(known)
    parts = sorted(word.split("_"))
    close = [one for one in listed if sorted(one.split("_")) == parts]
    close = close or difflib.get_close_matches(word, listed, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"Known {what}: {', '.join(listed)}."


def check_tier(name: str) -> None:
    """Refuse a name that would be read as something else.

    Raises:
        ConfigError: names the sign.
    """
    bad = [sign for sign in SIGNS if sign in name]
    if bad or not name.strip() or name in TAKEN:
        why = f"holds {bad[0]!r}" if bad else "is empty, or means something else in a policy"
        raise ConfigError(f"tiers.{name}: the name {why}.", "Rename the tier.")


def check_task(name: str) -> None:
    """Refuse a name that cannot stand in the name of a file.

    Raises:
        ConfigError: says which sign may not be in it.
    """
    if not name.strip() or name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise ConfigError(
            f"tasks.{name}: the name is empty, begins with a full stop, or holds a slash.",
            "Rename the task: its name stands in the names of files.",
        )
