"""Training on a Ray cluster: any recipe as a task with resources, and embedding by Ray Data.

It does not know which recipes there are: it is handed a way to build one on the worker. Ray is
told to send no usage statistics, to open no dashboard and to keep its prints to itself.
"""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError
from stepdown.ports.encoder import Encoder
from stepdown.ports.trainer import Made, Trainer, TrainingJob

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
LOOK_S = 1.0  # between two looks at a task; each also notices that the training was stopped


class Cluster(Struct, frozen=True, kw_only=True):
    """Where and with what one training runs.

    Args:
        address: of a running cluster; None: RAY_ADDRESS where it is set, else a local one that
            listens on loopback only and ends with this process.
        cpus, gpus: what a training task asks for.
        limit_bytes: largest artifact that a worker may send back.
        embedders: actors that embed at a time.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    limit_bytes: int = 4 * 2**30
    embedders: int = 2


class Sent(Struct, frozen=True):
    """What a worker sends back: the artifact packed as a tar file, and what it said of it."""

    packed: bytes
    name: str
    digest: str
    card: dict[str, Any]
    notes: tuple[str, ...]


class RayTrainer(Struct, frozen=True, eq=False):
    """A recipe that trains as a task of the cluster; the artifact comes back to the job's folder.

    `make` builds the recipe on the worker, where Stepdown must be installed; `here` is the same
    recipe in this process, which knows what it refuses.
    """

    here: Trainer
    make: Callable[[], Trainer]
    cluster: Cluster = Cluster()

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.here.name

    def refusal(self, task: Task, tier: Tier) -> str | None:
        """Say why this recipe cannot make that tier of the task; None when it can."""
        return self.here.refusal(task, tier)

    async def fit(self, job: TrainingJob) -> Made:
        """Train on the cluster. Raises what the recipe raises, and DataError beyond the limit."""
        ray = connected(self.cluster)
        task = ray.remote(num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus, max_retries=2)(
            train_there
        )
        bare = msgspec.structs.replace(job, step=None, folder=Path("job"))
        waiting = task.remote(self.make, bare, self.cluster.limit_bytes)
        try:
            sent = await _waited(ray, waiting, job)
        except BaseException:
            ray.cancel(waiting, force=True)
            raise
        return unpacked(sent, job.folder)


class RayEncoder:
    """An encoder whose larger batches are embedded by actors of the cluster, in order."""

    def __init__(
        self, here: Encoder, make: Callable[[], Encoder], cluster: Cluster, *, least: int = 2048
    ) -> None:
        """Wrap `here`; `make` builds the same encoder on a worker, `least` texts are worth it."""
        self._here, self._make, self._cluster, self._least = here, make, cluster, least

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._here.name

    @property
    def digest(self) -> str:
        """Digest of the weights and of the way they are read."""
        return self._here.digest

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._here.dim

    def embed(self, texts: Sequence[str]) -> NDArray[float32]:
        """Return an array of shape (len(texts), dim), in the order of the texts."""
        if len(texts) < self._least:
            return self._here.embed(texts)
        return embed_on(self._cluster, self._make, texts)


def connected(cluster: Cluster) -> Any:
    """Return the module `ray`, connected.

    Raises:
        ConfigError: ray is not installed; names the extra.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if not ray.is_initialized():
        local = cluster.address is None and not os.environ.get("RAY_ADDRESS")
        alone = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if local else {}
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            logging_level="ERROR",
            ignore_reinit_error=True,
            **alone,
        )
    return ray


def train_there(make: Callable[[], Trainer], job: TrainingJob, limit_bytes: int) -> Sent:
    """Train on this worker, in a folder that is gone afterwards, and pack what was made."""
    with tempfile.TemporaryDirectory(prefix="stepdown-job-") as folder:
        mine = msgspec.structs.replace(job, folder=Path(folder))
        made = asyncio.run(make().fit(mine))
        return Sent(
            packed(made.path, limit_bytes), made.path.name, made.digest, dict(made.card), made.notes
        )


def packed(path: Path, limit_bytes: int) -> bytes:
    """Return a file or folder as an uncompressed tar.

    Raises:
        DataError: it is larger than the limit.
    """
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    if size > limit_bytes:
        raise DataError(
            f"The artifact has {size:,} bytes, and a worker may send {limit_bytes:,}.",
            "Keep adapters apart from their base, or raise the limit of the cluster.",
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(path, arcname=path.name)
    return buffer.getvalue()


def unpacked(sent: Sent, folder: Path) -> Made:
    """Write what a worker sent into the job's folder; only plain files inside it are taken."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(sent.packed)) as tar:
        tar.extractall(folder, filter="data")
    return Made(path=folder / sent.name, digest=sent.digest, card=sent.card, notes=sent.notes)


async def _waited(ray: Any, waiting: Any, job: TrainingJob) -> Sent:
    """Look each second whether the task ended, and tell how long it has been."""
    seconds = 0
    while True:
        done, _ = await asyncio.to_thread(ray.wait, [waiting], timeout=LOOK_S)
        if done:
            return _result(ray, waiting)
        seconds += 1
        if job.step is not None:
            job.step("seconds on the cluster", seconds, None)


def _result(ray: Any, waiting: Any) -> Sent:
    """Return what the task returned, or raise the recipe's own error and not Ray's wrapper."""
    try:
        found: Sent = ray.get(waiting)
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None)
        if cause is None:
            raise
        raise cause from None
    return found


class _Embedding:
    """An actor of Ray Data: opens the encoder once, embeds batches."""

    def __init__(self, make: Callable[[], Encoder]) -> None:
        self._encoder = make()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"at": batch["at"], "vector": self._encoder.embed(list(batch["text"]))}


def embed_on(
    cluster: Cluster, make: Callable[[], Encoder], texts: Sequence[str]
) -> NDArray[float32]:
    """Embed texts by actors of Ray Data.

    Each actor asks for a quarter of a processor: a pool as large as the number of processors
    leaves none for reading, and hangs.
    """
    import numpy as np

    ray = connected(cluster)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = ray.data.from_items([{"at": at, "text": text} for at, text in enumerate(texts)])
    done = rows.map_batches(
        _Embedding,
        fn_constructor_args=(make,),
        batch_size=256,
        num_cpus=0.25,
        compute=ray.data.ActorPoolStrategy(size=cluster.embedders),
    )
    found: NDArray[float32] | None = None
    for batch in done.iter_batches(batch_size=1024, batch_format="numpy"):
        vectors = np.stack(list(batch["vector"])).astype(np.float32)
        if found is None:
            found = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
        found[batch["at"]] = vectors
    assert found is not None
    return found
