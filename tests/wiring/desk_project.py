"""A desk of steps for the tests of pipelines: SYNTHETIC messages made by rule, fake tiers.

Nothing is measured on them. `write_desk` makes a project of two independent classify steps whose
answers are recorded; `FedDesk` is one whose second step rewrites what the first one drafts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tiny_project import write_jsonl

from stepdown.core.request import Capabilities, Completion, Request, Usage
from stepdown.core.task import Task
from stepdown.errors import Unavailable
from stepdown.wiring.workspace import Workspace

TOPICS = ("billing", "delivery", "account", "praise")
RUSH = ("now", "later")

HEAD = """\
[project]
name = "desk"
baseline = "big"

[data]
path = "rows.jsonl"
shares = { train = 0.02, tune = 0.28, certify = 0.7 }

"""
TIER = """\
[tiers.{name}]
model = "{model}"
place = "self_hosted"
price = {{ input_usd_per_mtok = {price}, output_usd_per_mtok = {price}, source = "made up" }}
"""
TASK = """\
[tasks.{name}]
kind = "classify"
labels = {labels}
tiers = ["small", "big"]
"""
TOGETHER = """\
[pipelines.support]
steps = ["topic", "rush"]
promise = {{ max_loss = {max_loss}, delta = 0.1 }}
"""


def messages(n: int, seed: int = 7) -> list[dict[str, str]]:
    """Return messages of made-up words, none like another, with an answer for every step."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("bcdfglmnprst", k=2) + rng.choices("aeiou", k=2))
             + "".join(rng.choices("klmnrst", k=2)) for _ in range(900)]  # fmt: skip
    return [
        {
            "id": f"m{number}",
            "text": " ".join(rng.sample(words, 14)),
            "topic": rng.choice(TOPICS),
            "rush": rng.choice(RUSH),
        }
        for number in range(n)
    ]


def wrong_in(
    rows: list[dict[str, str]], task: str, share: float, seed: int
) -> list[dict[str, str]]:
    """Return the rows with another answer in a share of them."""
    labels, rng = {"topic": TOPICS, "rush": RUSH}[task], random.Random(seed)
    other = {label: labels[(place + 1) % len(labels)] for place, label in enumerate(labels)}
    return [{**row, task: other[row[task]]} if rng.random() < share else row for row in rows]


def write_desk(
    folder: Path, *, wrong: float = 0.04, max_loss: float = 0.05, n: int = 800, more: str = ""
) -> Path:
    """Write a project whose small tier answers `wrong` of the messages wrongly in each step."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = messages(n)
    write_jsonl(folder / "rows.jsonl", rows)
    small = wrong_in(wrong_in(rows, "topic", wrong, 1), "rush", wrong, 2)
    write_jsonl(folder / "small.jsonl", small)
    write_jsonl(folder / "big.jsonl", rows)
    toml = HEAD
    for name, price in (("small", 0.1), ("big", 5.0)):
        toml += TIER.format(name=name, model=f"recorded:{name}.jsonl", price=price)
    for name, labels in (("topic", TOPICS), ("rush", RUSH)):
        toml += TASK.format(name=name, labels=list(labels))
    toml += TOGETHER.format(max_loss=max_loss)
    (folder / "stepdown.toml").write_text(toml + more, encoding="utf-8")
    return folder


FED = """\
[tasks.draft]
kind = "draft"
scorer = "exact"
tiers = ["small", "big"]
[tasks.polish]
kind = "polish"
scorer = "exact"
tiers = ["small", "big"]
[pipelines.support]
steps = ["draft", "polish"]
takes = { polish = "draft" }
promise = { max_loss = 0.1, delta = 0.1 }
"""


class Echo:
    """Answer by rule and count what was asked; die after `lives` calls."""

    capabilities = Capabilities(polish=False)

    def __init__(self, name: str, said: Callable[[str], str], asked: list[tuple[str, str]]) -> None:
        self.digest = f"sha256:{name}"
        self.name, self.said, self.asked = name, said, asked
        self.lives: int | None = None

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        if self.lives is not None and len(self.asked) >= self.lives:
            raise KilledError
        self.asked.append((self.name, request.input))
        return Completion(
            text=self.said(request.input),
            latency_s=0.1,
            usage=Usage(input_tokens=100, output_tokens=20),
        )

    async def aclose(self) -> None:
        return None


class KilledError(Exception):
    """The process was killed here."""


class FedDesk(Workspace):
    """A project whose `polish` rewrites what `draft` wrote: the big tier writes `good: MESSAGE`,
    the small one writes `bad: MESSAGE` about messages that begin with a letter of `weak`, and
    polish keeps what it is given.
    """

    asked: list[tuple[str, str]]
    weak: str
    lives: int | None
    deaf: bool = False

    def model(self, task: Task, tier: str) -> Echo:  # type: ignore[override]
        """Return the fake of a tier."""

        def said(text: str) -> str:
            if task.name == "polish" and tier == "big" and self.deaf:
                raise Unavailable("It holds no recording of this text.")
            if task.name == "polish":
                return text
            bad = tier == "small" and text.startswith(tuple(self.weak))
            return f"{'bad' if bad else 'good'}: {text}"

        made = Echo(f"{task.name}/{tier}", said, self.asked)
        made.lives = self.lives
        return made


def fed_desk(
    folder: Path,
    *,
    weak: str = "",
    lives: int | None = None,
    toml: str = FED,
    n: int = 140,
    group: str | None = None,
) -> FedDesk:
    """Write and open a project with a fed step."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": row["id"], "text": row["text"], "draft": f"good: {row['text']}",
         "polish": f"good: {row['text']}", "customer": f"c{number // 2}"}
        for number, row in enumerate(messages(n))
    ]  # fmt: skip
    write_jsonl(folder / "rows.jsonl", rows)
    tiers = TIER.format(name="small", model="openai:small", price=0.1) + TIER.format(
        name="big", model="openai:big", price=5.0
    )
    grouped = f'group = "{group}"\nshares' if group else "shares"
    head = HEAD.replace("shares", grouped)
    (folder / "stepdown.toml").write_text(head + tiers + toml, encoding="utf-8")
    desk = FedDesk.open(folder)
    assert isinstance(desk, FedDesk)
    desk.asked, desk.weak, desk.lives = [], weak, lives
    return desk
