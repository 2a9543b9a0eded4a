"""No byte of a private task reaches a tier outside its boundary, whatever goes wrong.

The outside tier is a real peer that keeps all that it is sent. Every private text carries a canary.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_process import client_of, gateway
from msgspec.structs import replace
from socket_peers import WAYS, Peer, peer
from test_ramp_live import http

from stepdown.adapters.models.forbidden import ForbiddenModel
from stepdown.core.bought import Bought
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import Action, Clause, Policy, Row, cascade
from stepdown.core.request import Message
from stepdown.errors import ConfigError, ModelError, Unavailable
from stepdown.serve.cascade import run
from stepdown.serve.step import Step
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

TOML = """\
[project]
name = "clinic"
baseline = "outer"

[tiers.small]
model = "openai:small"
base_url = "{inner}/v1"
place = "self_hosted"
timeout_s = 1.0
limits = {{ retries = 1, breaker_failures = 100000, concurrency = 50, queue = 500 }}

[tiers.inner]
model = "openai:inner"
base_url = "{inner}/v1"
place = "self_hosted"
timeout_s = 1.0
limits = {{ retries = 1, breaker_failures = 100000, concurrency = 50, queue = 500 }}

[tiers.outer]
model = "openai:outer"
base_url = "{outer}/v1"
place = "vendor"
timeout_s = 1.0
limits = {{ retries = 1, breaker_failures = 100000, concurrency = 50, queue = 500 }}

[serve.shadow]
sample = 1.0

[tasks.private]
kind = "classify"
labels = ["refund", "spam"]
tiers = ["small", "inner"]
boundary = "self_hosted"
store = "{store}"

[tasks.private.contract]
user = "Sort: {{input}}"

[tasks.open]
kind = "classify"
labels = ["refund", "spam"]
tiers = ["small", "outer"]

