"""The service that answers now, and its replacement by another lock while requests are under way.

A request stays with the service that it began with. The old service's models are let go when its
last request is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from stepdown.core.call import Call, EmbedCall, EmbedReply, Reply
from stepdown.ports.handler import Sink
from stepdown.serve.gate import Gates
from stepdown.serve.service import Service
from stepdown.wiring.changing import note_served
from stepdown.wiring.runner import limits_of, open_service
from stepdown.wiring.standing import Standing
from stepdown.wiring.workspace import Workspace


class _Serving:
    """A service with its workspace, and how many requests it is answering."""

    def __init__(self, workspace: Workspace, service: Service) -> None:
        self.workspace = workspace
        self.service = service
        self.files = _bytes_of(workspace)
        self.busy = 0
        self.is_retired = False


class Desk:
    """A Handler that hands each call to the service of the moment."""

    def __init__(self, workspace: Workspace, beside: Standing, gates: Gates) -> None:
        """Open the first service; `gates` outlive it.

        Raises:
            LockError: the lock does not match the files.
        """
        self._beside = beside
        self._gates = gates
        self._now = self._opened(workspace)
        beside.serve(self._now.service, workspace.project)
        note_served(workspace, workspace.lock(), "serve")

    @property
    def workspace(self) -> Workspace:
        """The project that is served now."""
        return self._now.workspace

    async def answer(self, call: Call, sink: Sink | None = None) -> Reply:
        """Answer one call by the service that is there when it comes."""
        serving = self._now
        serving.busy += 1
        try:
            return await serving.service.answer(call, sink)
        finally:
            serving.busy -= 1
            if serving.is_retired:
                await self._let_go(serving)

    async def embed(self, call: EmbedCall) -> EmbedReply:
        """Return vectors by the service that is there when the call comes."""
        serving = self._now
        serving.busy += 1
        try:
            return await serving.service.embed(call)
        finally:
            serving.busy -= 1
            if serving.is_retired:
                await self._let_go(serving)

    async def _let_go(self, serving: _Serving) -> None:
        """Let go of a retired service's models when its last call is done."""
        if not serving.busy:
            await serving.workspace.aclose()

    def knows(self, model: str) -> bool:
        """Return whether a caller may ask for this model."""
        return self._now.service.knows(model)

    def models(self) -> Sequence[str]:
        """Return the names that a caller may ask for."""
        return self._now.service.models()

    def status(self) -> Mapping[str, Any]:
        """Return the state of every task's guarantee."""
        return self._now.service.status()

    async def reload(self) -> str:
        """Serve what stepdown.toml and stepdown.lock say now; return what was done, in words.

        Embedded models that are loaded stay loaded. Address, key and limits stay as they were.

        Raises:
            StepdownError: the files cannot be served; what was served before goes on.
        """
        old = self._now
        if _bytes_of(old.workspace) == old.files:
            return "Nothing to reload: stepdown.toml and stepdown.lock are as they were."
        new = await asyncio.to_thread(self._reopened)
        self._beside.serve(new.service, new.workspace.project)
        self._now = new
        await asyncio.to_thread(note_served, new.workspace, new.workspace.lock(), "reload")
        old.is_retired = True
        await self._let_go(old)
        return f"Reloaded: serving the lock {new.service.status()['lock'][:19]}…"

    async def stop(self) -> None:
        """Stop what runs beside the answers; shadow runs that still wait are dropped."""
        await self._beside.shadows.aclose()

    def _reopened(self) -> _Serving:
        before = self._now.workspace
        fresh = Workspace.open(before.project.root, before.environment)
        before.models.lend_to(fresh.models)
        return self._opened(fresh)

    def _opened(self, workspace: Workspace) -> _Serving:
        self._gates.renew(limits_of(workspace))
        service = open_service(
            workspace, self._beside.books.trace, ramp=self._beside.ramp, gates=self._gates
        )
        return _Serving(workspace, service)


def _bytes_of(workspace: Workspace) -> tuple[bytes, ...]:
    paths = (workspace.project.root / "stepdown.toml", workspace.lock_path)
    return tuple(path.read_bytes() if path.exists() else b"" for path in paths)
