"""The registry's file: sealed, written by one at a time, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from stepdown.adapters.tables.alone import alone
from stepdown.errors import DataError, InputError
from stepdown.wiring.registry import FILE, LOCK, Artifact, Registry


def artifact(folder: Path, name: str, tier: str = "expert", **said: object) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(f"weights {name}".encode())
    plain = Artifact(
        task="topic", tier=tier, file=f"{name}.bin", digest=f"sha256:{name * 8}", recipe="head",
        data_digest="d", date="2026-11-29",
    )  # fmt: skip
    return replace(plain, **said)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", now=lambda: "2026-11-29T10:00:00+00:00")


def test_what_was_written_is_read_again_with_its_history(registry: Registry) -> None:
    done = registry.add(artifact(registry.folder, "aaaa", score=0.9, n=40), by="ann")
    assert done.files["aaaa.bin"].startswith("sha256:")
    again = Registry(registry.folder)
    assert again.all() == (done,)
    assert [(e.by, e.what) for e in again.history()] == [("ann", "register")]


def test_a_folder_is_an_artifact_too_and_each_file_counts(registry: Registry) -> None:
    one = artifact(registry.folder, "aaaa")
    folder = registry.folder / "adapter"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.gguf").write_bytes(b"a")
    (folder / "inner" / "b.json").write_bytes(b"b")
    done = registry.add(replace(one, file="adapter", state="candidate"))
    assert sorted(done.files) == ["adapter/a.gguf", "adapter/inner/b.json"]
    (folder / "inner" / "b.json").write_bytes(b"changed")
    with pytest.raises(DataError, match=r"adapter/inner/b\.json has digest"):
        registry.promote(done, "ann")


def test_a_registry_of_version_1_is_read_and_written_as_version_2(registry: Registry) -> None:
    registry.folder.mkdir(parents=True)
    old = {
        "task": "topic", "tier": "expert", "file": "old.bin", "digest": "sha256:0000",
        "recipe": "head on static-minilm-256", "data_digest": "d", "date": "2026-10-01",
        "score": None, "score_low": None, "score_high": None, "n": 0, "size_bytes": 3,
        "state": "promoted",
    }  # fmt: skip
    (registry.folder / FILE).write_text(json.dumps([old]), encoding="utf-8")
    assert registry.all()[0].files == {"old.bin": "sha256:0000"}
    registry.add(artifact(registry.folder, "aaaa"))
    plain = json.loads((registry.folder / FILE).read_text(encoding="utf-8"))
    assert (plain["version"], [a["state"] for a in plain["artifacts"]]) == (
        2, ["retired", "promoted"],
    )  # fmt: skip


def test_a_damaged_artifact_is_neither_promoted_nor_gone_back_to(registry: Registry) -> None:
    registry.add(artifact(registry.folder, "aaaa"))
    registry.add(artifact(registry.folder, "bbbb"))
    (registry.folder / "aaaa.bin").write_bytes(b"other weights")
    before = (registry.folder / FILE).read_bytes()
    with pytest.raises(DataError, match=r"aaaa\.bin has digest"):
        registry.promote(registry.find("aaaa"), "ann")
    with pytest.raises(DataError, match="damaged"):
        registry.roll_back("topic", "expert", "ann")
    (registry.folder / "aaaa.bin").unlink()
    with pytest.raises(DataError, match=r"aaaa\.bin cannot be read"):
        registry.roll_back("topic", "expert", "ann")
    assert (registry.folder / FILE).read_bytes() == before


def test_an_artifact_is_named_by_its_first_digits(registry: Registry) -> None:
    registry.add(artifact(registry.folder, "aaaa"))
    registry.add(artifact(registry.folder, "aaab", tier="second"))
    assert registry.find("sha256:aaab").tier == "second"
    with pytest.raises(InputError, match="begins with 'ffff'"):
        registry.find("ffff")
    with pytest.raises(InputError, match="begins with 'aaa'"):
        registry.find("aaa")
    registry.add(artifact(registry.folder, "aaaa", tier="third"))
    with pytest.raises(InputError, match="could be"):
        registry.find("aaaaaaaa")


def test_a_registry_edited_by_hand_is_refused_until_it_is_accepted(registry: Registry) -> None:
    registry.add(artifact(registry.folder, "aaaa", score=0.5, n=10))
    path = registry.folder / FILE
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", "0.99"), encoding="utf-8")
    edited = path.read_bytes()
    with pytest.raises(DataError, match="changed by hand: its seal does not match"):
        registry.all()
    with pytest.raises(DataError, match="changed by hand"):
        registry.add(artifact(registry.folder, "bbbb"))
    assert path.read_bytes() == edited
    registry.accept_edits()
    assert registry.all()[0].score == 0.99


def test_what_cannot_be_is_refused_also_when_edits_are_accepted(registry: Registry) -> None:
    registry.add(artifact(registry.folder, "aaaa"))
    registry.add(artifact(registry.folder, "bbbb"))
    path = registry.folder / FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"retired"', '"promoted"'), encoding="utf-8")
    with pytest.raises(DataError, match="2 artifacts are promoted"):
        registry.accept_edits()
    path.write_text(text.replace('"aaaa.bin"', '"../aaaa.bin"'), encoding="utf-8")
    with pytest.raises(DataError, match="outside the folder"):
        registry.all()


@pytest.mark.parametrize(
    "text", ["{", "[3]", '{"version": 3}', '{"version": 2, "artifact": []}', "\xff", "7"]
)
def test_what_is_no_registry_is_named_and_not_overwritten(registry: Registry, text: str) -> None:
    registry.folder.mkdir(parents=True)
    (registry.folder / FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"registry\.json cannot be read"):
        registry.add(artifact(registry.folder, "aaaa"))
    assert (registry.folder / FILE).read_bytes() == text.encode("latin-1")


def _add_many(folder: str, name: str) -> None:
    registry = Registry(Path(folder))
    for i in range(10):
        registry.add(artifact(Path(folder), f"{name}{i}xx", tier=name))


def test_two_writers_lose_nothing_of_each_other(registry: Registry) -> None:
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=_add_many, args=(str(registry.folder), name)) for name in ("p", "q")
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(registry.all()) == 20
    assert sum(a.state == "promoted" for a in registry.all()) == 2


def test_a_writer_that_waits_too_long_says_so(registry: Registry) -> None:
    ticks = iter(range(100))
    with (
        alone(registry.folder / LOCK),
        pytest.raises(DataError, match="has been writing"),
        alone(registry.folder / LOCK, wait_s=1.0, clock=lambda: float(next(ticks))),
    ):
        raise AssertionError("two hold the lock")


def test_a_writer_waits_for_the_one_before_it(registry: Registry) -> None:
    inside, done = threading.Event(), []

    def hold() -> None:
        with alone(registry.folder / LOCK):
            inside.set()
            done.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5)
    registry.add(artifact(registry.folder, "aaaa"))
    done.append("second")
    thread.join(5)
    assert done == ["first", "second"]


def test_a_promotion_that_is_killed_half_way_leaves_the_old_registry(registry: Registry) -> None:
    registry.add(artifact(registry.folder, "aaaa"))
    registry.add(artifact(registry.folder, "bbbb", state="candidate"))
    before = (registry.folder / FILE).read_bytes()
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from stepdown.wiring.registry import Registry
        registry = Registry(Path({str(registry.folder)!r}))
        found = registry.find("bbbb")
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # just before the rename
        registry.promote(found, "ann")
    """)
    done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    assert (registry.folder / FILE).read_bytes() == before
    assert (
        registry.promote(registry.find("bbbb"), "ann").state == "promoted"
    )  # nobody is locked out