[tasks.open.contract]
user = "Sort: {{input}}"
"""
CANARY = "CANARY-5c1e"


def write_project(folder: Path, inner: str, outer: str, store: str = "metadata") -> Path:
    """A project with a private and an open task, and a lock whose thresholds are declared."""
    folder.mkdir(parents=True, exist_ok=True)
    text = TOML.format(inner=inner, outer=outer, store=store)
    (folder / "stepdown.toml").write_text(text)
    workspace = Workspace.open(folder)
    tasks = {}
    for task in workspace.tasks():
        tasks[task.name] = LockedTask(
            policy=cascade(task.tiers, (0.99,)),
            contract=task.contract.digest,
            settings=workspace.project.settings_digest(task),
            guarantee=Guarantee(state="declared"),
            tiers=workspace.locked_tiers(task),
        )
    lock = Lock(version=1, generator="test", project="clinic", tasks=tasks)
    write_lock(workspace.lock_path, lock)
    return folder


@pytest.fixture
def peers() -> Iterator[tuple[Peer, Peer]]:
    with peer() as outer, peer(outer.url) as inner:
        yield inner, outer


def asks(url: str, client: openai.OpenAI, canary: str) -> Iterator[Any]:
    """Every way in which a caller can bring a private text."""
    text = f"Sort: my diagnosis is {canary}"
    said = [{"role": "user", "content": text}]
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    make = client.chat.completions.create
    loose = {"x-stepdown-boundary": "vendor", "x-stepdown-customer-facing": "true"}
    direct = {"x-stepdown-task": "private"}
    yield lambda: make(model="private", messages=said)  # type: ignore[call-overload]
    yield lambda: list(make(model="private", messages=said, stream=True))  # type: ignore[call-overload]
    yield lambda: make(model="private", messages=said, extra_headers=loose)  # type: ignore[call-overload]
    yield lambda: make(model="private", messages=said, metadata={"boundary": "vendor"})  # type: ignore[call-overload]
    yield lambda: make(model="private", messages=said, tools=[tool])  # type: ignore[call-overload]
    yield lambda: make(model="private", messages=said, n=2)  # type: ignore[call-overload]
    yield lambda: make(model="private", messages=[*said, *said])  # type: ignore[call-overload]
    yield lambda: make(model="tier:outer", messages=said, extra_headers=direct)  # type: ignore[call-overload]
    yield lambda: make(model="tier:inner", messages=said, extra_headers=direct)  # type: ignore[call-overload]
    session = {"x-stepdown-session": canary, "x-stepdown-message-id": "m1"}
    yield lambda: make(model="private", messages=said, extra_headers=session)  # type: ignore[call-overload]
    yield lambda: http(url, "/v1/feedback", {"trace_id": "t", "comment": canary})


def quietly(ask: Callable[[], Any]) -> None:
    with contextlib.suppress(openai.OpenAIError):
        ask()


def test_a_gateway_under_every_fault_lets_no_private_byte_out(
    tmp_path: Path, peers: tuple[Peer, Peer]
) -> None:
    inner, outer = peers
    folder = write_project(tmp_path / "clinic", inner.url, outer.url)
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": outer.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    number = itertools.count()
    with (
        gateway(folder, "--share", "private=0.5", env=spans, late_s=300) as (process, url),
        client_of(url) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        for way in WAYS:
            inner.way = way
            list(pool.map(quietly, asks(url, client, f"{CANARY}-{next(number)}")))
        inner.way = "ok"
        before = outer.requests
        client.chat.completions.create(
            model="tier:outer",
            messages=[{"role": "user", "content": "Sort: hello"}],
            extra_headers={"x-stepdown-task": "open"},
        )
        assert outer.requests > before, "the outside peer must be reachable for this to count"
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        assert CANARY not in process.stderr.read()
    assert inner.seen.count(CANARY.encode()) > 20, (
        "private texts must be under way for this to count"
    )
    assert b"hello" in outer.seen
    assert b"v1/traces" in outer.seen
    assert b"stepdown.task" in outer.seen, "spans must be readable for their canaries to be found"
    assert CANARY.encode() not in outer.seen
    assert b"diagnosis" not in outer.seen
    for path in (folder / ".stepdown").rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path


def leaking(workspace: Workspace, policy: Policy) -> Step:
    """A step that believes it may do anything: outside models, bought signals, outside polish."""
    task = replace(
        workspace.project.task("private"),
        kind="draft",
        labels=(),
        tiers=("small", "inner", "outer"),
        signals={"check": Bought(kind="judge", tier="outer", of="inner")},
        finish="always",
        polish_by="outer",
    )
    opened = workspace.project.task("open")
    models = {
        "small": workspace.model(opened, "small"),
        "inner": workspace.model(workspace.project.task("private"), "inner"),
        "outer": workspace.model(opened, "outer"),
    }
    return Step(task=task, policy=policy, tiers=workspace.tiers, models=models)


LEAKS = {
    "the policy begins outside": (
        Row(called=(), otherwise=Action("call", "outer")),
        Row(called=("outer",), otherwise=Action("accept", "outer")),
    ),
    "exploration goes outside": (
        Row(
            called=(),
            when=(Clause("draw", 0.0, Action("call", "outer"), "exploration"),),
            otherwise=Action("call", "inner"),
        ),
        Row(called=("outer",), otherwise=Action("accept", "outer")),
        Row(called=("inner",), otherwise=Action("accept", "inner")),
    ),
    "a signal is bought outside": (
        Row(called=(), otherwise=Action("call", "inner")),
        Row(called=("inner",), otherwise=Action("buy", "check")),
        Row(called=("inner", "?check"), otherwise=Action("accept", "inner")),
    ),
    "a draft is polished outside": (
        Row(called=(), otherwise=Action("call", "inner")),
        Row(called=("inner",), otherwise=Action("polish", "outer")),
    ),
    "an escalation goes outside": (
        Row(called=(), otherwise=Action("call", "inner")),
        Row(called=("inner",), otherwise=Action("call", "outer")),
        Row(called=("inner", "outer"), otherwise=Action("accept", "outer")),
    ),
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("way", ["ok", "500"])
async def test_a_policy_that_wants_out_is_refused_where_models_are_called(
    tmp_path: Path, peers: tuple[Peer, Peer], name: str, way: str
) -> None:
    inner, outer = peers
    inner.way = way
    workspace = Workspace.open(write_project(tmp_path / "clinic", inner.url, outer.url))
    policy = Policy(tiers=("small", "inner", "outer"), rows=LEAKS[name])
    try:
        with contextlib.suppress(ModelError):
            await run(
                leaking(workspace, policy),
                f"my diagnosis is {CANARY}",
                request_id="r1",
                draw=0.5,
                messages=(Message("user", f"Sort: {CANARY}"),),
            )
    finally:
        await workspace.aclose()
    assert outer.requests == 0
    assert bytes(outer.seen) == b""


async def test_the_guard_holds_even_where_the_cascade_does_not_look(
    tmp_path: Path, peers: tuple[Peer, Peer]
) -> None:
    """Books are asked directly, as a defect elsewhere would."""
    from stepdown.core.requesting import request_for
    from stepdown.serve.books import Books
    from stepdown.serve.signals import purchase
    from stepdown.serve.step import Clock

    inner, outer = peers
    workspace = Workspace.open(write_project(tmp_path / "clinic", inner.url, outer.url))
    step = leaking(workspace, cascade(("small", "inner", "outer"), (0.5, 0.5)))
    request = request_for(step.task, "outer", "r1", CANARY)
    try:
        with pytest.raises(Unavailable, match="outside the boundary"):
            await Books(step, "r1", Clock()).ask("outer", request, "call", "entry")
        bought = await purchase(
            step.task.signals["check"],
            step.task,
            step.tiers["outer"],
            step.models["outer"],
            request_id="r1",
            source=CANARY,
            answer=CANARY,
        )
    finally:
        await workspace.aclose()
    assert (bought.value, bought.failure, bought.cost_usd) == (None, "unavailable", 0.0)
    assert bytes(outer.seen) == b""


async def test_nobody_is_handed_a_model_outside_the_boundary(
    tmp_path: Path, peers: tuple[Peer, Peer]
) -> None:
    inner, outer = peers
    workspace = Workspace.open(write_project(tmp_path / "clinic", inner.url, outer.url))
    task = workspace.project.task("private")
    model = workspace.model(task, "outer")
    assert isinstance(model, ForbiddenModel)
    from stepdown.core.requesting import request_for

    request = request_for(task, "outer", "r1", CANARY)
    with pytest.raises(Unavailable, match="outside the boundary"):
        await model.complete(request)
    with pytest.raises(Unavailable, match="outside the boundary"):
        async for _ in model.stream(request):
            pass
    assert bytes(outer.seen) == b""
    await workspace.aclose()


@pytest.mark.parametrize(
    "more",
    [
        'tiers = ["small", "outer"]',
        'polish_by = "outer"',
        'signals = ["check"]\n[signals.check]\nkind = "judge"\ntier = "outer"\nof = "inner"',
    ],
)
def test_a_project_that_would_send_private_data_out_is_refused(tmp_path: Path, more: str) -> None:
    folder = tmp_path / "clinic"
    folder.mkdir()
    text = TOML.format(inner="http://127.0.0.1:1", outer="http://127.0.0.1:2", store="none")
    key, _, section = more.partition("\n")
    old = 'tiers = ["small", "inner"]\nboundary = "self_hosted"\n'
    new = old.replace('"inner"', '"outer"') if key.startswith("tiers") else f"{old}{key}\n"
    assert old in text
    text = text.replace(old, new) + section
    (folder / "stepdown.toml").write_text(text)
    with pytest.raises(ConfigError, match="outer"):
        Workspace.open(folder)


def test_with_store_none_no_row_names_a_request(tmp_path: Path, peers: tuple[Peer, Peer]) -> None:
    inner, outer = peers
    folder = write_project(tmp_path / "clinic", inner.url, outer.url, store="none")
    with gateway(folder) as (process, url), client_of(url) as client:
        for number in range(5):
            client.chat.completions.create(
                model="private",
                messages=[{"role": "user", "content": f"Sort: {CANARY}"}],
                extra_headers={"x-request-id": f"secret-id-{number}"},
            )
        status, body = http(url, "/v1/feedback", {"trace_id": "secret-id-1", "score": 1})
        assert (status, json.loads(body)["error"]["code"]) == (404, "trace_not_found")
        status, page = http(url, "/metrics")
        assert b'stepdown_requests_total{task="private"' in page
        process.terminate()
        process.wait(30)
    with Workspace.open(folder).kept_ledger() as ledger:
        assert ledger.counts()["traces"] == 0
        [counted] = ledger.rows("tallies_by_task")
        assert (counted["task"], counted["requests"]) == ("private", 5)
    for path in (folder / ".stepdown").rglob("*"):
        data = b"" if path.is_dir() else path.read_bytes()
        assert CANARY.encode() not in data
        assert b"secret-id" not in data
