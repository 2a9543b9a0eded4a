"""The address, the port, a clean start, a clean stop, and a kill."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gateway_fake_handler import FakeHandler

from stepdown.adapters.gateway import GatewayApp, running, serve
from stepdown.adapters.storage import open_ledger
from stepdown.errors import InputError

HERE = Path(__file__).parent
SERVER = """
import sys, time, asyncio
sys.path.insert(0, sys.argv[1])
from fake_handler import FakeHandler
from stepdown.adapters.gateway import GatewayApp, serve
from stepdown.adapters.storage import SpoolLedger

class Keeping(FakeHandler):
    async def answer(self, call):
        reply = await super().answer(call)
        await asyncio.sleep(float(call.metadata.get("wait_s", 0)))
        ledger.append(reply.trace)
        return reply

with SpoolLedger(sys.argv[2], fill_every_s=0.002) as ledger:
    serve(GatewayApp(Keeping()), port=0, on_ready=lambda url: print(url, flush=True))
    print("stopped", flush=True)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVER, str(HERE), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(connection: http.client.HTTPConnection, **metadata: str) -> str:
    """Send one request and return its id, when it was answered."""
    body = {"model": "intent", "messages": [{"role": "user", "content": "x"}], "metadata": metadata}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["choices"]
    return response.headers["x-request-id"]


def ask_until_it_ends(url: str, answered: list[str]) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        while True:
            answered.append(ask(connection))
    except (OSError, http.client.HTTPException):
        connection.close()


def kept_in(directory: Path) -> list[str]:
    with open_ledger(directory) as ledger:
        return [trace.id for trace in ledger.traces()]


def test_a_server_killed_under_load_has_every_answer_in_its_ledger_once(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    url = url_of(server)
    answered: list[str] = []
    callers = [threading.Thread(target=ask_until_it_ends, args=(url, answered)) for _ in range(4)]
    for caller in callers:
        caller.start()
    while len(answered) < 400 and any(caller.is_alive() for caller in callers):
        time.sleep(0.005)
    server.send_signal(signal.SIGKILL)
    for caller in callers:
        caller.join()
    kept = kept_in(tmp_path)
    assert len(answered) >= 400
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept)) <= len(answered) + len(callers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_request_under_way_finish_and_then_returns(
    server: subprocess.Popen[str], tmp_path: Path, number: int
) -> None:
    connection = http.client.HTTPConnection(urlsplit(url_of(server)).netloc, timeout=10)
    timer = threading.Timer(0.1, server.send_signal, [number])
    timer.start()
    answered = ask(connection, wait_s="0.4")
    timer.join()
    connection.close()
    assert server.wait(10) == 0
    assert server.stdout is not None
    assert server.stdout.read() == "stopped\n"
    assert kept_in(tmp_path) == [answered]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_an_address_that_others_reach_needs_a_key(handler: FakeHandler, host: str) -> None:
    with pytest.raises(InputError, match="no API key is set"):
        serve(GatewayApp(handler), host, 0)


def test_with_a_key_another_address_is_served(handler: FakeHandler) -> None:
    with running(GatewayApp(handler, api_key="k"), "0.0.0.0", 0) as url:
        assert url.startswith("http://0.0.0.0:")


def test_a_port_in_use_is_named_with_whom_to_ask(handler: FakeHandler) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} .* in use.*lsof -i :{port}"):
            serve(GatewayApp(handler), port=port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_cannot_be_is_an_input_error(handler: FakeHandler, port: int) -> None:
    with pytest.raises(InputError, match=str(port)):
        serve(GatewayApp(handler), port=port)


def test_a_host_that_does_not_resolve_is_an_input_error(handler: FakeHandler) -> None:
    with pytest.raises(InputError, match=r"cannot serve nobody\.invalid"):
        serve(GatewayApp(handler, api_key="k"), "nobody.invalid", 0)


def test_the_server_answers_until_the_block_ends_and_frees_the_port(handler: FakeHandler) -> None:
    before = threading.active_count()
    with running(GatewayApp(handler)) as url:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.netloc, timeout=10)
        ask(connection)
    connection.close()
    assert threading.active_count() == before
    with running(GatewayApp(handler), port=place.port or 0) as again:
        assert again == url


def test_an_error_inside_the_block_stops_the_server_too(handler: FakeHandler) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), running(GatewayApp(handler)):
        raise KeyError
    assert threading.active_count() == before


def test_small_answers_do_not_wait_for_acknowledgements(handler: FakeHandler) -> None:
    """Without TCP_NODELAY, headers and body sent apart stall for about 40 ms."""
    with running(GatewayApp(handler)) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        ask(connection)
        started = time.perf_counter()
        for _ in range(20):
            ask(connection)
        assert time.perf_counter() - started < 20 * 0.04
        connection.close()
