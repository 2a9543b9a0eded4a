"""All artifacts of a project and what was done to them; each change gives a new shelf.

One artifact of a tier is promoted at a time. Nothing is forgotten: what is replaced is retired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.artifact import Artifact, Deed, Event, problem_of

VERSION = 2


class Signed(Struct, frozen=True):
    """Who does something, and when (ISO time)."""

    by: str
    at: str

    @property
    def day(self) -> str:
        """The date."""
        return self.at[:10]


class Shelf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Artifacts, oldest first, and the history of what was done to them."""

    version: int = VERSION
    artifacts: tuple[Artifact, ...] = ()
    history: tuple[Event, ...] = ()

    def promoted(self, task: str, tier: str) -> Artifact | None:
        """Return the artifact that serves a task's tier, None where there is none."""
        found = [a for a in self.artifacts if (a.task, a.tier, a.state) == (task, tier, "promoted")]
        return found[-1] if found else None

    def with_digest(self, task: str, tier: str, digest: str | None) -> Artifact | None:
        """Return the artifact of a task's tier with a digest."""
        return next((a for a in self.artifacts if a.key == (task, tier, digest)), None)

    def locked_as(self, task: str, tier: str, digest: str | None) -> Artifact | None:
        """Return the artifact of a task's tier that a lock pins by a digest."""
        mine = [a for a in self.artifacts if (a.task, a.tier) == (task, tier) and digest]
        return next((a for a in mine if digest in (a.digest, a.answers_as)), None)

    def ancestors(self, artifact: Artifact) -> Iterator[Artifact]:
        """Yield the parent of an artifact, the parent's parent and so on, as far as registered."""
        seen, parent = {artifact.digest}, artifact.parent
        while parent is not None and parent not in seen:
            seen.add(parent)
            found = self.with_digest(artifact.task, artifact.tier, parent)
            if found is None:
                return
            yield found
            parent = found.parent


def problems(shelf: Shelf) -> list[str]:
    """Return what cannot be true of a shelf, in sentences."""
    found = [
        f"{a.task} {a.tier} {a.short}: {why}" for a in shelf.artifacts if (why := problem_of(a))
    ]
    keys = Counter(a.key for a in shelf.artifacts)
    found += [
        f"{task} {tier}: {digest} stands twice" for (task, tier, digest), n in keys.items() if n > 1
    ]
    serving = Counter((a.task, a.tier) for a in shelf.artifacts if a.state == "promoted")
    found += [
        f"{task} {tier}: {n} artifacts are promoted, and one can be"
        for (task, tier), n in serving.items()
        if n > 1
    ]
    return found


def registered(shelf: Shelf, artifact: Artifact, who: Signed, what: Deed = "register") -> Shelf:
    """Return the shelf with one more artifact; where it is promoted, what it replaces is retired.

    An artifact that stands there already is replaced: training again gives equal bytes.
    """
    before = shelf.promoted(artifact.task, artifact.tier)
    rest = tuple(a for a in shelf.artifacts if a.key != artifact.key)
    parent = artifact.parent or _other(before, artifact.digest)
    asked = replace(artifact, state="candidate", parent=_no_cycle(shelf, artifact, parent))
    grown = replace(shelf, artifacts=(*rest, asked))
    grown = _noted(grown, asked, who, what, before)
    if artifact.state != "promoted":
        return _put(grown, replace(asked, state=artifact.state))
    return _serving(grown, asked, before, who)


def promote(shelf: Shelf, artifact: Artifact, who: Signed) -> Shelf:
    """Return the shelf in which an artifact serves its tier; its parent is what it replaces."""
    before = shelf.promoted(artifact.task, artifact.tier)
    replaced = _other(before, artifact.digest) or artifact.parent
    parent = _no_cycle(shelf, artifact, replaced) or artifact.parent
    heir = replace(artifact, parent=parent)
    return _noted(_serving(shelf, heir, before, who), heir, who, "promote", before)


def roll_back(shelf: Shelf, task: str, tier: str, who: Signed) -> Shelf:
    """Return the shelf in which the parent serves again.

    Raises:
        LookupError: nothing is promoted, it has no parent, or the parent is gone; says which.
    """
    now = shelf.promoted(task, tier)
    if now is None:
        raise LookupError("nothing is promoted there")
    if now.parent is None:
        raise LookupError(f"{now.short} has no parent: nothing was promoted before it")
    parent = shelf.with_digest(task, tier, now.parent)
    if parent is None:
        raise LookupError(f"the parent {now.parent} of {now.short} is not registered any more")
    return _noted(_serving(shelf, parent, now, who), parent, who, "rollback", now)


def without(shelf: Shelf, artifact: Artifact, who: Signed) -> Shelf:
    """Return the shelf without an artifact; its history stays."""
    rest = tuple(a for a in shelf.artifacts if a.key != artifact.key)
    return _noted(replace(shelf, artifacts=rest), artifact, who, "prune", None)


def changed(shelf: Shelf, artifact: Artifact) -> Shelf:
    """Return the shelf with other figures for an artifact; its state stays what it is."""
    now = shelf.with_digest(*artifact.key)
    return shelf if now is None else _put(shelf, replace(artifact, state=now.state))


def _other(before: Artifact | None, digest: str) -> str | None:
    return None if before is None or before.digest == digest else before.digest


def _no_cycle(shelf: Shelf, artifact: Artifact, parent: str | None) -> str | None:
    """Return the parent, None where it descends from the artifact itself."""
    found = shelf.with_digest(artifact.task, artifact.tier, parent)
    if found is not None and artifact.digest in {a.digest for a in shelf.ancestors(found)}:
        return None
    return None if found is not None and found.parent == artifact.digest else parent


def _serving(shelf: Shelf, artifact: Artifact, before: Artifact | None, who: Signed) -> Shelf:
    if before is not None and before.digest != artifact.digest:
        shelf = _put(shelf, replace(before, state="retired", retired_on=who.day))
    serving = replace(artifact, state="promoted", promoted_on=who.day, retired_on=None)
    return _put(shelf, serving)


def _put(shelf: Shelf, artifact: Artifact) -> Shelf:
    same = tuple(artifact if a.key == artifact.key else a for a in shelf.artifacts)
    return replace(shelf, artifacts=same)


def _noted(
    shelf: Shelf, artifact: Artifact, who: Signed, what: Deed, before: Artifact | None
) -> Shelf:
    event = Event(
        at=who.at,
        by=who.by,
        what=what,
        task=artifact.task,
        tier=artifact.tier,
        digest=artifact.digest,
        before="" if before is None else before.digest,
    )
    return replace(shelf, history=(*shelf.history, event))
