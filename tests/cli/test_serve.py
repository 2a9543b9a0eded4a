"""`stepdown serve` as a process: workers, reloads, the way out, and a kill."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_project import Callers, ask, big_model, serving, write_served, write_served_lock

from stepdown.adapters.storage import open_ledger


@pytest.fixture
def base() -> Iterator[str]:
    with big_model(0.002) as base:
        yield base


@pytest.fixture
def folder(tmp_path: Path, base: str) -> Path:
    return write_served(tmp_path / "project", base)


def kept_in(folder: Path) -> list[str]:
    with open_ledger(folder / ".stepdown" / "ledger") as ledger:
        return [trace.id for trace in ledger.traces()]


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def children_of_threads(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def metrics(address: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    return page


def fillers_of(pid: int, but: int | None = None) -> list[int]:
    """Return the process that fills the ledger, which a thread starts with the first trace."""
    until = time.monotonic() + 20
    while not (found := [child for child in children_of_threads(pid) if child != but]):
        assert time.monotonic() < until, "no filler was started"
        time.sleep(0.02)
    return found


def test_a_reload_twice_a_second_drops_no_request(folder: Path) -> None:
    with serving(folder) as served, Callers(served.address) as callers:
        for number in range(6):
            write_served_lock(folder, f"2999-01-0{number + 1}")
            served.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("Nothing to reload")
    assert callers.failed == []
    assert len(callers.answered) > 50
    assert sum("Reloaded" in line for line in served.lines) == 6
    assert set(callers.answered) == set(kept_in(folder))


def test_a_lock_that_does_not_match_is_refused_and_the_old_one_stays(folder: Path) -> None:
    with serving(folder) as served:
        lock = folder / "stepdown.lock"
        good = lock.read_text()
        lock.write_text(good.replace("declared", "certified"))
        served.process.send_signal(signal.SIGHUP)
        assert "changed by hand" in served.wait_for("Not reloaded, the lock from before stays")
        connection = http.client.HTTPConnection(served.address)
        ask(connection)
        toml = folder / "stepdown.toml"
        lock.write_text(good)
        toml.write_text(toml.read_text().replace("openai:big", "openai:other"))
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("the tier 'big' was sha256:")
        ask(connection)
        connection.close()


def test_a_reload_serves_the_new_lock(folder: Path) -> None:
    with serving(folder) as served:
        write_served_lock(folder, "2999-05-06")
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("Reloaded")
        connection = http.client.HTTPConnection(served.address)
        connection.request("GET", "/healthz")
        assert b"2999-05-06" in connection.getresponse().read()
        connection.close()


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_stop_finishes_what_is_under_way(tmp_path: Path, options: tuple[str, ...]) -> None:
    with big_model(0.6) as base:
        folder = write_served(tmp_path / "project", base)
        with serving(folder, *options) as served:
            connection = http.client.HTTPConnection(served.address, timeout=20)
            timer = threading.Timer(0.2, served.process.send_signal, [signal.SIGTERM])
            timer.start()
            answered = ask(connection)
            assert served.end() == 0
            timer.join()
            connection.close()
            with pytest.raises(OSError):
                ask(http.client.HTTPConnection(served.address, timeout=1))
        assert kept_in(folder) == [answered]
    assert any("the ledger is flushed" in line for line in served.lines)


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_kill_under_load_loses_no_answered_request_and_keeps_none_twice(
    folder: Path, options: tuple[str, ...]
) -> None:
    with serving(folder, *options) as served, Callers(served.address, 8) as callers:
        callers.wait_for(300)
        for pid in [*children(served.process.pid), served.process.pid]:
            os.kill(pid, signal.SIGKILL)
        served.end()
    kept = kept_in(folder)
    assert len(callers.answered) >= 300
    assert set(callers.answered) <= set(kept)
    assert len(kept) == len(set(kept)) <= len(callers.answered) + 8


def test_a_worker_that_dies_is_replaced_and_counted_and_the_others_answer_on(folder: Path) -> None:
    with serving(folder, "--workers", "2") as served, Callers(served.address, 8) as callers:
        callers.wait_for(50)
        before = children(served.process.pid)
        os.kill(before[0], signal.SIGKILL)
        served.wait_for("worker 1 ended (SIGKILL); replaced, 1 so far.")
        time.sleep(1.5)
        after = children(served.process.pid)
        assert len(after) == 2
        assert before[1] in after
        for _ in range(20):  # the port is whole again: no caller meets a closed door
            connection = http.client.HTTPConnection(served.address, timeout=20)
            ask(connection)
            connection.close()
        page = metrics(served.address)
        assert 'stepdown_worker_restarts_total{worker="1"} 1\n' in page
        assert 'stepdown_worker_restarts_total{worker="2"} 0\n' in page
    assert len(callers.failed) < 8
    assert set(callers.answered) <= set(kept_in(folder))


def test_the_filler_of_a_gateway_may_die_and_ends_with_it(folder: Path) -> None:
    with serving(folder) as served, Callers(served.address, 4) as callers:
        callers.wait_for(50)
        (first,) = fillers_of(served.process.pid)
        os.kill(first, signal.SIGKILL)
        (second,) = fillers_of(served.process.pid, but=first)
        callers.wait_for(len(callers.answered) + 50)
        served.process.kill()
        served.end()
        until = time.monotonic() + 20
        while Path(f"/proc/{second}").exists():
            assert time.monotonic() < until, "the filler outlived the gateway"
            time.sleep(0.05)
    kept = kept_in(folder)
    assert set(callers.answered) <= set(kept)
    assert len(kept) == len(set(kept))


def test_several_workers_have_one_filler(folder: Path) -> None:
    with serving(folder, "--workers", "2") as served, Callers(served.address, 8) as callers:
        callers.wait_for(100)
        workers = children(served.process.pid)
        assert fillers_of(workers[0])
        assert not children_of_threads(workers[1])


def test_workers_end_with_their_parent(folder: Path) -> None:
    with serving(folder, "--workers", "2") as served:
        workers = children(served.process.pid)
        served.process.kill()
        served.end()
        until = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < until, "workers outlived their parent"
            time.sleep(0.05)


def test_workers_that_cannot_start_say_why_once_and_end_it(folder: Path) -> None:
    (folder / "stepdown.lock").unlink()
    command = [sys.executable, "-c", "from stepdown.cli.main import run; run()", "serve"]
    done = subprocess.run(
        [*command, "-p", str(folder), "--port", "0", "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("There is no stepdown.lock") == 1


def test_two_gateways_do_not_share_a_port_unawares(folder: Path) -> None:
    with serving(folder, "--workers", "2") as served:
        port = served.address.rpartition(":")[2]
        command = [sys.executable, "-c", "from stepdown.cli.main import run; run()", "serve"]
        done = subprocess.run(
            [*command, "-p", str(folder), "--port", port, "--workers", "2"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr


def test_a_gateway_without_embedded_models_loads_no_heavy_library(folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from stepdown.wiring.serving import gateway
from stepdown.wiring.workspace import Workspace
with gateway(Workspace.open(Path({str(folder)!r})), "127.0.0.1"):
    heavy = ("numpy", "scipy", "pyarrow", "onnxruntime", "xllamacpp", "aiohttp", "pydantic")
    print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
