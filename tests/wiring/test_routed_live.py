"""A learned route at work: what answers live is what a replay says, and it says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import openai
import pytest
from gateway_process import client_of, gateway
from routed_project import REPLY, TOPIC, Mock, certify, questions, serving, write_routed
from tiny_project import copy_of, envelope, stepdown

from stepdown import Stepdown
from stepdown.adapters.tables.outcome_panel import read_panel
from stepdown.core.lock import LockedTask
from stepdown.core.replay_array import ReplayedArray, replay_array
from stepdown.core.trace import Trace
from stepdown.wiring.foretelling import with_read_signals
from stepdown.wiring.lockfile import read_lock, write_lock
from stepdown.wiring.replaying import table_of
from stepdown.wiring.workspace import Workspace

ASKED = 200


@pytest.fixture(scope="module")
def mock() -> Iterator[tuple[Mock, str]]:
    """The server of all tiers, and its address."""
    made = Mock()
    with serving(made) as url:
        yield made, url


@pytest.fixture(scope="module")
def routed_once(mock: tuple[Mock, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The routed project, certified, with its outcomes beside it."""
    folder = certify(write_routed(tmp_path_factory.mktemp("routed") / "p", mock[1]))
    told = stepdown("outcomes", "-p", folder, "--to", folder / "outcomes.parquet")
    assert told.exit_code == 0, told.output
    return folder


@pytest.fixture
def routed(routed_once: Path, tmp_path: Path) -> Path:
    """A copy of the routed project that a test may break."""
    return copy_of(routed_once, tmp_path / "routed")


@pytest.fixture(scope="module")
def served(routed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """The traces of 200 requests of the official client, by the text."""
    folder = copy_of(routed_once, tmp_path_factory.mktemp("served") / "p")
    texts = [row["text"] for row in questions()[:ASKED]]
    with gateway(folder) as (process, url), client_of(url) as client:
        for number, text in enumerate(texts):
            ask(client, text, f"live-{number}")
        process.terminate()
        assert process.wait(30) == 0
    told = stepdown("explain", "live-2", "-p", folder)
    (routed_once / "explained.txt").write_text(told.output, encoding="utf-8")
    with closing(Workspace.open(folder).kept_ledger()) as ledger:
        return {trace.input or "": trace for trace in ledger.traces()}


def ask(client: openai.OpenAI, text: str, request_id: str, model: str = "reply") -> str:
    said = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        extra_headers={"x-request-id": request_id},
    )
    return said.choices[0].message.content or ""


def locked_task(folder: Path, name: str = "reply") -> LockedTask:
    return read_lock(folder / "stepdown.lock").tasks[name]


