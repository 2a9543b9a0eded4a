"""The same recipe on a local Ray cluster gives the same bytes as in this process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stepdown.adapters.encoders.static import load_static
from stepdown.adapters.engines.ray import Cluster, RayEncoder, RayTrainer, connected
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.train.head_trainer import HeadTrainer

pytestmark = [
    pytest.mark.slow,
    # Ray's own: sockets and processes that it closes after the interpreter looks
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ABOUT = {
    "parcel": ("my parcel is late", "where is the box", "the courier lost it", "no delivery yet"),
    "money": ("refund my money", "you charged me twice", "the invoice is wrong", "pay me back"),
}
TASK = Task(name="topic", kind="classify", tiers=("expert",), labels=tuple(ABOUT))
TIER = Tier(name="expert", model="head:static-minilm-256")
ROWS = tuple(
    Example(id=f"{label}{n}{i}", input=f"{text} {n}", answer=label, group=f"{label}{n}{i}")
    for label, texts in ABOUT.items()
    for i, text in enumerate(texts)
    for n in range(6)
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A local cluster; ends with these tests."""
    pytest.importorskip("ray", reason='the extra ray is not installed: pip install ".[ray]"')
    local = Cluster(embedders=2)
    ray = connected(local)
    yield local
    ray.shutdown()


def job(folder: Path, rows: tuple[Example, ...] = ROWS) -> TrainingJob:
    data = TrainingSet(train=rows, digest="sha256:" + "ef" * 32)
    return TrainingJob(task=TASK, tier=TIER, data=data, folder=folder)


async def test_a_recipe_as_a_task_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    here = HeadTrainer(lambda _name: load_static())
    there = RayTrainer(here, lambda: HeadTrainer(lambda _name: load_static()), cluster)
    local = await here.fit(job(tmp_path / "local"))
    remote = await there.fit(job(tmp_path / "remote"))
    assert remote.path.read_bytes() == local.path.read_bytes()
    assert (remote.digest, remote.notes) == (local.digest, local.notes)


async def test_embedding_on_the_cluster_gives_the_same_head(
    cluster: Cluster, tmp_path: Path
) -> None:
    def spread(_name: str) -> RayEncoder:
        return RayEncoder(load_static(), load_static, cluster, least=1)

    local = await HeadTrainer(lambda _name: load_static()).fit(job(tmp_path / "local"))
    remote = await HeadTrainer(spread).fit(job(tmp_path / "remote"))
    assert remote.path.read_bytes() == local.path.read_bytes()


def test_vectors_come_back_in_the_order_of_the_texts(cluster: Cluster) -> None:
    texts = [f"text number {n} of many" for n in range(3000)]
    spread = RayEncoder(load_static(), load_static, cluster, least=1)
    assert np.array_equal(spread.embed(texts), load_static().embed(texts))


async def test_what_a_recipe_refuses_is_refused_in_its_own_words(
    cluster: Cluster, tmp_path: Path
) -> None:
    here = HeadTrainer(lambda _name: load_static())
    there = RayTrainer(here, lambda: HeadTrainer(lambda _name: load_static()), cluster)
    with pytest.raises(DataError, match="one class only"):
        await there.fit(job(tmp_path, tuple(row for row in ROWS if row.answer == "money")))


async def test_an_artifact_beyond_the_limit_is_not_sent(tmp_path: Path, cluster: Cluster) -> None:
    here = HeadTrainer(lambda _name: load_static())
    small = Cluster(limit_bytes=10)
    there = RayTrainer(here, lambda: HeadTrainer(lambda _name: load_static()), small)
    with pytest.raises(DataError, match="a worker may send 10"):
        await there.fit(job(tmp_path))


async def test_it_tells_how_long_it_has_been_and_stops_when_told(
    cluster: Cluster, tmp_path: Path
) -> None:
    here = HeadTrainer(lambda _name: load_static())

    def slow() -> HeadTrainer:
        import time

        time.sleep(30)
        return HeadTrainer(lambda _name: load_static())

    seen: list[int] = []

    def step(_stage: str, done: int, _total: int | None) -> None:
        seen.append(done)
        if done == 2:
            raise KeyboardInterrupt

    from msgspec.structs import replace

    with pytest.raises(KeyboardInterrupt):
        await RayTrainer(here, slow, cluster).fit(replace(job(tmp_path), step=step))
    assert seen == [1, 2]
