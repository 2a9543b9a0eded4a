"""A format that another package brings is read, after that package is installed like any other."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

READER = '''
"""One call a line: MODEL IN OUT."""
from stepdown.core.call_columns import Batch
from stepdown.core.request import Usage
from stepdown.core.usage_log import LoggedCall


class Acme:
    name = "Acme log (its own document, 2026)"

    def __init__(self, step=None):
        self.step = step

    def accepts(self, head):
        return head.startswith(b"#acme")

    def read(self, log, *, batch_rows=4096):
        with log.open() as file:
            rows = [line.split() for line in file.read().decode().splitlines()[1:]]
        yield Batch.of(
            LoggedCall(
                id=str(n), model=m, step=self.step,
                usage=Usage(input_tokens=int(i), output_tokens=int(o)),
            )
            for n, (m, i, o) in enumerate(rows)
        )
'''
INFO = "acme_log-1.0.dist-info"
PROGRAM = "from stepdown.cli.main import run; run()"
ENTRY = "[stepdown.log_readers]\nacme = acme_log:Acme\n"


def installed(place: Path) -> Path:
    """Build a wheel and install it into a folder, without a network."""
    files = {
        "acme_log.py": READER,
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: acme-log\nVersion: 1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": ENTRY,
    }
    files[f"{INFO}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{INFO}/RECORD"])
    wheel = place / "acme_log-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(place / "site"), str(wheel)], check=True)
    return place / "site"


def audit(log: Path, site: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *(p for p in sys.path if p)])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "audit", str(log), "--step", "mine", "--json"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("installed"))


def test_an_installed_package_brings_its_format_to_the_program(tmp_path: Path, site: Path) -> None:
    log = tmp_path / "acme.log"
    log.write_text("#acme\ngpt-4.1 1000 10\ngpt-4.1 2000 20\n", encoding="utf-8")
    found = audit(log, site)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)["data"]
    (step,) = report["steps"]
    assert (step["name"], step["calls"]) == ("mine", 2)
    assert step["cost"]["usd"] == pytest.approx((3000 * 2 + 30 * 8) / 1e6)


def test_without_the_package_the_same_log_is_no_known_format(tmp_path: Path) -> None:
    log = tmp_path / "acme.log"
    log.write_text("#acme\ngpt-4.1 1000 10\n", encoding="utf-8")
    found = audit(log, tmp_path / "nothing")
    assert found.returncode == 2
    assert "no known log format" in found.stdout + found.stderr


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, site: Path) -> None:
    broken = tmp_path / "site"
    broken.mkdir()
    (broken / INFO).mkdir()
    for name in ("METADATA", "entry_points.txt"):
        text = (site / INFO / name).read_text(encoding="utf-8")
        (broken / INFO / name).write_text(text, encoding="utf-8")
    log = tmp_path / "acme.log"
    log.write_text("#acme\n", encoding="utf-8")
    found = audit(log, broken)
    assert found.returncode == 2
    assert "'acme'" in found.stdout + found.stderr
