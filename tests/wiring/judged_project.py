"""A project whose drafts a judge scores: SYNTHETIC rows and answers, and a scripted judge.

The judge is a real HTTP server on loopback that speaks the OpenAI chat wire (API reference,
"Create chat completion", 2026-11) and grades by a rule, so that tests know what it must say.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOML = """\
[project]
name = "judged"
baseline = "frontier"

[data]
path = "rows.jsonl"
shares = { train = 0.2, tune = 0.4, certify = 0.4 }

[tiers.small]
model = "recorded:small.jsonl"
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.2 }

[tiers.frontier]
model = "recorded:frontier.jsonl"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0 }

[tiers.critic]
model = "openai:critic-1"
base_url = "BASE/v1"
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }

[judges.helpful]
tier = "critic"
RUBRIC

[tasks.draft]
kind = "draft"
tiers = ["small", "frontier"]
scorer = "judge"
promise = { max_loss = 0.1, delta = 0.2 }
"""
RUBRIC = """\
rubric = "Good answers say sorry."
grades = { good = 1.0, fair = 0.5, bad = 0.0 }
human = "people"
"""
PAIR = 'kind = "pairwise"\nrubric = "The better answer says sorry."\n'

Reply = Callable[[str], str]


def graded(said: str) -> str:
    """Grade as the rubric says; a `?` in the answer makes the judge babble."""
    answer = said.split("The answer to grade:")[1]
    grade = "good" if "sorry" in answer else "fair" if "regret" in answer else "bad"
    return "I cannot say." if "?" in answer else json.dumps({"why": "by rule", "grade": grade})


def compared(said: str) -> str:
    """Prefer the answer that says sorry."""
    first, second = said.split("The first answer:")[1].split("The second answer:")
    found = ("sorry" in first, "sorry" in second)
    grade = {(True, False): "first", (False, True): "second"}.get(found, "tie")
    return json.dumps({"why": "by rule", "grade": grade})


@contextmanager
def judge_server(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a scripted judge; yield its address and the bodies that it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            message = {"role": "assistant", "content": reply(body["messages"][-1]["content"])}
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            done = {"id": "1", "object": "chat.completion", "created": 1, "model": "critic-1"}
            data = json.dumps({**done, "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answers(n: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the small tier's and the frontier's answers: sorry in all but a few."""
    small, big = [], []
    for i in range(n):
        kind = "we regret it" if i % 10 == 9 else "what?" if i % 25 == 24 else "sorry"
        small.append({"id": f"r{i}", "draft": f"Dear customer {i}, {kind}."})
        big.append({"id": f"r{i}", "draft": f"Dear customer {i}, we are sorry, friend."})
    return small, big


def complaint(number: int) -> str:
    """Return a message that is no near-duplicate of another: words drawn by the number."""
    letters = random.Random(number)
    words = ["".join(letters.choices("abcdefghijklmnop", k=6)) for _ in range(9)]
    return f"complaint {number}: {' '.join(words)}"


def write_judged(folder: Path, base: str, rubric: str = RUBRIC, n: int = 100) -> Path:
    """Write the project; no row has a reference, every third a grade of people."""
    folder.mkdir(parents=True, exist_ok=True)
    toml = TOML.replace("BASE", base).replace("RUBRIC", rubric)
    (folder / "stepdown.toml").write_text(toml, encoding="utf-8")
    small, big = answers(n)
    rows: list[dict[str, Any]] = [{"id": f"r{i}", "text": complaint(i)} for i in range(n)]
    for i, row in enumerate(rows):
        if i % 3 == 0:
            row["people"] = {"small": "good" if "sorry" in small[i]["draft"] else "bad"}
    for name, lines in (("rows", rows), ("small", small), ("frontier", big)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
