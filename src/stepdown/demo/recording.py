"""Recorded outcomes of the embedded language model: written by a real run, checked by a live one.

The model takes seconds for all steps of a message on two cores, so the demo does not ask it again
for every row. It asks it for some, and goes on only when those answers agree with the recording.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from stepdown.core.confidence import read_signals
from stepdown.core.digest import digest
from stepdown.core.request import Completion
from stepdown.core.requesting import request_for
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import call_key
from stepdown.ports.run_store import SavedCall
from stepdown.wiring.evaluating import PARTS, samples_in
from stepdown.wiring.workspace import Workspace

FILE = "small.recorded.jsonl.gz"
TIER = "small"


class About(Struct, frozen=True, kw_only=True):
    """How the recording was made. `tolerance` is the largest difference of a label's probability
    that a live answer may show: kept prompts and other processors shift the model's numbers.
    """

    recorded: bool
    date: str
    tier_digest: str
    model: str
    runtime: str
    machine: str
    n: int
    tolerance: float


class Said(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recorded answer: what was asked (a digest of the request) and what came back."""

    task: str
    sample_id: str
    request: str
    call: SavedCall


class Checked(Struct, frozen=True, kw_only=True):
    """What the live re-run showed: rows asked again, how far probabilities were off at most."""

    asked: int
    same: int
    largest: float
    tolerance: float
    about: About


def write(path: Path, about: About, said: Iterable[Said]) -> None:
    """Write a recording; equal contents give equal bytes."""
    lines = [msgspec.json.encode(about), *(msgspec.json.encode(one) for one in said)]
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(b"\n".join(lines) + b"\n")


def read(path: Path) -> tuple[About, list[Said]]:
    """Read a recording.

    Raises:
        DataError: it is missing or broken.
    """
    try:
        with gzip.open(path) as packed:
            first, *rest = packed.read().splitlines()
        return msgspec.json.decode(first, type=About), [
            msgspec.json.decode(line, type=Said) for line in rest
        ]
    except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
        raise DataError(f"The recording {path.name} cannot be read: {error}.") from None


def gather(workspace: Workspace) -> list[Said]:
    """Return what the run store holds of the language model, shrunk to what evals read."""
    found = []
    for task, samples in _asked(workspace):
        kept = workspace.runs.calls(task.name, TIER)
        for sample in samples:
            call = kept.get(_key(workspace, task, sample))
            if call is not None:
                found.append(_said(workspace, task, sample, call))
    return found


def _said(workspace: Workspace, task: Task, sample: Sample, call: SavedCall) -> Said:
    done = call.completion
    short = None if done is None else msgspec.structs.replace(done, label_probs=None, logprobs=None)
    kept = msgspec.structs.replace(call, key="", completion=short)
    return Said(
        task=task.name,
        sample_id=sample.id,
        request=_request_digest(workspace, task, sample),
        call=kept,
    )


def _asked(workspace: Workspace) -> list[tuple[Task, tuple[Sample, ...]]]:
    tasks = [task for task in workspace.tasks() if TIER in task.tiers]
    return [(task, samples_in(workspace, task, PARTS["all"])) for task in tasks]


def _key(workspace: Workspace, task: Task, sample: Sample) -> str:
    model = workspace.model(task, TIER)
    request = request_for(task, TIER, sample.id, sample.input, capabilities=model.capabilities)
    return call_key(request, model.digest)


def _request_digest(workspace: Workspace, task: Task, sample: Sample) -> str:
    capabilities = workspace.model(task, TIER).capabilities
    request = request_for(task, TIER, "", sample.input, capabilities=capabilities)
    return digest(request)


def restore(workspace: Workspace, said: Sequence[Said]) -> int:
    """Put recorded answers into the run store, as answers of today's runtime, after `check`.

    Answers whose request is no longer what would be asked are left out. Returns how many were put.
    """
    by_row = {(one.task, one.sample_id): one for one in said}
    n = 0
    for task, samples in _asked(workspace):
        known = workspace.runs.calls(task.name, TIER)
        for sample in samples:
            one = by_row.get((task.name, sample.id))
            if one is None or one.request != _request_digest(workspace, task, sample):
                continue
            key = _key(workspace, task, sample)
            if key not in known:
                call = msgspec.structs.replace(one.call, key=key)
                workspace.runs.append(task.name, TIER, call)
                n += 1
    return n


async def check(
    workspace: Workspace,
    about: About,
    said: Sequence[Said],
    rows: int,
    watch: Callable[[int, int], None] | None = None,
) -> Checked:
    """Ask the live model again for some rows, chosen by their digest, and compare.

    Raises:
        DataError: an answer differs by more than the stated tolerance; names the row.
    """
    chosen = sorted((one for one in said if one.call.completion), key=lambda o: o.request)[:rows]
    if not chosen:
        raise DataError(
            "The recording holds no answer to ask again.", "Record it with `make outcomes`."
        )
    samples = {(t.name, s.id): (t, s) for t, found in _asked(workspace) for s in found}
    largest, same = 0.0, 0
    for number, one in enumerate(chosen, 1):
        task, sample = samples[one.task, one.sample_id]
        off, equal = await _compare(workspace, task, sample, one)
        largest, same = max(largest, off), same + equal
        if off > about.tolerance:
            raise DataError(
                f"The live model differs from the recording on {one.task} of {one.sample_id}: "
                f"{off:.3f}, allowed {about.tolerance:g}.",
                "Run `make outcomes` on this machine to record it anew.",
            )
        if watch is not None:
            watch(number, len(chosen))
    return Checked(
        asked=len(chosen), same=same, largest=largest, tolerance=about.tolerance, about=about
    )


async def _compare(
    workspace: Workspace, task: Task, sample: Sample, one: Said
) -> tuple[float, bool]:
    """Return how far the live answer is from the recorded one, and whether the text is the same.

    For labels: the difference of the chosen label's probability. For text and JSON: the difference
    of the mean probability of the tokens.
    """
    model = workspace.model(task, TIER)
    request = request_for(task, TIER, sample.id, sample.input, capabilities=model.capabilities)
    done = await model.complete(request, timeout_s=workspace.tiers[TIER].timeout_s)
    recorded = one.call.completion
    assert recorded is not None
    return _off(task, done, one), done.text == recorded.text


def _off(task: Task, done: Completion, one: Said) -> float:
    name = "label_prob" if task.labels else "token_mean"
    before, now = one.call.signals.get(name), read_signals(done).get(name)
    return abs(before - now) if before is not None and now is not None else 0.0
