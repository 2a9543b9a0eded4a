"""Every fault of the table against a served gateway: what the client sees, the ledger, the cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from fault_peer import Line, Peer, self_signed
from fault_project import KEY, write
from fault_table import CUT, FAULTS, FINE, FREE, KNOWN, UNKNOWN, Fault, close, rendered, slow
from msgspec import Struct

from stepdown.core.trace import Trace
from stepdown.wiring.workspace import Workspace

RUN = "from stepdown.cli.main import run; run()"
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
PRICE = 10 * 1.0e-6 + 2 * 2.0e-6  # the usage in `fault_peer` at the prices of `fault_project`


class Seen(Struct, kw_only=True):
    """What a client saw."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def events(self) -> list[str]:
        return re.findall(r"^data: (.*)$", self.body, re.MULTILINE)

    @property
    def said(self) -> str:
        """In the words of the table."""
        if self.status != 200:
            return f"{self.status} {json.loads(self.body)['error']['code']}"
        if not self.headers["content-type"].startswith("text/event-stream"):
            return FINE
        ended = self.events[-1:] == ["[DONE]"]
        failed = any("error" in json.loads(e) for e in self.events if e != "[DONE]")
        assert ended != failed, self.body
        return FINE if ended else CUT


class House:
    """A served gateway, the peers behind it, and everything that it ever said."""

    def __init__(self, folder: Path, peer: Peer, good: Peer, process: Any, port: int) -> None:
        self.folder = folder
        self.peer = peer
        self.good = good
        self.process = process
        self.port = port
        self.heard: list[str] = []
        self.asked = 0

    def ask(self, task: str, *, stream: bool, **headers: str) -> tuple[str, Seen]:
        self.asked += 1
        request_id = f"fault-{self.asked}"
        body = {"model": task, "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        line = HTTPConnection("127.0.0.1", self.port, timeout=20)
        said = {"content-type": "application/json", "x-request-id": request_id, **headers}
        line.request("POST", "/v1/chat/completions", json.dumps(body), said)
        answer = line.getresponse()
        head = {name.lower(): value for name, value in answer.getheaders()}
        seen = Seen(status=answer.status, headers=head, body=answer.read().decode())
        line.close()
        self.heard += [seen.body, repr(head)]
        return request_id, seen

    def trace(self, request_id: str) -> Trace:
        with Workspace.open(self.folder).kept_ledger() as ledger:
            found = ledger.trace(request_id)
        assert found is not None, request_id
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        peer, good = Peer(), Peer()
        tls = Peer(stack.enter_context(self_signed(folder)))
        for one in (peer, good, tls):
            stack.callback(one.close)
        write(folder, peer, tls, good)
        yield stack.enter_context(Serving(folder, peer, good))


class Serving:
    """Runs `stepdown serve` on a project for as long as the block runs."""

    def __init__(self, folder: Path, peer: Peer, good: Peer) -> None:
        self.args = (folder, peer, good)

    def __enter__(self) -> House:
        folder = self.args[0]
        self.log = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "serve", "--port", "0", "-p", str(folder)],
            env={**os.environ, "FAULT_KEY": KEY},
            stdout=self.log,
            stderr=self.log,
        )
        return House(*self.args, self.process, self._port())

    def _port(self) -> int:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            said = Path(self.log.name).read_text()
            if found := re.search(r"OpenAI base URL: http://127\.0\.0\.1:(\d+)/v1", said):
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError(f"the gateway did not start: {Path(self.log.name).read_text()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def cost_in_words(cost: float | None) -> str:
    if cost is None:
        return UNKNOWN
    return FREE if cost == 0 else KNOWN


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_seen_booked_and_paid_as_the_table_says(
    house: House, fault: Fault, stream: bool
) -> None:
    house.peer.set(fault.act)
    request_id, seen = house.ask(f"alone-{fault.at}", stream=stream)
    assert seen.said == (fault.stream if stream else fault.whole), seen.body
    assert seen.headers.get("retry-after") == fault.retry_after
    attempts = house.trace(request_id).attempts
    assert len(attempts) == 1
    tries = fault.stream_tries if stream and fault.stream_tries is not None else fault.tries
    assert len(house.peer.calls) == tries
    ledger = fault.stream_ledger if stream and fault.stream_ledger is not None else fault.ledger
    assert (attempts[0].failure or "") == ledger
    cost = fault.stream_cost if stream and fault.stream_cost is not None else fault.cost
    assert cost_in_words(attempts[0].cost_usd) == cost
    if cost == KNOWN:
        assert attempts[0].cost_usd == pytest.approx(PRICE)
    if tries > 1:
        assert attempts[0].retries == tries - 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", [f for f in FAULTS if f.ledger], ids=lambda fault: fault.name)
def test_where_the_policy_has_another_tier_that_one_answers(
    house: House, fault: Fault, stream: bool
) -> None:
    house.peer.set(fault.act)
    request_id, seen = house.ask(f"then-{fault.at}", stream=stream)
    assert seen.said == FINE
    text = "".join(
        json.loads(e)["choices"][0]["delta"].get("content") or ""
        for e in seen.events
        if e != "[DONE]" and json.loads(e)["choices"]
    )
    whole = text if stream else json.loads(seen.body)["choices"][0]["message"]["content"]
    assert whole == "fine"
    trace = house.trace(request_id)
    assert [a.failure or "" for a in trace.attempts] == [fault.ledger, ""]
    assert trace.answered_by == "good"
    assert (trace.cost_usd is None) == (fault.cost == UNKNOWN)


def test_the_page_is_the_table() -> None:
    assert DOCS.read_text() == rendered()


def test_a_client_who_hangs_up_closes_the_socket_upstream_and_is_booked(house: House) -> None:
    gone: list[float] = []
    house.peer.set(lambda line: gone.append(line.until_gone()))
    line = HTTPConnection("127.0.0.1", house.port, timeout=20)
    body = {"model": "alone-peer", "messages": [{"role": "user", "content": "hello"}]}
    said = {"content-type": "application/json", "x-request-id": "hung-up"}
    line.request("POST", "/v1/chat/completions", json.dumps(body), said)
    until = time.monotonic() + 5
    while not house.peer.calls and time.monotonic() < until:
        time.sleep(0.01)
    line.close()
    while not gone and time.monotonic() < until:
        time.sleep(0.01)
    assert gone
    assert gone[0] < 0.5  # long before `first_byte_s` would have ended the wait
    time.sleep(0.2)
    attempt = house.trace("hung-up").attempts[0]
    assert (attempt.failure, attempt.cost_usd) == ("cancelled", None)


def test_the_callers_deadline_ends_the_wait_and_the_next_tier_is_not_asked_too_late(
    house: House,
) -> None:
    house.peer.set(lambda line: line.until_gone())
    start = time.monotonic()
    request_id, seen = house.ask("then-quiet", stream=False, **{"x-stepdown-deadline-ms": "250"})
    assert seen.said == "504 deadline", seen
    assert 0.2 < time.monotonic() - start < 0.6
    assert [a.failure for a in house.trace(request_id).attempts] == ["deadline"]


def test_a_tier_that_has_been_too_slow_lately_is_skipped_for_a_caller_in_a_hurry(
    house: House,
) -> None:
    house.peer.set(slow)
    for _ in range(5):
        house.ask("alone-slow", stream=False)
    request_id, seen = house.ask("then-slow", stream=False, **{"x-stepdown-deadline-ms": "150"})
    assert seen.said == FINE
    assert seen.headers["x-stepdown-outside-guarantee"] == "deadline"
    assert [a.tier for a in house.trace(request_id).attempts] == ["good"]
    assert len(house.peer.calls) == 5


def test_no_key_is_anywhere_after_all_of_this(house: House) -> None:
    """Runs last in the file: the house has seen every fault by then."""
    assert house.asked > len(FAULTS)
    assert any(f"Bearer {KEY}" in head for head in house.peer.calls) or house.peer.calls == []
    line = HTTPConnection("127.0.0.1", house.port, timeout=20)
    for path in ("/", "/healthz", "/readyz", "/metrics", "/v1/models"):
        line.request("GET", path)
        house.heard.append(line.getresponse().read().decode())
    line.close()
    spilled = [path for path in house.folder.rglob("*") if path.is_file() and leaks(path)]
    assert spilled == []
    assert not [text for text in house.heard if KEY in text or KEY[:16] in text]


def leaks(path: Path) -> bool:
    return KEY[:16].encode() in path.read_bytes()


def test_the_peer_really_gets_the_key_so_that_its_absence_means_something(house: House) -> None:
    house.peer.set(Line.fine)
    house.ask("alone-peer", stream=False)
    assert KEY in house.peer.calls[0]


def test_a_tier_that_keeps_failing_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        peer, good = Peer(), Peer()
        for one in (peer, good):
            stack.callback(one.close)
        write(tmp_path, peer, peer, good, failures=2, breaker_s=1.0)
        house = stack.enter_context(Serving(tmp_path, peer, good))
        peer.set(close)
        for _ in range(2):
            assert house.ask("alone-quiet", stream=False)[1].status == 502
        peer.set(Line.fine)
        request_id, seen = house.ask("alone-quiet", stream=False)
        assert seen.said == "503 provider_error"
        assert seen.headers["retry-after"] == "1"
        assert house.trace(request_id).attempts == ()  # nobody was asked, nothing is paid
        _, other = house.ask("then-quiet", stream=True)
        assert other.said == FINE
        assert other.headers["x-stepdown-outside-guarantee"] == "provider_error"
        assert peer.calls == []
        time.sleep(1.1)
        assert house.ask("alone-quiet", stream=False)[1].said == FINE
        assert len(peer.calls) == 1
