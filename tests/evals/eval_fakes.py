"""Fakes of the eval tests: a task, a model that answers by a function, a store in memory."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from stepdown.core.digest import digest_bytes
from stepdown.core.request import Capabilities, Chunk, Completion, Request, Usage
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.evals.dataset import Sample
from stepdown.ports.run_store import RunHead, RunRow, SavedCall

LABELS = ("refund", "order status", "other")
LABEL_TASK = Task(
    name="intent",
    kind="classify",
    tiers=("small", "big"),
    labels=LABELS,
    scorer="label",
    reference="intent",
)
FIELD_TASK = Task(
    name="fields",
    kind="extract",
    tiers=("small", "big"),
    fields=("order", "amount"),
    scorer="fields",
    reference="entities",
)
DRAFT_TASK = Task(
    name="draft", kind="draft", tiers=("small", "big"), scorer="patterns", reference="points"
)
SMALL = Tier(name="small", model="fake:small")
PER_TOKEN = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0, basis="list")
USAGE = Usage(input_tokens=100, output_tokens=50)


def samples(n: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(id=f"s{i}", input=f"message {i}", reference=LABELS[i % 3]) for i in range(n)
    )


class FakeModel:
    """Answer by `answer(request)`: a text, a Completion, or an exception to raise."""

    capabilities = Capabilities()

    def __init__(
        self, answer: Callable[[Request], str | Completion | Exception], digest: str = "fake"
    ) -> None:
        self._answer = answer
        self.digest = digest
        self.asked: list[Request] = []
        self.at_once = self.most_at_once = 0

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        said = self._answer(request)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Completion) else Completion(text=said, usage=USAGE)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        yield Chunk(completion=await self.complete(request))

    async def aclose(self) -> None:
        return None


class MemoryStore:
    """A RunStore that forgets when the test ends."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, SavedCall]] = {}
        self.heads: dict[str, RunHead] = {}
        self.kept_rows: dict[tuple[str, str], list[RunRow]] = {}
        self.sets: dict[str, list[bytes]] = {}

    def calls(self, task: str, tier: str) -> Mapping[str, SavedCall]:
        return dict(self.kept.get((task, tier), {}))

    def append(self, task: str, tier: str, *calls: SavedCall) -> None:
        self.kept.setdefault((task, tier), {}).update({call.key: call for call in calls})

    def keep_samples(self, task: str, samples: Iterable[bytes]) -> str:
        kept = list(samples)
        order = digest_bytes(b"\n".join(kept))
        self.sets[order] = kept
        return order

    def samples(self, task: str, digest: str) -> Iterator[bytes]:
        return iter(self.sets[digest])

    def save_run(self, head: RunHead, rows: Mapping[str, Iterable[RunRow]]) -> None:
        self.heads[head.digest] = head
        for tier, each in rows.items():
            self.kept_rows[head.digest, tier] = list(each)

    def run(self, task: str, digest: str) -> RunHead | None:
        return self.heads.get(digest)

    def runs(self, task: str) -> Sequence[RunHead]:
        return [head for head in self.heads.values() if head.task == task]

    def rows(self, head: RunHead, tier: str) -> Iterator[RunRow]:
        return iter(self.kept_rows[head.digest, tier])

    def scratch(self) -> BinaryIO:
        return io.BytesIO()

    def close(self) -> None:
        return None
