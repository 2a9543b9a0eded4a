"""A folder with checksums, or the same as a tar file: written whole, read only where all matches.

Nothing of a tar is unpacked but plain files with plain names, up to a limit.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from stepdown.adapters.tables.atomic import replacing
from stepdown.errors import DataError

SUMS = "SHA256SUMS"
LIMIT_BYTES = 32 * 2**30
MOST_FILES = 10_000
TARS = (".tar", ".tar.gz", ".tgz")


def is_tar(path: Path) -> bool:
    """Tell by its name whether a bundle is a tar file."""
    return path.name.endswith(TARS)


def write_bundle(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write files under their names, and their checksums; whole or not at all.

    Raises:
        DataError: there is something already, or it cannot be written.
    """
    if path.exists():
        raise DataError(f"{path} is there already.", "Name another.")
    sums = "".join(f"{_sum_of(data)}  {name}\n" for name, data in sorted(files.items()))
    whole = {**files, SUMS: sums.encode()}
    if is_tar(path):
        with replacing(path) as temporary:
            _write_tar(temporary, whole, packed=not path.name.endswith(".tar"))
        return
    _write_folder(path, whole)


def _write_folder(path: Path, files: Mapping[str, Path | bytes]) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        for name, data in files.items():
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(data, bytes):
                target.write_bytes(data)
            else:
                shutil.copyfile(data, target)
        part.rename(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.", "Make room.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_tar(path: Path, files: Mapping[str, Path | bytes], *, packed: bool) -> None:
    with tarfile.open(path, "w:gz" if packed else "w") as tar:
        for name, data in sorted(files.items()):
            if isinstance(data, Path):
                tar.add(data, name, recursive=False)
            else:
                told = tarfile.TarInfo(name)
                told.size = len(data)
                tar.addfile(told, io.BytesIO(data))


@contextmanager
def opened_bundle(path: Path) -> Iterator[Path]:
    """Yield the folder of a bundle whose every file has its checksum.

    Raises:
        DataError: it is no bundle, a file differs, is missing or was added, or a name is not plain.
    """
    if not is_tar(path):
        _check(path, path)
        yield path
        return
    with TemporaryDirectory(prefix="stepdown-bundle-") as folder:
        _unpack(path, Path(folder))
        _check(Path(folder), path)
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with tarfile.open(path) as tar:
            left = LIMIT_BYTES
            for count, member in enumerate(tar):
                left -= member.size
                if (
                    not member.isfile()
                    or not _plain(member.name)
                    or count >= MOST_FILES
                    or left < 0
                ):
                    raise DataError(
                        f"{path} holds {member.name!r}, which is no plain file of a bundle.",
                        "Only `stepdown models export` writes bundles.",
                    )
                tar.extract(member, folder, filter="data")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}.") from None


def _plain(name: str) -> bool:
    parts = PurePosixPath(name)
    return bool(name) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in name


def _check(folder: Path, said: Path) -> None:
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(
            f"{said} is no bundle: it has no {SUMS}.", "Name what `stepdown models export` wrote."
        ) from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {SUMS}
    odd = sorted(there ^ set(sums)) + sorted(name for name in sums if not _plain(name))
    if odd:
        raise DataError(f"{said}: {odd[0]!r} was added or is missing.", "Export it again.")
    for name, digest in sums.items():
        if _sum_of(folder / name) != digest:
            raise DataError(f"{said}: {name!r} differs from its checksum.", "Export it again.")


def _sum_of(data: Path | bytes) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
