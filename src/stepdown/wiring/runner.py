"""The Python API: the locked policies as a library, by the same code that serves them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.config.schema import MappedKeys
from stepdown.core.bought import check_purchases
from stepdown.core.call import Call, Reply
from stepdown.core.hints import read_hints
from stepdown.core.limits import Limits
from stepdown.core.lock import LockedTask
from stepdown.core.task import Task
from stepdown.core.trace import Trace
from stepdown.errors import InputError, LockError
from stepdown.serve.gate import Gates
from stepdown.serve.guarded import Guarded
from stepdown.serve.mapping import Mapped
from stepdown.serve.meter import Meter
from stepdown.serve.ramp import Ramp
from stepdown.serve.service import Service
from stepdown.serve.step import Step
from stepdown.wiring.bookkeeping import Bookkeeper
from stepdown.wiring.embedding import open_embedding
from stepdown.wiring.environment import Environment
from stepdown.wiring.lockfile import check_task
from stepdown.wiring.withdrawals import Withdrawals, path_of
from stepdown.wiring.workspace import Workspace

if TYPE_CHECKING:
    from stepdown.wiring.foretelling import Foretell


class Stepdown:
    """Answer texts by the locked policies of a project.

    Example:
        with Stepdown.load("stepdown.lock") as stepdown:
            reply = stepdown.run("intent", "where is my order?")
            reply.text, reply.trace.answered_by, reply.trace.confidence
    """

    def __init__(self, workspace: Workspace, service: Service, close: Callable[[], None]) -> None:
        self._workspace = workspace
        self._service = service
        self._close = close
        self._runner = asyncio.Runner()

    @classmethod
    def load(
        cls, lock: str | os.PathLike[str] = "stepdown.lock", *, tasks: Sequence[str] = ()
    ) -> Stepdown:
        """Open the project whose lock this is; the ledger keeps every trace.

        Raises:
            LockError: the lock is missing or does not match the files; says which.
            ConfigError: stepdown.toml is missing or wrong.
        """
        workspace = Workspace.open(Path(lock).resolve().parent)
        workspace.lock_path = Path(lock).resolve()
        ledger = workspace.ledger()
        try:
            books = Bookkeeper(ledger, workspace.project.name, workspace.project.keeping, Meter())
            service = open_service(workspace, books.trace, tasks=tasks)
        except BaseException:
            ledger.close()
            raise
        return cls(workspace, service, ledger.close)

    def run(self, task: str, text: str, *, request_id: str | None = None, **hints: str) -> Reply:
        """Answer a bare text by a task's policy. Inside a running event loop use `arun`.

        Raises:
            InputError: there is no such task, or an event loop is running.
            ModelError: no tier could answer.
        """
        _refuse_to_block("arun")
        return self._runner.run(self.arun(task, text, request_id=request_id, **hints))

    async def arun(
        self, task: str, text: str, *, request_id: str | None = None, **hints: str
    ) -> Reply:
        """Answer a bare text by a task's policy; the async form of `run`."""
        call = Call(
            id=request_id or uuid.uuid4().hex,
            model=task,
            messages=(),
            metadata=dict(hints),
            hints=read_hints(hints),
        )
        return await self._service.run(task, text, call)

    def status(self) -> Mapping[str, Any]:
        """Return the state of every task's guarantee."""
        return self._service.status()

    def close(self) -> None:
        """Flush the ledger and let go of the models. Inside a running event loop use `aclose`.

        Raises:
            InputError: an event loop is running.
        """
        _refuse_to_block("aclose")
        self._runner.run(self.aclose())
        self._runner.close()

    async def aclose(self) -> None:
        """Flush the ledger and let go of the models; the async form of `close`."""
        try:
            await self._workspace.aclose()
        finally:
            self._close()

    def __enter__(self) -> Stepdown:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Stepdown:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _refuse_to_block(instead: str) -> None:
    """Refuse to wait inside a running event loop, before a coroutine is made in vain."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InputError(
        "An event loop is running here, and this call would block it.",
        f"Use `await {instead}(...)`, and `async with` for the whole.",
    )


def open_service(
    workspace: Workspace,
    append: Callable[[Trace], None],
    *,
    tasks: Sequence[str] = (),
    ramp: Ramp | None = None,
    gates: Gates | None = None,
) -> Service:
    """Return the service of a project's lock, after checking every digest.

    Without a `ramp` the policies answer everything. `gates` are those of the service before this
    one, so that a lock that is loaded anew does not forget which tier is left alone.

    Raises:
        LockError: a task's contract, settings, or a tier's digest is not what was locked.
    """
    lock = workspace.lock()
    workspace.pin(lock)
    known = workspace.project.tasks
    gates = gates or gates_of(workspace)
    embedding = open_embedding(workspace, lock, append, gates)
    named = tasks or [name for name in lock.tasks if name in known]
    wanted = [name for name in named if name not in embedding.steps]
    if not wanted and not embedding.steps:
        raise InputError("The lock holds no task of this project.", "Run `stepdown certify`.")
    steps = {}
    for name in wanted:
        task = workspace.project.task(name)
        digests = {tier: locked.digest for tier, locked in workspace.locked_tiers(task).items()}
        settings = workspace.project.settings_digest(task)
        check_task(lock, name, settings, task.contract.digest, digests)
        steps[name] = _step(workspace, task, lock.tasks[name], gates)
    return Service(
        lock,
        steps,
        append,
        keeping=workspace.project.keeping,
        ramp=ramp,
        embedding=embedding,
        mapped=_mapped(workspace, steps),
        baseline=workspace.project.baseline,
        today=_today,
        withdrawn=Withdrawals(path_of(workspace.project), lock),
        gates=gates,
    )


def gates_of(workspace: Workspace) -> Gates:
    """Return gates for the project's tiers, within the limits that stepdown.toml sets."""
    return Gates(limits_of(workspace), workspace.seconds)


