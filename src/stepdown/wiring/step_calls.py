"""The calls of a log by step, as an audit named them; read anew each time, never held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from stepdown.audit.bill import AuditReport
from stepdown.audit.cluster import StepIndex
from stepdown.audit.drafting import Looked
from stepdown.audit.looking import form_in
from stepdown.audit.sketch import Sample, hash64
from stepdown.core.asked import Tool
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import Content, LoggedCall

LOOKED_AT = 1000  # calls of a step that its draft rests on


class StepOf:
    """Tell which step of an audit a call is of."""

    def __init__(self, report: AuditReport) -> None:
        pairs = [(found, bill.name) for bill in report.steps for found in bill.found]
        self._index = StepIndex([found for found, _ in pairs])
        self._names = [name for _, name in pairs]

    def __call__(self, call: LoggedCall, said: Content) -> str | None:
        """Return the step's name, None where nobody named it."""
        if call.step is not None:
            return call.step
        form = form_in(said)
        place = None if form is None else self._index.find(form)
        return None if place is None else self._names[place]


def calls_by_step(
    batches: Iterable[Batch], step_of: StepOf
) -> Iterator[tuple[str, LoggedCall, Batch, int]]:
    """Yield each call with its step, its batch and its row in it; calls of no step are left out."""
    for batch in batches:
        for row, call in enumerate(batch.calls()):
            step = step_of(call, batch.content(row))
            if step is not None:
                yield step, call, batch, row


def look(batches: Iterable[Batch], step_of: StepOf) -> Mapping[str, Looked]:
    """Return a sample of each step's calls that ended well, the same whatever their order."""
    kept: dict[str, Sample[LoggedCall]] = defaultdict(lambda: Sample(LOOKED_AT))
    tools: dict[str, dict[str, Tool]] = defaultdict(dict)
    for step, call, batch, row in calls_by_step(batches, step_of):
        if not call.messages or call.answer is None or call.status != "ok":
            continue
        key = hash64(f"{call.id}\0{call.answer}")
        if kept[step].wants(key):
            kept[step].add(key, call)
            if call.tools:
                offered = batch.content(row).tools
                tools[step] |= {tool.name: tool for tool in offered}
    return {
        step: Looked(tuple(sample.items()), tuple(tools[step].values()))
        for step, sample in kept.items()
    }


def renamed(call: LoggedCall, step: str) -> LoggedCall:
    """Return a call under the name of its step."""
    return msgspec.structs.replace(call, step=step)


def paths_digest(files: Sequence[Path]) -> str:
    """Return one digest of some files."""
    from stepdown.core.digest import digest
    from stepdown.wiring.import_sources import file_digest

    return digest([file_digest(path) for path in files])
