"""The policies that were tested beside the locked one: `.stepdown/frontier/TASK-DIGEST.json`.

`certify` writes it, `replay --compare` reads it. It is a convenience, not evidence: it belongs to
one locked task, whose digest it carries, and nothing is served from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.core.derived import Derived
from stepdown.core.digest import digest
from stepdown.core.lock import LockedTask
from stepdown.core.policy import Policy, policy_from_plain, to_plain
from stepdown.errors import DataError

if TYPE_CHECKING:  # numpy, which a gateway that shows the path does without
    from stepdown.certify.evidence import Certified
    from stepdown.certify.search import Searched

VERSION = 1
FOLDER = "frontier"
_SHOWN = 16  # characters of the digest in the name of a file


class Alternative(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy of the tested path with its figures on the tune rows; None is unknown."""

    policy: Policy
    signals: Mapping[str, Derived] = {}
    cost_usd: float | None = None
    score: float | None = None
    loss: float | None = None
    kept: float | None = None
    p_value: float | None = None
    passed: bool | None = None
    chosen: bool = False


def frontier_path(state: Path, task: str, locked: LockedTask) -> Path:
    """Return where the path of a locked task stands, under the folder `.stepdown`."""
    mark = _digest(locked).rpartition(":")[2][:_SHOWN]
    return state / FOLDER / f"{task}-{mark}.json"


def _digest(locked: LockedTask) -> str:
    return digest(to_plain(locked))


def write_frontier(state: Path, task: str, certified: Certified) -> Path | None:
    """Write the path that was tested, in place of the task's older ones; None when there is none.

    `state` is the project's folder `.stepdown`.
    """
    folder = state / FOLDER
    for old in folder.glob(f"{task}-{'?' * _SHOWN}.json"):
        old.unlink()
    if not certified.along:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = frontier_path(state, task, certified.locked)
    with replacing(path) as part:
        part.write_bytes(msgspec.json.encode(_plain(task, certified)))
    return path


def _plain(task: str, certified: Certified) -> dict[str, Any]:
    return {
        "version": VERSION,
        "task": task,
        "locked": _digest(certified.locked),
        "policies": [to_plain(one) for one in alternatives_of(certified)],
    }


def alternatives_of(certified: Certified) -> tuple[Alternative, ...]:
    """Return the policies of the path with what the test said of each, the safest first."""
    tested = certified.tested.policies if certified.tested is not None else ()
    said = {one.index: (one.p_value, one.passed) for one in tested}
    return tuple(
        _alternative(certified, one, place, *said.get(place, (None, None)))
        for place, one in enumerate(certified.along)
    )


def _alternative(
    certified: Certified, one: Searched, place: int, p_value: float | None, passed: bool | None
) -> Alternative:
    return Alternative(
        policy=one.policy,
        signals=one.derived,
        cost_usd=one.cost_usd,
        score=one.score,
        loss=one.loss,
        kept=one.kept,
        p_value=p_value,
        passed=passed,
        chosen=place == certified.chosen,
    )


def read_frontier(state: Path, task: str, locked: LockedTask) -> Sequence[Alternative]:
    """Return the path that led to a locked task; empty when no file is kept for it.

    Raises:
        DataError: the file is broken, or was written for another locked task.
    """
    path = frontier_path(state, task, locked)
    if not path.exists():
        return ()
    try:
        plain = msgspec.json.decode(path.read_bytes())
        if (plain["version"], plain["locked"]) != (VERSION, _digest(locked)):
            raise ValueError("it was written for another version or another locked task")
        found = [_read(one) for one in plain["policies"]]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.", "Delete it, or run `stepdown certify` again."
        ) from None
    return found


def _read(plain: Mapping[str, Any]) -> Alternative:
    policy = policy_from_plain(plain["policy"])
    signals = msgspec.convert(plain.get("signals", {}), dict[str, Derived])
    policy.check_derived(signals)
    rest = {k: v for k, v in plain.items() if k not in ("policy", "signals")}
    return Alternative(policy=policy, signals=signals, **rest)
