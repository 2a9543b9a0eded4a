"""`stepdown models export` and `import`: an artifact in a bundle whose every byte is checked."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from tiny_project import copy_of, envelope, stepdown, write_project

from stepdown.wiring.registry import Artifact, Registry


def promoted(folder: Path) -> Artifact:
    found = Registry(folder / "models").promoted("topic", "expert")
    assert found is not None
    return found


def bundle(folder: Path, to: Path) -> Path:
    done = stepdown("models", "export", promoted(folder).short, to, "-p", folder)
    assert done.exit_code == 0, done.output
    return to


@pytest.mark.parametrize("name", ["out", "out.tar", "out.tar.gz"])
def test_what_was_exported_answers_the_same_in_another_project(
    certified: Path, tmp_path: Path, name: str
) -> None:
    path = bundle(certified, tmp_path / name)
    other = write_project(tmp_path / "other")
    data = envelope(stepdown("models", "import", path, "-p", other, "--json", "--by", "ann"))
    assert data["data"]["artifact"]["state"] == "candidate"
    short = promoted(certified).short
    assert stepdown("models", "promote", short, "-p", other).exit_code == 0
    done = stepdown("models", "verify", "-p", other, "--json")
    verdict = envelope(done)["data"]["verdicts"][0]
    assert (verdict["state"], verdict["played"]["asked"]) == ("same", 20)
    assert [e.what for e in Registry(other / "models").history()] == ["import", "promote"]


def test_a_bundle_holds_entry_files_suite_licences_and_checksums(
    certified: Path, tmp_path: Path
) -> None:
    path = bundle(certified, tmp_path / "out")
    names = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    assert {
        "artifact.json",
        "suite.json",
        "SHA256SUMS",
        f"files/{promoted(certified).file}",
    } < names
    assert "licences/LICENSE.all-MiniLM-L6-v2" in names
    assert len((path / "SHA256SUMS").read_text().splitlines()) == len(names) - 1


def test_a_changed_added_or_missing_file_is_refused(certified: Path, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other")
    sound = bundle(certified, tmp_path / "sound")
    for number, break_it in enumerate((
        lambda p: next((p / "files").iterdir()).write_bytes(b"changed"),
        lambda p: (p / "extra").write_bytes(b"added"),
        lambda p: (p / "suite.json").unlink(),
        lambda p: (p / "SHA256SUMS").unlink(),
        lambda p: (p / "SHA256SUMS").write_text("junk"),
    )):  # fmt: skip
        broken = copy_of(sound, tmp_path / f"broken{number}")
        break_it(broken)
        done = stepdown("models", "import", broken, "-p", other)
        assert done.exit_code == 2, number
        assert not (other / "models" / "registry.json").exists()


def test_a_tar_that_leads_outside_is_refused(certified: Path, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other")
    for number, (name, kind) in enumerate(
        [("../evil", tarfile.REGTYPE), ("/abs", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)]
    ):
        path = tmp_path / f"bad{number}.tar"
        with tarfile.open(path, "w") as tar:
            told = tarfile.TarInfo(name)
            told.type, told.linkname, told.size = kind, "/etc/passwd", 0
            tar.addfile(told, io.BytesIO(b""))
        done = stepdown("models", "import", path, "-p", other)
        assert done.exit_code == 2
        assert "no plain file of a bundle" in done.stderr
    (tmp_path / "junk.tar").write_bytes(b"junk")
    assert (
        "cannot be unpacked"
        in stepdown("models", "import", tmp_path / "junk.tar", "-p", other).stderr
    )


def test_an_entry_that_names_paths_outside_is_refused_though_its_sums_fit(
    certified: Path, tmp_path: Path
) -> None:
    import hashlib

    other = write_project(tmp_path / "other")
    path = bundle(certified, tmp_path / "out")
    entry = json.loads((path / "artifact.json").read_text())
    entry["suite"] = "../../evil.json"
    raw = json.dumps(entry).encode()
    sums = (path / "SHA256SUMS").read_text().splitlines()
    told = [f"{hashlib.sha256(raw).hexdigest()}  artifact.json" if "artifact.json" in one else one
            for one in sums]  # fmt: skip
    (path / "artifact.json").write_bytes(raw)
    (path / "SHA256SUMS").write_text("\n".join(told) + "\n")
    done = stepdown("models", "import", path, "-p", other)
    assert done.exit_code == 2
    assert "outside the folder" in done.stderr
    assert not (tmp_path / "evil.json").exists()


def test_a_damaged_artifact_is_not_exported_and_nothing_is_written_over(
    certified: Path, tmp_path: Path
) -> None:
    path = bundle(certified, tmp_path / "out")
    again = stepdown("models", "export", promoted(certified).short, path, "-p", certified)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    artifact = promoted(certified)
    (certified / "models" / artifact.file).write_bytes(b"cut")
    done = stepdown("models", "export", artifact.short, tmp_path / "new", "-p", certified)
    assert done.exit_code == 2
    assert "damaged" in done.stderr
    assert not (tmp_path / "new").exists()
