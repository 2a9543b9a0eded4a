"""Write what each task's `store` allows, and tell whoever counts or exports traces."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from stepdown.core.beside import Feedback, Shadow
from stepdown.core.exposure import seed_of
from stepdown.core.keeping import (
    Keeping,
    shadow_without_texts,
    tally_of,
    tally_of_shadow,
    without_texts,
)
from stepdown.core.trace import Trace
from stepdown.ports.ledger import Ledger
from stepdown.serve.meter import Meter

_UNKNOWN = Keeping("none")  # of a task that the project does not know: nothing is kept


class Bookkeeper:
    """Keep traces and shadow runs in a ledger by their task's `keeping`.

    `watchers` see every trace of a task that stores anything, always without its texts.
    """

    def __init__(
        self,
        ledger: Ledger,
        project: str,
        keeping: Mapping[str, Keeping],
        meter: Meter,
        watchers: Sequence[Callable[[Trace], None]] = (),
    ) -> None:
        self._ledger = ledger
        self._project = project
        self._keeping = keeping
        self._meter = meter
        self._watchers = watchers

    def keep_as(self, keeping: Mapping[str, Keeping]) -> None:
        """Keep by other words from now on: the project was loaded anew."""
        self._keeping = keeping

    def keeping(self, task: str) -> Keeping:
        """Return what a task keeps."""
        return self._keeping.get(task, _UNKNOWN)

    def keeps_texts(self, task: str, trace_id: str) -> bool:
        """Say whether the texts of a request are kept."""
        return self.keeping(task).texts(seed_of(self._project, task), trace_id)

    def trace(self, trace: Trace) -> None:
        """Keep a trace, which is stripped already where its texts are not kept.

        Raises:
            OSError: the spool cannot be written.
        """
        stored = self.keeping(trace.task).store != "none"
        if stored:
            self._ledger.append(trace)
        else:
            self._ledger.note(tally_of(trace, _new_id))
        self._meter.trace(trace)
        if stored and self._watchers:
            bare = without_texts(trace)
            for watcher in self._watchers:
                watcher(bare)

    def shadow(self, shadow: Shadow) -> None:
        """Keep a shadow run; with its texts only where those of the request are kept.

        Raises:
            OSError: the spool cannot be written.
        """
        self._meter.shadow(shadow)
        if self.keeping(shadow.task).store == "none":
            self._ledger.note(tally_of_shadow(shadow, _new_id))
        elif self.keeps_texts(shadow.task, shadow.trace_id):
            self._ledger.note(shadow)
        else:
            self._ledger.note(shadow_without_texts(shadow))

    def feedback(self, said: Feedback) -> None:
        """Keep feedback."""
        self._ledger.note(said)
        self._meter.feedback(said)


def _new_id() -> str:
    return secrets.token_hex(12)