def replayed(folder: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Who answers each text, after which calls, by the replay of the outcomes."""
    locked = locked_task(folder)
    table = table_of(locked, read_panel(folder / "outcomes.parquet"))
    done: ReplayedArray = replay_array(
        locked.policy, with_read_signals(table, locked, folder), locked.signals
    )
    found = zip(table.prompts, done.answer.tolist(), done.called.tolist(), strict=True)
    return {str(prompt): (answer, called) for prompt, answer, called in found}


def test_a_learned_route_is_chosen_and_it_reads_triage(routed_once: Path) -> None:
    locked = locked_task(routed_once)
    assert locked.guarantee.state == "certified"
    assert any(name.startswith("lead: ") for name in locked.signals)
    assert locked.triage is not None
    assert "draw" not in locked.policy.signals
    assert min(locked.kept.values()) > 0.1


def test_what_answers_live_is_what_the_replay_says(
    served: dict[str, Trace], routed_once: Path
) -> None:
    said = replayed(routed_once)
    live = {
        text: (trace.answered_by, tuple(a.tier for a in trace.attempts))
        for text, trace in served.items()
        if text in said
    }
    assert len(live) > ASKED * 0.9
    assert live == {text: said[text] for text in live}
    assert len({answered for answered, _ in live.values()}) == 3
    assert len({len(called) for _, called in live.values()}) > 1


def test_the_verb_replays_the_same_shares(served: dict[str, Trace], routed_once: Path) -> None:
    done = stepdown(
        "replay", "--lock", routed_once / "stepdown.lock",
        "--outcomes", routed_once / "outcomes.parquet", "--json",
    )  # fmt: skip
    said = envelope(done)["data"]
    answers = [answer for answer, _ in replayed(routed_once).values()]
    assert said["kept"] == {
        tier: pytest.approx(np.mean([answer == tier for answer in answers]))
        for tier in ("small", "mid", "big")
    }
    lines = said["states"]["lines"]
    assert lines[0]["after"] == "start"
    assert lines[0]["does"].startswith("asks ")


def test_explain_says_why_in_words(served: dict[str, Trace], routed_once: Path) -> None:
    words = " ".join((routed_once / "explained.txt").read_text(encoding="utf-8").split())
    assert "1. " in words
    assert "asking it was expected to gain more than it costs" in words
    assert "than the next best choice" in words
    assert "lead:" not in words.partition("Attempts")[0]


def test_the_evidence_of_a_learned_decision_is_in_the_trace(served: dict[str, Trace]) -> None:
    leads = [
        (attempt.decision.partition(" ")[0], value)
        for trace in served.values()
        for attempt in trace.attempts
        for name, value in attempt.signals.items()
        if name.startswith("lead: accept")
    ]
    assert {action for action, _ in leads} == {"accept", "call"}
    assert all(value is not None and (value >= 0) == (kind == "accept") for kind, value in leads)


@pytest.mark.parametrize("change", [{"review_by": "2020-01-01"}, {"state": "withdrawn"}])
def test_a_learned_route_that_is_overdue_or_withdrawn_is_not_followed(
    routed: Path, change: dict[str, str]
) -> None:
    path = routed / "stepdown.lock"
    lock = read_lock(path)
    locked = lock.tasks["reply"]
    guarantee = msgspec.structs.replace(locked.guarantee, **change)
    tasks = {"reply": msgspec.structs.replace(locked, guarantee=guarantee)}
    write_lock(path, msgspec.structs.replace(lock, tasks=tasks))
    with Stepdown.load(path) as stepdown_:
        trace = stepdown_.run("reply", questions()[0]["text"]).trace
    assert (trace.answered_by, trace.outside_guarantee) == ("big", "withdrawn")
    assert trace.guarantee == "withdrawn"


def test_a_triage_file_that_is_gone_is_said_at_the_start(routed: Path) -> None:
    triage = locked_task(routed).triage
    assert triage is not None
    (routed / triage.file).unlink()
    done = stepdown("serve", "--port", "0", "-p", routed)
    assert done.exit_code == 2
    assert Path(triage.file).name in done.output
    assert "certify" in done.output


@pytest.mark.parametrize(("finish", "below"), [("always", 1.1), ("when_unsure", 0.99)])
def test_drafts_are_polished_as_the_task_says(
    mock: tuple[Mock, str], tmp_path: Path, finish: str, below: float
) -> None:
    task = REPLY.replace('"mid", ', "") + f'finish = "{finish}"\n'
    task += "" if finish == "always" else f"polish_below = {below}\n"
    folder = certify(write_routed(tmp_path / "p", mock[1], task, n=210, big="openai:big"))
    with Stepdown.load(folder / "stepdown.lock") as stepdown_:
        traces = [stepdown_.run("reply", row["text"]).trace for row in questions(210)[:120]]
    drafted = [t for t in traces if [a.tier for a in t.attempts if a.kind == "call"] == ["small"]]
    polished = [t for t in drafted if t.attempts[-1].kind == "polish"]
    assert polished == [t for t in drafted if (t.attempts[0].confidence or 0.0) < below]
    assert (len(polished) == len(drafted)) == (finish == "always")
    for trace in polished:
        assert trace.answer == (trace.attempts[0].answer or "").upper()
        assert [a.tier for a in trace.attempts] == ["small", "big"]
        assert trace.cost_usd == pytest.approx(sum(a.cost_usd or 0.0 for a in trace.attempts))
        assert trace.guarantee == "certified"


def test_a_vote_is_bought_live_and_its_cost_is_in_the_trace(
    mock: tuple[Mock, str], tmp_path: Path
) -> None:
    folder = certify(write_routed(tmp_path / "p", mock[1], TOPIC, n=240))
    assert "second_opinion" in locked_task(folder, "topic").policy.signals
    before = len(mock[0].asked)
    with Stepdown.load(folder / "stepdown.lock") as stepdown_:
        traces = [stepdown_.run("topic", row["text"]).trace for row in questions(240)[:40]]
    assert len(mock[0].asked) - before == 6 * 40
    for trace in traces:
        buys = [attempt for attempt in trace.attempts if attempt.kind == "buy"]
        assert [(b.tier, b.cost_usd, b.failure) for b in buys] == [
            ("small", pytest.approx(5 * trace.attempts[0].cost_usd), None)
        ]
        assert (trace.answered_by == "small") == (buys[0].signals["second_opinion"] == 1.0)
    assert len({trace.answered_by for trace in traces}) == 2
