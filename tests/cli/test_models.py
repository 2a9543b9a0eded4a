"""`stepdown models`: list, show, promote, rollback, prune, on the tiny project (synthetic rows)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from tiny_project import envelope, stepdown

from stepdown.core.beside import Change
from stepdown.wiring.registry import Artifact, Registry
from stepdown.wiring.workspace import Workspace


def another(folder: Path, name: str, **said: object) -> Artifact:
    """Register a further artifact for the tiny project's expert: some bytes, no model."""
    registry = Registry(folder / "models")
    (registry.folder / f"{name}.bin").write_bytes(name.encode())
    plain = Artifact(
        task="topic", tier="expert", file=f"{name}.bin", digest=f"sha256:{name * 8}",
        recipe="head", data_digest="d", date="2026-11-29", state="candidate",
    )  # fmt: skip
    return registry.add(replace(plain, **said))


def trained(folder: Path) -> Artifact:
    found = Registry(folder / "models").promoted("topic", "expert")
    assert found is not None
    return found


def test_the_list_shows_state_and_digest(certified: Path) -> None:
    another(certified, "cafe", score=0.8, score_low=0.7, score_high=0.9, n=40)
    text = stepdown("models", "list", "-p", certified).output
    assert trained(certified).short in text
    assert "candidate" in text
    assert "0.800" in text
    found = envelope(stepdown("models", "list", "topic", "-p", certified, "--json"))["data"]
    assert [a["state"] for a in found["artifacts"]] == ["promoted", "candidate"]


def test_an_empty_list_says_how_to_fill_it(plain: Path) -> None:
    assert "stepdown train" in stepdown("models", "list", "-p", plain).output


def test_show_tells_who_pins_an_artifact_and_what_it_replaced(certified: Path) -> None:
    old = trained(certified)
    another(certified, "cafe")
    stepdown("models", "promote", "cafe", "--yes", "-p", certified, "--by", "ann")
    data = envelope(stepdown("models", "show", "cafe", "-p", certified, "--json"))["data"]
    assert data["parents"] == [old.digest]
    assert data["pinned_by"] == []
    assert [e["by"] for e in data["history"]] == ["stepdown", "ann"]
    text = stepdown("models", "show", old.short, "-p", certified).output
    assert "stepdown.lock" in text
    assert "retired" in text


def test_show_of_a_damaged_file_says_so_and_exits_1(certified: Path) -> None:
    one = trained(certified)
    (certified / "models" / one.file).write_bytes(b"not what was trained")
    done = stepdown("models", "show", one.short, "-p", certified)
    assert done.exit_code == 1
    assert "has digest" in done.output


def test_a_promotion_says_that_the_lock_still_pins_the_old_one(certified: Path) -> None:
    another(certified, "cafe", score=0.99, score_low=0.9, score_high=1.0, n=80)
    done = stepdown("models", "promote", "topic", "-p", certified, "--yes")
    assert done.exit_code == 0
    assert "run `stepdown certify topic`" in " ".join(done.output.split())
    assert trained(certified).short == "cafecafecafe"


def test_a_worse_one_is_promoted_only_when_somebody_says_so(certified: Path) -> None:
    registry = Registry(certified / "models")
    registry.update(replace(trained(certified), score=0.9, score_low=0.85, score_high=0.95, n=80))
    another(certified, "cafe", score=0.5, score_low=0.4, score_high=0.6, n=80)
    done = stepdown("models", "promote", "cafe", "-p", certified, stdin="n\n")
    assert done.exit_code == 1
    assert "below the 0.900" in done.stderr
    assert stepdown("models", "promote", "cafe", "-p", certified).exit_code == 1  # nobody answers
    assert trained(certified).digest != "sha256:" + "cafe" * 8
    done = stepdown("models", "promote", "cafe", "-p", certified, stdin="y\n")
    assert done.exit_code == 0, done.output


def test_a_better_or_equal_one_asks_nothing(certified: Path) -> None:
    registry = Registry(certified / "models")
    registry.update(replace(trained(certified), score=0.9, score_low=0.85, score_high=0.95, n=80))
    another(certified, "cafe", score=0.88, score_low=0.8, score_high=0.93, n=80)
    done = stepdown("models", "promote", "cafe", "-p", certified)
    assert done.exit_code == 0, done.output


