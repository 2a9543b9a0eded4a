"""A project whose best policy is a learned route: SYNTHETIC questions made by rule, fake servers.

Two tiers are one server on the OpenAI wire with log-probabilities, the third is a recording. Easy
questions are right at every tier, middling ones from `mid` on, hard ones at `big` alone. Nothing is
measured on them.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from tiny_project import THINGS, stepdown, write_jsonl

KINDS = {
    "easy": "the shop has which opening hours and where can I park my car for",
    "middling": "please compute the customs duty and import tax percentage on",
    "hard": "the solicitor sent a letter before court proceedings about our contract for",
}
RIGHT = {"small": {"easy": 0.96, "middling": 0.1, "hard": 0.03},
         "mid": {"easy": 0.97, "middling": 0.95, "hard": 0.1}}  # fmt: skip
HEAD = """\
[project]
name = "routed"
baseline = "big"

[data]
path = "rows.jsonl"
shares = {{ train = 0.02, tune = 0.46, certify = 0.52 }}

[tiers.small]
model = "openai:small"
base_url = "{url}"
price = {{ input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.1, source = "made up" }}

[tiers.mid]
model = "openai:mid"
base_url = "{url}"
price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0, source = "made up" }}

[tiers.big]
model = "{big}"
{where}
price = {{ input_usd_per_mtok = 10.0, output_usd_per_mtok = 10.0, source = "made up" }}
"""
REPLY = """
[tasks.reply]
kind = "draft"
scorer = "exact"
tiers = ["small", "mid", "big"]
promise = { max_loss = 0.08, delta = 0.1 }
store = "full"
"""
TOPIC = """
[signals.second_opinion]
kind = "vote"
tier = "small"
samples = 5

[tasks.topic]
kind = "classify"
labels = ["easy", "middling", "hard"]
tiers = ["small", "big"]
signals = ["second_opinion"]
promise = { max_loss = 0.05, delta = 0.1 }

[tasks.topic.prompts.small]
system = "topic: {labels}"
"""


def kind_of(text: str) -> str:
    """Return how hard a question is, which its words tell."""
    return next(kind for kind, words in KINDS.items() if words in text)


def chance(*what: str) -> float:
    """Return a number in [0, 1) made of words: the fakes have no other chance."""
    return int.from_bytes(hashlib.sha256("|".join(what).encode()).digest()[:6], "big") / 2**48


def truth(text: str) -> str:
    """Return the right answer to a question."""
    number = int(1e6 * chance("truth", text))
    return f"Dear customer, the answer that you are looking for is number {number}."


def said(model: str, text: str) -> str:
    """Return what a tier answers."""
    if model == "big" or chance(model, text) < RIGHT[model][kind_of(text)]:
        return truth(text)
    return f"I am not sure about this, maybe it could be {int(1e6 * chance(model, 'no', text))}?"


def sure(model: str, text: str) -> float:
    """Return the probability of each token of an answer: higher where it is right, mostly."""
    right = said(model, text) == truth(text)
    return 0.55 + 0.3 * right + 0.14 * chance(model, "sure", text)


@cache
def questions(n: int = 420) -> list[dict[str, str]]:
    """Return questions of the three kinds, none like another."""
    rng, found = random.Random(5), []
    for number in range(n):
        words = " ".join(rng.sample(THINGS, 6))
        text = f"{list(KINDS.values())[number % 3]} {words} {rng.randrange(10**6)}"
        found.append(
            {"id": f"r{number}", "text": text, "reply": truth(text), "topic": kind_of(text)}
        )
    return found


def topic(model: str, text: str, seed: object) -> str:
    """Return the label that a tier gives; the small one wavers where it does not know."""
    right = kind_of(text)
    if model == "big" or chance(model, "knows", text) < 0.7:
        return right
    return [k for k in KINDS if k != right][int(2 * chance(model, text, str(seed)))]


class Mock:
    """A server on the OpenAI wire for every model; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        text, logprob = _answer(body)
        tokens = [{"token": f"{word} ", "logprob": logprob} for word in text.split()]
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
            "logprobs": None if logprob is None else {"content": tokens},
        }
        usage = {"prompt_tokens": 100, "completion_tokens": len(tokens)}
        return web.json_response({"model": body["model"], "choices": [choice], "usage": usage})


def _answer(body: dict[str, Any]) -> tuple[str, float | None]:
    """The text of an answer, and the log-probability of its tokens where the server tells it."""
    model, last = body["model"], body["messages"][-1]["content"]
    if "Draft:\n" in last:
        return last.partition("Draft:\n")[2].upper(), None
    if "topic" in body["messages"][0]["content"]:
        return topic(model, last, body.get("seed")), None
    return said(model, last), math.log(0.9 if model == "big" else sure(model, last))


@contextmanager
def serving(mock: Mock) -> Iterator[str]:
    """Serve a mock on a free port of this machine; yield its base URL."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", mock.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        return runner

    runners: list[web.AppRunner] = []

    def work() -> None:
        runners.append(loop.run_until_complete(start()))
        loop.run_forever()
        loop.run_until_complete(runners[0].cleanup())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def write_routed(
    folder: Path, url: str, task: str = REPLY, *, n: int = 420, big: str = "recorded:big.jsonl"
) -> Path:
    """Write the project; `big` is a recording where nothing else is said."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = questions(n)
    write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(folder / "big.jsonl", rows)
    where = 'place = "vendor"' if big.startswith("recorded") else f'base_url = "{url}"'
    text = HEAD.format(url=url, big=big, where=where) + task
    (folder / "stepdown.toml").write_text(text, encoding="utf-8")
    return folder


def certify(folder: Path) -> Path:
    """Certify the project in a folder."""
    done = stepdown("certify", "-p", folder)
    assert done.exit_code == 0, done.output
    return folder