def limits_of(workspace: Workspace) -> Mapping[str, Limits]:
    """Return the limits of each tier."""
    return {name: tier.limits for name, tier in workspace.tiers.items()}


def _mapped(workspace: Workspace, steps: Mapping[str, Step]) -> dict[str, Mapped]:
    """Return the names of today that callers may keep, with the tasks that are served."""
    said = workspace.project.serve.models
    return {name: _stands_for(name, keys, steps) for name, keys in said.items()}


def _stands_for(name: str, keys: MappedKeys, steps: Mapping[str, Step]) -> Mapped:
    tasks = tuple(task for task in keys.tasks or steps if task in steps)
    if not any(keys.otherwise in steps[task].models for task in tasks):
        raise LockError(
            f"serve.models.{name}: no task of it with the tier {keys.otherwise!r} is in the lock.",
            "Run `stepdown certify` for one, or name another tier.",
        )
    return Mapped(tasks=tasks, otherwise=keys.otherwise)


def _step(workspace: Workspace, task: Task, locked: LockedTask, gates: Gates) -> Step:
    try:
        check_purchases(locked.policy, task.signals)
    except ValueError as error:
        raise LockError(
            f"The lock's policy for {task.name!r} cannot be served: {error}.",
            "Name the signal in `signals` of the task, or run `stepdown certify` again.",
        ) from None
    embedded = {name: workspace.tiers[name].place == "embedded" for name in locked.tiers}
    doors = {name: gates.of(name, embedded=embedded[name]) for name in locked.tiers}
    return Step(
        task=task,
        policy=locked.policy,
        tiers=workspace.tiers,
        models={name: Guarded(workspace.model(task, name), doors[name]) for name in locked.tiers},
        gates=doors,
        deadline_s=workspace.project.deadlines.get(task.name),
        confidence=locked.confidence,
        derived=locked.signals,
        triage=_triage(locked, workspace.lock_path.parent),
        estimate=estimate_tokens,
    )


def _triage(locked: LockedTask, beside: Path) -> Foretell | None:
    """Return what foretells the triage signals; most policies read none and need no numpy."""
    if locked.triage is None:
        return None
    from stepdown.wiring.foretelling import live_triage

    return live_triage(locked, beside)


def _today() -> str:
    """The date in UTC, read at every request: a guarantee may fall due while the gateway runs."""
    return Environment.current().today.isoformat()
