"""Calls are kept one line each; torn lines, full disks and odd names do no harm."""

import errno
import os
from pathlib import Path

import pytest

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.core.request import Completion, Usage
from stepdown.errors import DataError
from stepdown.ports.run_store import RunHead, RunPart, RunRow, RunStore, SavedCall

CALL = SavedCall(
    key="k1",
    sample_id="s1",
    completion=Completion(text="hé\n", usage=Usage(3, None), label_probs={"a": 0.25, "b": 0.75}),
    signals={"margin": 0.5, "token_mean": None},
    latency_s=0.5,
)
FAILED = SavedCall(key="k2", sample_id="s2", failure="deadline", detail="60 s")
ROWS = [
    RunRow(sample_id="s1", call="k1", score=0.5, latency_s=0.25, cost_usd=0.001),
    RunRow(sample_id="s2", call="k2", failure="deadline", reused=True),
]
HEAD = RunHead(
    digest="sha256:ab",
    task="task",
    kind="classify",
    scorer="label/1",
    samples="sha256:ef",
    order="sha256:cd",
    n=2,
    parts=(RunPart(tier="tier", model="fake:x", tier_digest="d", n=2, called=2, reused=0),),
    ceiling="tier",
    contract="sha256:00",
    seed=1,
    max_loss=0.02,
    delta=0.1,
)


def lines(folder: Path) -> Path:
    (found,) = folder.rglob("*.jsonl")
    return found


def test_calls_come_back_in_another_process_as_they_were(tmp_path: Path) -> None:
    store: RunStore = RunFiles(tmp_path)
    store.append("task", "tier", CALL)
    store.append("task", "tier", FAILED)
    store.close()
    assert RunFiles(tmp_path).calls("task", "tier") == {"k1": CALL, "k2": FAILED}
    assert RunFiles(tmp_path).calls("task", "other") == {}


def test_the_last_call_of_a_key_wins(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.append("task", "tier", SavedCall(key="k1", sample_id="s1", failure="unavailable"))
    store.append("task", "tier", CALL)
    assert store.calls("task", "tier") == {"k1": CALL}
    store.close()


@pytest.mark.parametrize("torn", [b'{"key":"k9","samp', b'{"key":"k9","sample_id":"\xff', b"{}"])
def test_a_torn_last_line_is_passed_over_and_the_next_call_gets_its_own(
    tmp_path: Path, torn: bytes
) -> None:
    store = RunFiles(tmp_path)
    store.append("task", "tier", CALL)
    store.close()
    with lines(tmp_path).open("ab") as file:
        file.write(torn)
    again = RunFiles(tmp_path)
    assert again.calls("task", "tier") == {"k1": CALL}
    again.append("task", "tier", FAILED)
    again.close()
    assert RunFiles(tmp_path).calls("task", "tier") == {"k1": CALL, "k2": FAILED}


def test_a_file_cut_at_any_byte_loses_only_the_call_that_was_cut(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.append("task", "tier", CALL)
    store.append("task", "tier", FAILED)
    store.close()
    whole = lines(tmp_path).read_bytes()
    first = whole.index(b"\n")
    for cut in range(len(whole)):
        lines(tmp_path).write_bytes(whole[:cut])
        found = RunFiles(tmp_path).calls("task", "tier")
        assert set(found) == ({"k1"} if cut >= first else set()) | (
            {"k2"} if cut == len(whole) - 1 else set()
        )


def test_names_with_slashes_and_dots_stay_inside_the_folder(tmp_path: Path) -> None:
    store = RunFiles(tmp_path / "runs")
    store.append("../../task", "openai:a/b", CALL)
    store.close()
    assert store.calls("../../task", "openai:a/b") == {"k1": CALL}
    assert lines(tmp_path).is_relative_to(tmp_path / "runs")
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


def test_kept_answers_are_for_their_owner_only(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.append("task", "tier", CALL)
    store.save_run(HEAD, {"tier": ROWS})
    store.keep_samples("task", [b"{}"])
    store.close()
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.json*")}
    assert modes == {0o600}


def test_a_full_disk_is_said_in_one_sentence_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunFiles(tmp_path)
    store.append("task", "tier", CALL)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def short(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:7])

    for broken in (full, short):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", broken)
            with pytest.raises(DataError, match="What had finished is safe"):
                store.append("task", "tier", FAILED)
    store.append("task", "tier", FAILED)
    assert store.calls("task", "tier") == {"k1": CALL, "k2": FAILED}
    store.close()


def test_a_run_is_found_under_its_digest_with_its_rows_and_samples(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.save_run(HEAD, {"tier": ROWS})
    two = [b'{"id":"s1"}', b'{"id":"s2"}']
    order = store.keep_samples("task", two)
    assert store.keep_samples("task", two) == order != store.keep_samples("task", two[::-1])
    assert store.run("task", "sha256:ab") == HEAD
    assert store.run("task", "sha256:ff") is None
    assert list(store.runs("task")) == [HEAD]
    assert list(store.rows(HEAD, "tier")) == ROWS
    assert list(store.samples("task", order)) == [b'{"id":"s1"}\n', b'{"id":"s2"}\n']


def test_what_is_not_in_a_run_is_named(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.save_run(HEAD, {"tier": ROWS})
    with pytest.raises(DataError, match=r"no tier 'teir'\. It has: tier"):
        list(store.rows(HEAD, "teir"))
    with pytest.raises(DataError, match="were removed"):
        list(store.samples("task", "sha256:ff"))


def test_a_broken_row_is_named_with_its_line(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    store.save_run(HEAD, {"tier": ROWS})
    with lines(tmp_path).open("ab") as file:
        file.write(b"{oops\n")
    with pytest.raises(DataError, match="line 3: not a row of a run"):
        list(store.rows(HEAD, "tier"))


def test_calls_that_end_together_are_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, writes, write = RunFiles(tmp_path), list[bytes](), os.write

    def seen(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", seen)
    store.append("task", "tier", CALL, FAILED)
    assert len(writes) == 1
    assert store.calls("task", "tier") == {"k1": CALL, "k2": FAILED}
    store.close()


def test_a_call_is_found_among_many_and_a_stranger_is_not(tmp_path: Path) -> None:
    store = RunFiles(tmp_path)
    many = [SavedCall(key=f"key {i}", sample_id=str(i)) for i in range(2000)]
    store.append("task", "tier", *many)
    found = store.calls("task", "tier")
    assert [found[call.key] for call in many] == many
    assert found.get("key 2000") is None
    assert "key 5" in found
    assert "key -1" not in found
    assert len(found) == 2000
    store.close()


def test_keys_whose_marks_meet_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepdown.adapters.tables import kept_calls

    monkeypatch.setattr(kept_calls, "_mark", lambda _key: 7)
    store = RunFiles(tmp_path)
    store.append("task", "tier", CALL, FAILED)
    found = store.calls("task", "tier")
    assert (found["k1"], found["k2"], found.get("k3")) == (CALL, FAILED, None)
    store.close()
