"""The program as a process of its own: real exit codes, real streams, and what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("numpy", "scipy", "pyarrow", "onnxruntime", "xllamacpp", "uvicorn", "aiohttp")
RUN = "from stepdown.cli.main import run; run()"


def program(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    "code",
    [
        "import stepdown",
        "import sys\ntry:\n sys.argv = ['stepdown', '--help']\n "
        + RUN
        + "\nexcept SystemExit:\n pass",
    ],
    ids=["import stepdown", "stepdown --help"],
)  # fmt: skip
def test_nothing_heavy_is_imported(code: str) -> None:
    tell = f"\nimport sys\nprint('loaded', [m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + tell], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_exit_codes_are_0_1_and_2(certified: Path) -> None:
    assert program("models", "list", "-p", certified).returncode == 0
    assert program("eval", "-p", certified / "nowhere").returncode == 2
    table = certified / "o.jsonl"
    rows = [
        {"query_id": str(n), "tier": tier, "score": score, "cost_usd": 0.1}
        for n in range(60)
        for tier, score in (("expert", 0.0), ("frontier", 1.0))
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert program("replay", "topic", "--outcomes", table, "-p", certified).returncode == 1


def test_the_project_is_the_current_folder_when_none_is_named(certified: Path) -> None:
    done = program("models", "list", "--json", cwd=certified)
    assert json.loads(done.stdout)["data"]["artifacts"][0]["tier"] == "expert"
    assert done.stderr == ""


def test_a_long_error_is_one_line_so_that_it_can_be_searched_for(tmp_path: Path) -> None:
    far = tmp_path / ("a" * 60) / ("b" * 60)
    done = program("eval", "-p", far)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"error: There is no stepdown.toml in {far}."


def test_a_reader_that_hangs_up_is_no_error(certified: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", RUN, "models", "list", "--json", "-p", str(certified)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert first.stdout is not None
    first.stdout.close()
    assert first.stderr is not None
    said = first.stderr.read()
    first.stderr.close()
    assert first.wait(60) == 0
    assert said == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("words", [("prices", "gpt-4o", "--json"), ("prices", "gpt-4o")])
def test_a_full_disk_under_stdout_is_one_sentence_and_exit_code_2(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr.splitlines() == [
        "error: The result could not be written to stdout: No space left on device.",
        "       Make room, then run the same command again.",
    ]
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_an_error_as_json_onto_a_full_disk_is_said_without_a_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "steps", str(tmp_path / "none"), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert "Traceback" not in done.stderr
    assert "No space left on device." in done.stderr
    assert done.returncode == 2


def test_the_client_script_of_the_demo_names_what_it_needs() -> None:
    from importlib.resources import files

    script = Path(str(files("stepdown.demo"))) / "project" / "old_pipeline.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "usage" in done.stdout
