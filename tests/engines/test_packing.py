"""What a worker of a cluster sends back: plain files, bounded, and nothing outside the folder."""

import io
import tarfile
from pathlib import Path

import pytest

from stepdown.adapters.engines.ray import Sent, packed, unpacked
from stepdown.errors import DataError


def sent(data: bytes, name: str = "made") -> Sent:
    return Sent(data, name, "sha256:x", {"n": 1}, ("note",))


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "deep" / "a.bin").write_bytes(b"\0one")
    made = unpacked(sent(packed(tmp_path / "made", 100)), tmp_path / "job")
    assert (made.path / "deep" / "a.bin").read_bytes() == b"\0one"
    assert (made.path.name, made.digest, made.card, made.notes) == (
        "made",
        "sha256:x",
        {"n": 1},
        ("note",),
    )


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "head.safetensors").write_bytes(b"two")
    there = sent(packed(tmp_path / "head.safetensors", 100), "head.safetensors")
    assert unpacked(there, tmp_path / "job").path.read_bytes() == b"two"


def test_more_than_the_limit_is_refused_before_it_is_packed(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"x" * 101)
    with pytest.raises(DataError, match="101 bytes, and a worker may send 100"):
        packed(tmp_path / "model.gguf", 100)


def test_a_name_outside_the_folder_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    with pytest.raises(tarfile.OutsideDestinationError):
        unpacked(sent(buffer.getvalue()), tmp_path / "job")
    assert not (tmp_path / "outside").exists()
