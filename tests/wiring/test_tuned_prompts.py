"""`train --recipe prompt` in a project: tuned, proved, promoted, certified anew (made-up answers).

The peer names the right topic only where its prompt shows examples; else it always says billing.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from tiny_project import LABELS, SAYS, TOML, envelope, stepdown, write_project

from stepdown.wiring.workspace import Workspace

SMALL = """
[tiers.small]
model = "openai:small"
base_url = "{url}"
place = "self_hosted"
price = {{ usd_per_hour = 0.5, source = "made up" }}

[tasks.topic.prompts.small]
system = "Name the topic."
user = "{{input}}"
max_tokens = 8
"""


class Peer(ThreadingHTTPServer):
    daemon_threads = True
    calls = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.calls += 1
        said = [str(message["content"]) for message in asked["messages"]]
        topic = next(label for label in LABELS if SAYS[label] in said[-1])
        shown = sum(words in said[0] for words in SAYS.values()) == len(SAYS)
        raw = json.dumps({
            "id": "c", "object": "chat.completion", "created": 1, "model": "small",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": topic if shown else "billing"},
            }],
            "usage": {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42},
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        return None


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def project(tmp_path: Path, peer: Peer) -> Path:
    toml = TOML.replace('tiers = ["expert", "frontier"]', 'tiers = ["small", "frontier"]')
    url = f"http://127.0.0.1:{peer.server_address[1]}/v1"
    return write_project(tmp_path / "tiny", toml + SMALL.format(url=url))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")


def tuned(project: Path, *args: object) -> dict[str, Any]:
    done = stepdown("train", "topic", "--recipe", "prompt", "-p", project, "--json", *args)
    data = envelope(done)["data"]
    assert "experts" in data, data
    return dict(data["experts"][0])


def test_a_tuned_prompt_is_proved_beside_todays_and_asks_from_then_on(project: Path) -> None:
    found = tuned(project, "--yes", "--usd", 1)

    assert found["proof"]["score"]["value"] == 1.0
    workspace = Workspace.open(project)
    prompt = workspace.project.task("topic").prompts["small"]
    assert all(words in (prompt.system or "") for words in SAYS.values())
    assert workspace.plain.task("topic").prompts["small"].system == "Name the topic."
    shown = stepdown("eval", "topic", "--tiers", "small,frontier", "-p", project, "--json")
    assert shown.exit_code == 0, shown.output


def test_a_promoted_prompt_changes_the_settings_so_the_lock_must_be_made_anew(
    project: Path,
) -> None:
    before = Workspace.open(project)
    was = before.project.settings_digest(before.project.task("topic"))

    tuned(project, "--yes", "--usd", 1)

    after = Workspace.open(project)
    assert after.project.settings_digest(after.project.task("topic")) != was


def test_a_lock_is_served_with_the_prompt_that_it_was_certified_with(project: Path) -> None:
    assert stepdown("certify", "-p", project).exit_code in (0, 1)
    tuned(project, "--yes", "--usd", 1)

    workspace = Workspace.open(project)
    workspace.pin(workspace.lock())

    assert workspace.project.task("topic").prompts["small"].system == "Name the topic."


def test_the_same_training_again_asks_nobody_twice(project: Path, peer: Peer) -> None:
    tuned(project, "--no-register", "--usd", 1)
    first = peer.calls
    tuned(project, "--no-register", "--usd", 1)
    assert first > 0
    assert peer.calls == first


def test_a_damaged_prompt_is_not_asked_with(project: Path) -> None:
    tuned(project, "--yes", "--usd", 1)
    promoted = Workspace.open(project).models.registry.promoted("topic", "small")
    assert promoted is not None
    path = project / "models" / promoted.file
    path.write_text(path.read_text(encoding="utf-8").replace("invoice", "sausage"))

    workspace = Workspace.open(project)

    assert workspace.project.task("topic").prompts["small"].system == "Name the topic."


def test_a_head_reads_no_prompt(plain: Path) -> None:
    done = stepdown("train", "topic", "--recipe", "prompt", "-p", plain)
    assert done.exit_code == 2
    assert "error:" in done.output
