"""What stands beside the services of a gateway and outlives a reload of the lock: the books, the
numbers, the exposures, the sessions, the shadows, the export of spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.config.project import Project
from stepdown.core.exposure import Exposure, seed_of
from stepdown.errors import InputError
from stepdown.serve.audits import Audits
from stepdown.serve.meter import Meter
from stepdown.serve.ramp import Ramp
from stepdown.serve.service import Service
from stepdown.serve.sessions import Sessions
from stepdown.serve.shadows import Budget, Shadows
from stepdown.wiring.audit_loss import audit_loss
from stepdown.wiring.audit_purses import Purses
from stepdown.wiring.bookkeeping import Bookkeeper
from stepdown.wiring.exposing import Exposures, path_of, start_of, write_start
from stepdown.wiring.measuring import FOLDER, Sharing
from stepdown.wiring.operating import GatewayOperations, others_of
from stepdown.wiring.spending import Spending
from stepdown.wiring.telemetry import span_export
from stepdown.wiring.workspace import Workspace


class Standing:
    """Build it once a process; `serve` tells it which service answers now."""

    def __init__(
        self,
        workspace: Workspace,
        ledger: SpoolLedger,
        start: Mapping[str, Exposure],
        gates: Callable[[], Mapping[str, Any]],
        restarts: Mapping[str, int],
        stack: ExitStack,
    ) -> None:
        project = workspace.project
        self._service: Service | None = None
        self.meter = Meter()
        spans = span_export(workspace)
        if spans is not None:
            stack.callback(spans.close)
        watchers = () if spans is None else (spans,)
        self.books = Bookkeeper(ledger, project.name, project.keeping, self.meter, watchers)
        self.exposures = Exposures(path_of(project), start)
        write_start(project, start)
        self.sessions = Sessions(lifetime_s=project.serve.session_s)
        self.shadows = _shadows(workspace, ledger, self.books, stack)
        self.audits = _audits(workspace, ledger, self.books, self.shadows, stack)
        self.ramp = Ramp(
            project.name,
            exposure=self.exposures,
            baseline=project.baseline,
            sessions=self.sessions,
            shadows=self.shadows,
            audits=self.audits,
        )
        dropped = (lambda: 0) if spans is None else (lambda: spans.dropped)
        others = others_of(lambda: self.ramp, gates, dropped, ledger.unwritten, restarts)
        sharing = Sharing(project.state / FOLDER, self.meter, others)
        stack.callback(sharing.close)
        self.operations = GatewayOperations(
            self.service, ledger, self.books, self.meter, sharing, _now
        )

    def serve(self, service: Service, project: Project) -> None:
        """Say which service answers from now on, of a project that may have been loaded anew: what
        it keeps holds for the books too, and a task that is new starts where it says.
        """
        self.exposures.begin(start_of(project, {}, shadow=False))
        self.books.keep_as(service.keeping)
        self._service = service

    def service(self) -> Service:
        """Return the service that answers now."""
        if self._service is None:
            raise InputError("The gateway has no lock to serve yet.")
        return self._service


@contextmanager
def standing(
    workspace: Workspace,
    ledger: SpoolLedger,
    start: Mapping[str, Exposure],
    gates: Callable[[], Mapping[str, Any]] = dict,
    restarts: Mapping[str, int] = {},
) -> Iterator[Standing]:
    """Open everything that stands beside a service, and close it in the right order.

    Raises:
        DataError: the file of exposures cannot be read.
        ConfigError: spans are to be exported, and the extra is not installed.
    """
    with ExitStack() as stack:
        yield Standing(workspace, ledger, start, gates, restarts, stack)


def _shadows(
    workspace: Workspace, ledger: SpoolLedger, books: Bookkeeper, stack: ExitStack
) -> Shadows:
    keys = workspace.project.serve.shadow
    if keys is None:
        return Shadows(books.shadow)
    spending = Spending(ledger)
    stack.callback(spending.close)
    budgets = {}
    for name in workspace.project.tasks:
        said = keys.for_task(name)
        budgets[name] = Budget(
            usd_per_day=said.usd_per_day, usd_per_month=said.usd_per_month, spent=spending
        )
    return Shadows(books.shadow, budgets=budgets, most=keys.queue, workers=keys.workers)


def _audits(
    workspace: Workspace,
    ledger: SpoolLedger,
    books: Bookkeeper,
    queue: Shadows,
    stack: ExitStack,
) -> Audits | None:
    keys = workspace.project.serve.audit
    if keys is None:
        return None
    spending = Spending(ledger, ran="ceiling")
    stack.callback(spending.close)
    return Audits(
        books.shadow,
        queue,
        seed=lambda task: seed_of(workspace.project.name, task),
        purse=Purses(keys, spending),
        loss=audit_loss,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