def test_a_damaged_candidate_is_refused_with_both_digests(certified: Path) -> None:
    another(certified, "cafe")
    (certified / "models" / "cafe.bin").write_bytes(b"cut off")
    done = stepdown("models", "promote", "cafe", "--yes", "-p", certified)
    assert done.exit_code == 2
    assert "cafe.bin has digest" in done.stderr


def test_back_to_the_parent_and_the_lock_fits_again(certified: Path) -> None:
    old = trained(certified)
    another(certified, "cafe")
    stepdown("models", "promote", "cafe", "--yes", "-p", certified)
    done = stepdown("models", "rollback", "topic", "-p", certified, "--by", "bob")
    assert done.exit_code == 0, done.output
    assert "pins this very artifact" in " ".join(done.output.split())
    assert trained(certified).digest == old.digest
    assert stepdown("ask", "topic", "hello", "-p", certified).exit_code == 0


def test_with_nothing_before_it_there_is_no_way_back(certified: Path) -> None:
    done = stepdown("models", "rollback", "topic", "-p", certified)
    assert done.exit_code == 2
    assert "has no parent" in done.stderr


def test_the_ledger_knows_the_promotion_where_there_is_one(certified: Path) -> None:
    stepdown("ask", "topic", "hello", "-p", certified)
    another(certified, "cafe")
    stepdown("models", "promote", "cafe", "--yes", "-p", certified, "--by", "ann")
    with Workspace.open(certified).kept_ledger() as ledger:
        found = [one for one in ledger.records(Change) if one.what == "model"]
    assert [(one.by, one.task, one.after) for one in found] == [
        ("ann", "topic", "sha256:" + "cafe" * 8)
    ]


def test_without_a_ledger_none_is_begun(certified: Path) -> None:
    another(certified, "cafe")
    stepdown("models", "promote", "cafe", "--yes", "-p", certified)
    assert not (certified / ".stepdown" / "ledger").exists()


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("promote", "topic"), "no candidate"),
        (("promote", "topc"), "begins with 'topc'"),
        (("rollback", "topc"), "no task 'topc'"),
        (("show", "12"), "begins with '12'"),
    ],
)
def test_what_is_not_there_is_named(certified: Path, args: tuple[str, ...], hint: str) -> None:
    done = stepdown("models", *args, "-p", certified)
    assert done.exit_code == 2
    assert hint in done.stderr


def test_prune_never_deletes_what_a_lock_pins_or_what_one_goes_back_to(certified: Path) -> None:
    old = trained(certified)
    for name in ("cafe", "beef", "f00d", "0dad"):
        another(certified, name, state="promoted")
    said = envelope(
        stepdown("models", "prune", "--keep", "0", "--dry-run", "-p", certified, "--json")
    )["data"]
    assert [a["file"] for a in said["pruned"]] == ["cafe.bin", "beef.bin"]
    assert (certified / "models" / "cafe.bin").exists()
    stepdown("models", "prune", "--keep", "0", "-p", certified)
    left = {a.file for a in Registry(certified / "models").all()}
    assert left == {old.file, "f00d.bin", "0dad.bin"}
    assert not (certified / "models" / "cafe.bin").exists()
    assert (certified / "models" / old.file).exists()
    events = json.loads((certified / "models" / "registry.json").read_text())["history"]
    assert [e["what"] for e in events][-2:] == ["prune", "prune"]


def test_prune_keeps_a_whole_tier_that_a_lock_pins_by_a_digest_nobody_knows(
    certified: Path,
) -> None:
    old = trained(certified)
    for name in ("cafe", "beef", "f00d"):
        another(certified, name, state="promoted")
    Registry(certified / "models").remove(old, "ann")
    said = envelope(stepdown("models", "prune", "--keep", "0", "-p", certified, "--json"))["data"]
    assert said["pruned"] == []
    assert (certified / "models" / "cafe.bin").exists()
