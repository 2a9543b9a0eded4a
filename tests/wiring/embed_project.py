"""A project with embed tasks: SYNTHETIC documents and queries, and a hosted embedder on loopback.

The server speaks the OpenAI embeddings wire (API reference, "Create embeddings", 2026-11). Its
vectors count words by a hash, so that a query is nearest to the document which shares its words.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOML = """\
[project]
name = "vectors"
baseline = "hosted"

[data]
path = "queries.jsonl"
shares = { train = 0.1, tune = 0.45, certify = 0.45 }

[tiers.static]
model = "encoder:static-minilm-256"
price = { usd_per_hour = 0.085 }

[tiers.hosted]
model = "openai:embed-x"
base_url = "BASE/v1"
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.0 }

[tasks.find]
kind = "embed"
tiers = ["static", "hosted"]
reference = "relevant"
scorer = { name = "recall_at_k", corpus = "documents.jsonl", k = 3 }
promise = { max_loss = 0.1, delta = 0.2 }
"""
PAIRS = """
[tasks.alike]
kind = "embed"
tiers = ["static", "hosted"]
reference = "alike"
scorer = "rank_agreement"
"""
WORDS = [
    "kettle",
    "lamp",
    "sofa",
    "bicycle",
    "tent",
    "mirror",
    "piano",
    "carpet",
    "toaster",
    "ladder",
    "candle",
    "violin",
    "basket",
    "helmet",
    "hammer",
    "blanket",
    "drawer",
    "compass",
    "magnet",
    "lantern",
    "pillow",
    "anchor",
    "bucket",
    "saddle",
    "teapot",
    "shovel",
    "curtain",
    "ribbon",
    "wrench",
    "pencil",
    "goblet",
    "sandal",
    "trumpet",
    "marble",
    "barrel",
    "canvas",
    "feather",
    "needle",
    "puzzle",
    "whistle",
]


def vector(text: str) -> list[float]:
    found = [0.0] * 64
    for word in text.lower().split():
        found[int(hashlib.sha256(word.encode()).hexdigest(), 16) % 64] += 1.0
    return found


@contextmanager
def embed_server() -> Iterator[tuple[str, list[list[str]]]]:
    """Serve the embedder; yield its address and the batches of texts that it was sent."""
    sent: list[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent.append(body["input"])
            rows = [
                {"object": "embedding", "index": i, "embedding": vector(text)}
                for i, text in enumerate(body["input"])
            ]
            tokens = sum(len(text.split()) for text in body["input"])
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            done = {"object": "list", "data": rows, "model": "embed-x", "usage": usage}
            data = json.dumps(done).encode()
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
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_embed(folder: Path, base: str, more: str = "", n: int = 120) -> Path:
    """Write the project: each query shares five of its six words with one document."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stepdown.toml").write_text(TOML.replace("BASE", base) + more, encoding="utf-8")
    chance = random.Random(7)
    documents, queries = [], []
    for i in range(n):
        words = chance.sample(WORDS, 6)
        documents.append({"id": f"d{i}", "text": " ".join(words)})
        asked = [*words[:5], chance.choice(WORDS)]
        chance.shuffle(asked)
        shared = chance.randrange(7)
        second = [*words[:shared], *chance.sample(WORDS, 6 - shared)]
        queries.append(
            {
                "id": f"q{i}",
                "text": " ".join(asked),
                "relevant": [f"d{i}"],
                "alike": {"text": " ".join(second), "similarity": shared},
            }
        )
    for name, rows in (("documents", documents), ("queries", queries)):
        write_rows(folder / f"{name}.jsonl", rows)
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
