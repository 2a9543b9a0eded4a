"""`stepdown eval` against a real server: what is shown, what is spent, what is kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROWS = 60
LABELS = ["refund", "order", "other"]
PRICE = 'price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0, source = "made up" }'
TOML = """
[project]
name = "desk"
[data]
path = "rows.jsonl"
id = "id"
input = "text"
shares = {{ train = 0.2, tune = 0.6, certify = 0.2 }}
[tiers.small]
model = "openai:small"
base_url = "{url}"
{price}
[tiers.big]
model = "openai:big"
base_url = "{url}"
{price}
[tasks.intent]
kind = "classify"
labels = ["refund", "order", "other"]
reference = "intent"
tiers = ["small", "big"]
promise = {{ max_loss = 0.05 }}
[tasks.second]
kind = "classify"
labels = ["refund", "order", "other"]
reference = "intent"
tiers = ["small", "big"]
promise = {{ max_loss = 0.05 }}
"""


class Vendor(BaseHTTPRequestHandler):
    """Answers with the right label; `small` refuses now and then."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = int(re.findall(r"number (\d+)", json.dumps(body["messages"]))[-1])
        self.server.asked += 1  # type: ignore[attr-defined]
        refuses = body["model"] == "small" and number % 10 == 0
        message = {"role": "assistant", "content": LABELS[number % 3]}
        choice = {"message": message, "finish_reason": "content_filter" if refuses else "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        data = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    found.daemon_threads = True
    found.asked = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def project(tmp_path: Path, server: ThreadingHTTPServer) -> Path:
    write(tmp_path, server, PRICE)
    return tmp_path


WORDS = ["parcel", "invoice", "letter", "shoe", "lamp", "chair", "book", "phone", "cable", "tea"]


def write(folder: Path, server: ThreadingHTTPServer, price: str) -> None:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    (folder / "stepdown.toml").write_text(TOML.format(url=url, price=price))
    with (folder / "rows.jsonl").open("w") as file:
        for i in range(ROWS):
            a, b, c = (WORDS[(i // 10**k + k) % 10] for k in range(3))
            text = f"{a} {b} {c} {a}{i} {b}{c} number {i}"
            file.write(json.dumps({"id": f"r{i}", "text": text, "intent": LABELS[i % 3]}) + "\n")


def evaluate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("stepdown")), "eval", *arguments]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)


def test_the_report_fits_80_columns_and_says_what_counts(
    project: Path, server: ThreadingHTTPServer
) -> None:
    done = evaluate(project, "intent", "--rows", "all", "--concurrency", "4")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "refusal 6" in done.stdout
    assert "Not decidable" in done.stdout or "stays on big" in done.stdout
    assert "run   intent " in done.stdout
    assert server.asked == 2 * ROWS  # type: ignore[attr-defined]
    assert "intent small: 60/60 · 6 failed · $0.0120 · 9,000 tok" in done.stderr


def test_a_second_run_asks_nothing_and_marks_what_was_kept(
    project: Path, server: ThreadingHTTPServer
) -> None:
    first = evaluate(project, "intent", "--json")
    asked = server.asked  # type: ignore[attr-defined]
    second = evaluate(project, "intent", "--json")
    assert server.asked == asked  # type: ignore[attr-defined]
    runs = [json.loads(each.stdout)["data"]["runs"] for each in (first, second)]
    assert runs[0] == runs[1]
    tiers = json.loads(second.stdout)["data"]["tasks"][0]["tiers"]
    assert all(tier["latency_earlier"] and tier["reused"] for tier in tiers)
    shown = evaluate(project, "intent").stdout
    assert "ms kept" in shown or "s kept" in shown


def test_repeats_are_asked_anew_and_their_spread_is_shown(
    project: Path, server: ThreadingHTTPServer
) -> None:
    evaluate(project, "intent", "--limit", "10")
    asked = server.asked  # type: ignore[attr-defined]
    done = evaluate(project, "intent", "--limit", "10", "--repeat", "3")
    assert server.asked == asked + 2 * 2 * 10  # type: ignore[attr-defined]
    assert "Spread of the score, each sample asked 3 times" in done.stdout


def test_max_usd_is_a_hard_stop_that_keeps_what_finished(
    project: Path, server: ThreadingHTTPServer
) -> None:
    done = evaluate(project, "intent", "--rows", "all", "--max-usd", "0.005", "--json")
    assert done.returncode == 1
    assert 1 <= server.asked <= 25  # type: ignore[attr-defined]
    assert "was stopped: the $0.005 of --max-usd are used up" in done.stderr
    first = server.asked  # type: ignore[attr-defined]
    again = evaluate(project, "intent", "--rows", "all")
    assert again.returncode == 0
    assert server.asked == 2 * ROWS  # type: ignore[attr-defined]
    assert first < 2 * ROWS


def test_an_unknown_price_cannot_be_bounded_unless_the_user_says_so(
    tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    write(tmp_path, server, "")
    done = evaluate(tmp_path, "intent", "--max-usd", "1")
    assert done.returncode == 2
    assert "--max-usd cannot bound small, big: nobody knows the price." in done.stderr
    assert server.asked == 0  # type: ignore[attr-defined]
    chosen = evaluate(tmp_path, "intent", "--max-usd", "1", "--allow-unknown-cost")
    assert chosen.returncode == 0
    assert "$ unknown" in chosen.stderr


def test_several_tasks_state_what_they_mean_together(project: Path) -> None:
    apart = " ".join(evaluate(project, "--all").stdout.split())
    assert "any task passes wrongly may have a chance of up to 0.2; --family divides" in apart
    together = " ".join(evaluate(project, "--all", "--family").stdout.split())
    assert "has a chance of at most 0.1" in together
    assert "0.05 (0.1 divided among 2 tasks)" in together


def test_a_dead_provider_fails_its_tier_not_the_run(
    project: Path, server: ThreadingHTTPServer
) -> None:
    text = (project / "stepdown.toml").read_text()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    dead = text.replace(f'model = "openai:small"\nbase_url = "{url}"', DEAD)
    (project / "stepdown.toml").write_text(dead)
    done = evaluate(project, "intent", "--rows", "all", "--concurrency", "20")
    assert done.returncode == 0, done.stderr
    assert "small was stopped" in done.stdout
    assert "Not decidable: no scores over the whole set for small." in done.stdout
    assert server.asked == ROWS  # type: ignore[attr-defined]


DEAD = 'model = "openai:small"\nbase_url = "http://127.0.0.1:1/v1"'


def test_all_and_a_name_exclude_each_other(project: Path) -> None:
    done = evaluate(project, "intent", "--all")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_a_ceiling_that_nobody_asked_is_no_row_and_warns_of_no_price(
    tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    write(tmp_path, server, "")
    done = evaluate(tmp_path, "intent", "--tiers", "small", "--json")
    found = json.loads(done.stdout)
    summary = found["data"]["tasks"][0]
    assert [tier["tier"] for tier in summary["tiers"]] == ["small"]
    assert not summary["ceiling_asked"]
    assert "the ceiling, big, was not asked" in summary["decision"]["text"]
    assert "tiers.small has no price" in done.stderr
    assert "tiers.big" not in done.stderr
    shown = evaluate(tmp_path, "intent", "--tiers", "small").stdout
    assert "ceiling not asked" in " ".join(shown.split())
    assert "no scores" not in shown
    assert "big:" not in shown


def test_a_ceiling_that_was_not_asked_now_is_compared_by_its_kept_answers(
    project: Path, server: ThreadingHTTPServer
) -> None:
    whole = json.loads(evaluate(project, "intent", "--json").stdout)["data"]["tasks"][0]
    asked = server.asked  # type: ignore[attr-defined]
    done = evaluate(project, "intent", "--tiers", "small", "--json")
    found = json.loads(done.stdout)["data"]["tasks"][0]
    assert server.asked == asked  # type: ignore[attr-defined]
    for shown, before in zip(found["tiers"], whole["tiers"], strict=True):
        for name in ("tier", "score", "difference", "verdict", "paired", "usd_per_1k"):
            assert shown[name] == before[name]
    assert found["decision"] == whole["decision"]
