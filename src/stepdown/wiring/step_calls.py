"""The calls of a log by step, as an audit named them; read anew each time, never held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from stepdown.audit.bill import AuditReport
from stepdown.audit.cluster import template_of
from stepdown.audit.drafting import Looked
from stepdown.audit.sketch import Sample, hash64
from stepdown.core.asked import Tool
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import LoggedCall

LOOKED_AT = 1000  # calls of a step that its draft rests on


class StepOf:
    """Tell which step of an audit a call is of."""

    def __init__(self, report: AuditReport) -> None:
        self._by_template = {t: bill.name for bill in report.steps for t in bill.templates}

    def __call__(self, call: LoggedCall) -> str | None:
        """Return the step's name, None where nobody named it."""
        if call.step is not None:
            return call.step
        template = template_of(call.messages)
        return None if template is None else self._by_template.get(template)


def calls_by_step(
    batches: Iterable[Batch], step_of: StepOf
) -> Iterator[tuple[str, LoggedCall, Batch, int]]:
    """Yield each call with its step, its batch and its row in it; calls of no step are left out."""
    for batch in batches:
        for row, call in enumerate(batch.calls()):
            step = step_of(call)
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
