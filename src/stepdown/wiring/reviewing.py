"""`review`: is every promise still true? Fresh rows test what serves, and what could serve now.

Old rows choose, fresh ones test (`certify.renewing`). Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from stepdown.certify.case import FEWEST
from stepdown.certify.certify import certify_task
from stepdown.certify.evidence import Certified, Evidence, Terms
from stepdown.certify.renewing import Renewed, needed, renew
from stepdown.core.lock import Lock, LockedTask, Look
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.scorers import is_binary
from stepdown.wiring.certifying import outcomes_of, tasks_together
from stepdown.wiring.evaluating import Watch, samples_in
from stepdown.wiring.foretelling import sources_of, static_encoder, with_triage_kept
from stepdown.wiring.fresh_rows import Answered, FreshRows, answered, fresh_rows, unsaid
from stepdown.wiring.review_beside import Candidate, standing_alarm, tried_candidates
from stepdown.wiring.workspace import Workspace

Kind = Literal["renewed", "changes", "withdrawn", "waiting", "spent", "nothing"]
OLD = ("tune", "certify")  # parts of the data that choose now: earlier tests have spent them


class Reviewed(Struct, frozen=True, kw_only=True):
    """What the review says of one task.

    `renewed`: the policy in force passed again. `changes`: another policy is proposed.
    `withdrawn`: nothing passed, so the ceiling is proposed. `waiting`: too few fresh rows to
    decide; nothing was tested. `spent`: these rows were tested before. `nothing`: the task promises
    nothing that could be renewed. `locked` is what is proposed, None where the lock stays as it is;
    `needed` are the fresh rows that decide with chance .8, None where no number would. `alarm` says
    why an alarm took the promise back, "" where none did; `candidates` are trained models that
    nobody has promoted, beside what they would replace.
    """

    task: Task
    kind: Kind
    was: LockedTask
    fresh: FreshRows
    locked: LockedTask | None = None
    renewed: Renewed | None = None
    found: Certified | None = None
    needed: int | None = None
    days: int | None = None
    why: str = ""
    notes: tuple[str, ...] = ()
    alarm: str = ""
    candidates: tuple[Candidate, ...] = ()

    @property
    def urgent(self) -> bool:
        """Whether somebody must act: a change, a withdrawal, or a promise that has fallen due."""
        due = self.kind in ("waiting", "spent") and self.days is not None and self.days <= 0
        return self.kind in ("changes", "withdrawn") or due or bool(self.alarm)


class Asked(Struct, frozen=True, kw_only=True):
    """What to review with: files of labelled rows, and whether to test before it can decide.

    `looks` are those of earlier reviews that were not applied, by task.
    """

    files: tuple[Path, ...] = ()
    now: bool = False
    relook: bool = False
    looks: Mapping[str, Sequence[Look]] = {}


async def review_task(
    workspace: Workspace, task: Task, lock: Lock, asked: Asked, watch: Watch | None = None
) -> Reviewed:
    """Review one locked task.

    Raises:
        DataError: rows that cannot be used.
    """
    was = lock.tasks[task.name]
    looks = _looks(was, asked.looks.get(task.name, ()))
    alarm = standing_alarm(workspace, task, was)
    since = max(_since(was, looks), alarm.before if alarm else "")
    fresh = fresh_rows(workspace, task, asked.files, since=since)
    base = Reviewed(
        task=task,
        kind="nothing",
        was=was,
        fresh=fresh,
        days=_days(was, workspace.environment.today),
        notes=tuple(_changed(workspace, task, was)),
        alarm=alarm.words if alarm else "",
        candidates=await tried_candidates(workspace, task, was, watch),
    )
    if was.guarantee.state == "declared":
        why = "Its thresholds were set by hand, so there is no promise to renew."
        return structs.replace(base, why=why)
    if fresh.n < FEWEST:
        return structs.replace(base, kind="waiting", why=_few(fresh))
    evidence, told = await _evidence(workspace, task, fresh, watch)
    terms = _terms(workspace, task, looks, asked)
    silent = unsaid(fresh, told)
    base = structs.replace(base, notes=(*base.notes, *((silent,) if silent else ())))
    if was.guarantee.state != "certified":
        return _first(workspace, base, evidence, terms)
    return _again(workspace, base, evidence, terms, asked)


def _few(fresh: FreshRows) -> str:
    return (
        f"{fresh.n} fresh rows are too few to test anything; at least {FEWEST} are needed. "
        "Audits and shadow runs bring them with the traffic, or pass labelled ones: --fresh FILE."
    )


def _looks(was: LockedTask, more: Sequence[Look]) -> tuple[Look, ...]:
    """Return the looks of the lock, and those of reviews that nobody applied."""
    known = {(one.certify_digest, one.tested) for one in was.guarantee.looks}
    others = (one for one in more if (one.certify_digest, one.tested) not in known)
    return (*was.guarantee.looks, *others)


def _since(was: LockedTask, looks: Sequence[Look]) -> str:
    """Return the day of the last test: traffic up to it may have been seen by one."""
    return max([was.guarantee.date, *(one.date for one in looks)])


def _days(was: LockedTask, today: date) -> int | None:
    if not was.guarantee.review_by:
        return None
    return (date.fromisoformat(was.guarantee.review_by) - today).days


def _changed(workspace: Workspace, task: Task, was: LockedTask) -> list[str]:
    """Say what is no longer what was locked: tiers, prices, settings."""
    now, said = workspace.locked_tiers(task), []
    for name, tier in now.items():
        old = was.tiers.get(name)
        if old is None:
            said.append(f"{name} ({tier.model}) is a tier since; it was tried.")
        elif old.digest != tier.digest:
            said.append(f"{name} is not what was locked: {old.model} then, {tier.model} now.")
        elif (old.price_basis, old.price_source) != (tier.price_basis, tier.price_source):
            before, after = old.price_source or "unknown", tier.price_source or "unknown"
            said.append(f"{name} is priced otherwise now: {after}; it was {before}.")
    gone = [name for name in was.tiers if name not in now]
    said += [f"{name} is no tier of the task any more." for name in gone]
    return said


async def _evidence(
    workspace: Workspace, task: Task, fresh: FreshRows, watch: Watch | None
) -> tuple[Evidence, Answered]:
    old = await outcomes_of(workspace, task, samples_in(workspace, task, OLD), watch)
    told = await answered(workspace, task, fresh, watch)
    digests = workspace.split_digests(task)
    made = Evidence(
        tune=old,
        certify=told.outcomes,
        n_train=len(workspace.part(task, "train")),
        split=f"earlier tune and certify rows choose; {_words(fresh)} test",
        data={"train": digests["train"], "tune": digests["tune"], "old": digests["certify"]}
        | dict(told.data),
        clustered=workspace.project.data is not None and workspace.project.data.group is not None,
        reference=task.reference_is,
        binary=is_binary(task),
        encoder=static_encoder(),
    )
    return made, told


def _words(fresh: FreshRows) -> str:
    parts = [f"{n} rows of {name}" for name, n in fresh.sources.items()]
    left = f", {fresh.left_out} of them left out as like earlier rows" if fresh.left_out else ""
    return " and ".join(parts) + left


def _terms(workspace: Workspace, task: Task, looks: tuple[Look, ...], asked: Asked) -> Terms:
    return Terms(
        settings=workspace.project.settings_digest(task),
        tiers=workspace.locked_tiers(task),
        today=workspace.environment.today,
        review_days=workspace.project.review_days,
        baseline=workspace.project.baseline,
        looks=looks,
        allow_relook=asked.relook,
        tasks_together=tasks_together(workspace),
    )


def _first(workspace: Workspace, base: Reviewed, evidence: Evidence, terms: Terms) -> Reviewed:
    """Try to certify a task that its ceiling answers until now."""
    try:
        found = certify_task(base.task, evidence, terms)
    except DataError as error:
        return structs.replace(base, kind="spent", why=f"{error.message}")
    kept = with_triage_kept(found, workspace.project.root)
    kind: Kind = "changes" if found.state == "certified" else "nothing"
    why = found.locked.guarantee.why
    return structs.replace(base, kind=kind, locked=kept.locked, found=kept, why=why)


def _again(
    workspace: Workspace, base: Reviewed, evidence: Evidence, terms: Terms, asked: Asked
) -> Reviewed:
    """Renew a certified task, when there are rows enough to decide or its day is near."""
    task, was = base.task, base.was
    sources = sources_of(was, workspace.project.root)
    wanted = needed(task, evidence, terms, was, sources)
    base = structs.replace(base, needed=wanted)
    due = base.days is not None and base.days <= 0
    if wanted is not None and base.fresh.n < wanted and not (asked.now or due):
        return structs.replace(base, kind="waiting", why=_waits(base, wanted))
    try:
        done = renew(task, evidence, terms, was, sources, same_tiers=_same(was, terms))
    except DataError as error:
        return structs.replace(base, kind="spent", why=f"{error.message}")
    return _told(workspace, base, done)


def _same(was: LockedTask, terms: Terms) -> bool:
    return all(
        name in terms.tiers and terms.tiers[name].digest == tier.digest
        for name, tier in was.tiers.items()
        if name in was.policy.tiers
    )


def _waits(base: Reviewed, wanted: int) -> str:
    days = base.days if base.days is not None else 0
    return (
        f"{base.fresh.n} fresh rows of about {wanted} that decide with chance .8; the promise "
        f"falls due in {days} days. Rows are spent by a test, so none was made; --now tests all "
        "the same."
    )


def _told(workspace: Workspace, base: Reviewed, done: Renewed) -> Reviewed:
    if done.held and not done.changed:
        return structs.replace(
            base, kind="renewed", locked=done.locked, renewed=done, why=_passed(done)
        )
    kept = with_triage_kept(done.other, workspace.project.root)
    passed = done.locked.guarantee.state == "certified"
    kind: Kind = ("changes" if done.changed else "renewed") if passed else "withdrawn"
    return structs.replace(
        base, kind=kind, locked=kept.locked, renewed=done, found=kept, why=_because(done, kind)
    )


def _passed(done: Renewed) -> str:
    return f"The policy in force passed again{_p(done)}."


def _because(done: Renewed, kind: Kind) -> str:
    if not done.same_tiers:
        end = "nothing passed" if kind == "withdrawn" else "what is proposed was tested anew"
        return f"A tier of the policy in force is not the one that was locked; {end}."
    if kind == "withdrawn":
        return f"The policy in force did not pass{_p(done)}, and no other did."
    if done.held:
        return f"The policy in force passed{_p(done)}; another passed too, and surely saves more."
    return f"The policy in force did not pass{_p(done)}; another did."


def _p(done: Renewed) -> str:
    tested = done.tested.policies[-1]
    if tested.p_value is None:
        return ""
    return f" (p = {tested.p_value:.2g}, allowed {tested.allowed:.3g}, n = {done.tested.n})"
