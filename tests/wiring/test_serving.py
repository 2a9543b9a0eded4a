"""The gateway as a process: the official client, its headers, a kill, a stop."""

from __future__ import annotations

import signal
from pathlib import Path

import openai
import pytest
from gateway_process import client_of, gateway
from tiny_project import SYSTEM, USER, rows

from stepdown.wiring.workspace import Workspace


def ask(client: openai.OpenAI, text: str, request_id: str, model: str = "topic") -> object:
    return client.chat.completions.with_raw_response.create(
        model=model,
        messages=[
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": USER.replace("{input}", text)},
        ],
        extra_headers={"x-request-id": request_id},
    )


def test_the_official_client_gets_its_own_shape_and_headers_that_explain(certified: Path) -> None:
    with gateway(certified) as (process, url), client_of(url) as client:
        raw = ask(client, rows()[1]["text"], "first")
        assert raw.parse().choices[0].message.content == '{"topic": "delivery"}'
        told = raw.headers
        assert told["x-request-id"] == "first"
        assert told["x-stepdown-tier"] == "expert"
        assert told["x-stepdown-escalated"] == "false"
        assert told["x-stepdown-guarantee"] == "certified"
        assert 0.25 < float(told["x-stepdown-confidence"]) <= 1
        assert 0 < float(told["x-stepdown-cost-usd"]) < 0.001
        assert [m.id for m in client.models.list()] == ["topic", "tier:expert", "tier:frontier"]
        off = client.chat.completions.with_raw_response.create(
            model="topic", messages=[{"role": "user", "content": rows()[1]["text"]}]
        )
        assert off.headers["x-stepdown-outside-guarantee"] == "contract"
        assert off.headers["x-stepdown-tier"] == "frontier"
        with pytest.raises(openai.NotFoundError, match="topic"):
            ask(client, "hello", "lost", model="topik")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Stopped; the ledger is flushed." in process.stderr.read()


def test_a_killed_gateway_loses_no_answered_request_and_keeps_none_twice(certified: Path) -> None:
    answered = []
    with gateway(certified) as (process, url), client_of(url) as client:
        for number, row in enumerate(rows()[:40]):
            ask(client, row["text"], f"kill-{number}")
            answered.append(f"kill-{number}")
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    for _ in range(2):
        with Workspace.open(certified).kept_ledger() as ledger:
            assert sorted(trace.id for trace in ledger.traces()) == sorted(answered)
            assert ledger.counts()["traces"] == ledger.counts()["attempts"] == len(answered)


def test_the_python_api_answers_as_the_gateway_does(certified: Path) -> None:
    from stepdown import Stepdown

    texts = [row["text"] for row in rows()[:6]]
    with gateway(certified) as (process, url), client_of(url) as client:
        served = [ask(client, text, f"same-{n}") for n, text in enumerate(texts)]
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    with Workspace.open(certified).kept_ledger() as ledger:
        kept = [ledger.trace(f"same-{n}") for n in range(6)]
    (certified / ".stepdown" / "ledger").rename(certified / "ledger-of-the-gateway")
    with Stepdown.load(certified / "stepdown.lock") as stepdown:
        for n, text in enumerate(texts):
            reply = stepdown.run("topic", text, request_id=f"same-{n}")
            before = kept[n]
            assert before is not None
            assert reply.text == served[n].parse().choices[0].message.content
            assert reply.trace.answer == before.answer
            assert reply.trace.answered_by == before.answered_by
            assert reply.trace.confidence == before.confidence
            assert [a.tier for a in reply.trace.attempts] == [a.tier for a in before.attempts]
