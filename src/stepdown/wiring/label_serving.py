"""The desk process: one task's label queue for a gateway, beside it.

    python -P -m stepdown.wiring.label_serving FOLDER TASK

It makes the queue as `stepdown label` does, with numpy and the task's own tiers, which a gateway
that answers requests has no room for. A line of JSON on standard input is an order, a line on
standard output what came of it. It ends when its input does, or when nobody has asked for a while.
It never calls a hosted model: what is not kept is said.
"""

from __future__ import annotations

import asyncio
import select
import sys
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import msgspec

from stepdown.core.digest import digest
from stepdown.core.label_desk import AtDesk, Desk, Order, Question, Stand, Told
from stepdown.core.request import Capabilities, Chunk, Completion, Request
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import InputError, StepdownError
from stepdown.evals.harness import Progress
from stepdown.ports.model import Model
from stepdown.wiring.label_facts import Facts, label_facts
from stepdown.wiring.labelling import Card, Labelling, check_name
from stepdown.wiring.models import ModelShop
from stepdown.wiring.pool_labels import labels_of
from stepdown.wiring.workspace import Workspace

IDLE_S = 600.0
UNDO_HOURS = 12  # how far back a judgement can be taken back with one key
MOST = 9


class _Silent:
    """A hosted model whose kept answers can be used, and that is never called."""

    def __init__(self, model: Model, tier: str, task: str) -> None:
        self._model = model
        self._tier = tier
        self._task = task

    @property
    def digest(self) -> str:
        return self._model.digest

    @property
    def capabilities(self) -> Capabilities:
        return self._model.capabilities

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        raise InputError(
            f"Answers of the hosted tier {self._tier!r} are missing, and a dashboard asks none.",
            f"Run `stepdown label {self._task} --status` once: it asks for them, and pays.",
        )

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        await self.complete(request, timeout_s=timeout_s)
        yield Chunk()

    async def aclose(self) -> None:
        await self._model.aclose()


class _QuietShop(ModelShop):
    """Models of which the hosted ones are never called."""

    def _hosted(self, task: Task, tier: Tier) -> Model:
        return _Silent(super()._hosted(task, tier), tier.name, task.name)


class _QuietWorkspace(Workspace):
    """A project whose hosted models are never called."""

    @cached_property
    def models(self) -> ModelShop:
        return _QuietShop(self.project, self.environment, self.inputs)


class DeskServing:
    """The queue of one task: made once in a thread, then asked."""

    def __init__(self, folder: Path, task: str) -> None:
        self._folder = folder
        self._task = task
        self._said = "starting"
        self._problem = ""
        self._workspace: Workspace | None = None
        self._facts: Facts | None = None
        self._desks: dict[str, Labelling] = {}
        self._maker = threading.Thread(target=self._make, daemon=True)
        self._maker.start()

    def answer(self, order: Order) -> AtDesk:
        """Do what is ordered, then show the desk."""
        if self._maker.is_alive():
            return AtDesk(desk=Desk(state="making", said=self._said))
        if self._facts is None:
            return AtDesk(desk=Desk(state="failed", said=self._problem))
        try:
            desk = self._desk(order.by)
            told = _do(desk, order)
            return AtDesk(desk=_shown(desk), told=told)
        except StepdownError as error:
            return AtDesk(desk=Desk(state="failed", said=_words(error)))

    def wait(self) -> None:
        """Wait until the queue is made, or could not be."""
        self._maker.join()

    def _desk(self, by: str) -> Labelling:
        assert self._workspace is not None
        assert self._facts is not None
        name = check_name(by)
        if name not in self._desks:
            file = labels_of(self._workspace, self._facts.task)
            self._desks[name] = Labelling(self._facts, file, name)
        self._desks[name].reread()
        return self._desks[name]

    def _make(self) -> None:
        try:
            workspace = _QuietWorkspace.open(self._folder)
            self._facts = asyncio.run(self._gathered(workspace))
            self._workspace = workspace
        except StepdownError as error:
            self._problem = _words(error)
        except Exception as error:  # noqa: BLE001 the edge of this process
            self._problem = f"The queue could not be made: {type(error).__name__}: {error}"

    async def _gathered(self, workspace: Workspace) -> Facts:
        try:
            task = workspace.project.task(self._task)
            return await label_facts(workspace, task, self._watch)
        finally:
            await workspace.aclose()

    def _watch(self, seen: Progress) -> None:
        self._said = f"{seen.tier}: {seen.done:,} of {seen.total:,} answers"


def _words(error: StepdownError) -> str:
    return f"{error.message} {error.hint}".strip()


def _do(desk: Labelling, order: Order) -> Told:
    if order.said == "u":
        since = datetime.now(UTC) - timedelta(hours=UNDO_HOURS)
        taken = desk.take_back(since.isoformat(timespec="seconds"))
        return "nothing" if taken is None else "undone"
    if not order.said:
        return ""
    card = desk.draw_named(order.query)
    if card is None or _mark(card) != order.mark:
        return "stale"
    if order.said == "s":
        desk.skip(card)
        return "later"
    right = _right(card, order.said)
    if right is None:
        return "no_key"
    desk.say(card, right)
    return "kept"


def _right(card: Card, said: str) -> list[str] | None:
    """Return the answers that a key calls right, None where it is no key of the question."""
    names = [name for name, _ in card.answers]
    if said == "0":
        return []
    if said == "b" and len(names) > 1:
        return names
    is_one = said.isdecimal() and 1 <= int(said) <= min(MOST, len(names))
    return [names[int(said) - 1]] if is_one else None


def _shown(desk: Labelling) -> Desk:
    now, card = desk.standing(), None
    if not now.decided:
        card = desk.draw("next")
    stand = Stand(
        labelled=desk.labelled,
        left_at_most=now.labels_left_at_most,
        bound_worst=now.bound_worst,
        limit=desk.facts.question.epsilon,
        delta=desk.facts.question.delta,
        decided=now.decided,
        keeps=desk.facts.kept[now.certified],
        could_keep=desk.facts.kept[now.possible],
        disputed=len(desk.disputed),
        pool=desk.facts.pool,
    )
    if card is None:
        return Desk(state="done", stand=stand)
    asked = Question(
        query_id=card.query_id,
        text=card.text,
        answers=card.answers,
        why=card.why,
        mark=_mark(card),
    )
    return Desk(state="asking", question=asked, stand=stand)


def _mark(card: Card) -> str:
    return digest([card.query_id, *(key for key, _ in card.answers)])[7:23]


def main(folder: str, task: str) -> None:
    """Answer orders until the input ends, or nobody has asked for `IDLE_S`."""
    serving = DeskServing(Path(folder), task)
    decode, encode = msgspec.json.Decoder(Order).decode, msgspec.json.Encoder().encode
    source, out = sys.stdin.buffer, sys.stdout.buffer
    while select.select([source], [], [], IDLE_S)[0]:
        line = source.readline()
        if not line:
            return
        out.write(encode(serving.answer(decode(line))) + b"\n")
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
