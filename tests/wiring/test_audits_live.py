"""Audits of a real gateway, and the looks that run beside it."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_process import client_of, gateway
from test_serving import ask
from tiny_project import rows

from stepdown.core.beside import Shadow
from stepdown.wiring.review_kept import kept_status
from stepdown.wiring.review_watch import Looking
from stepdown.wiring.workspace import Workspace

TEXTS = [row["text"] for row in rows()]


def until(found: Callable[[], bool]) -> None:
    for _ in range(400):
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("it never came about")


def test_a_gateway_audits_what_it_kept_and_looks_at_its_promise(certified: Path) -> None:
    path = certified / "stepdown.toml"
    said = "[serve.audit]\nshare = 1.0\nusd_per_month = 100.0\n[review]\nlook_minutes = 0.1\n"
    path.write_text(f"{path.read_text()}\n{said}")
    with gateway(certified) as (process, url), client_of(url) as client:
        for number, text in enumerate(TEXTS[:12]):
            answer = ask(client, text, f"a{number}")
            assert answer.headers["x-stepdown-tier"] == "expert"  # type: ignore[attr-defined]
        until(lambda: len(audits(certified)) == 12)
        until(lambda: _audited(certified) == 12)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    found = audits(certified)
    assert {one.propensity for one in found} == {1.0}
    assert {one.answered_by for one in found} == {"frontier"}
    assert all(one.loss is not None and one.cost_usd is not None for one in found)
    state = json.loads((certified / ".stepdown/review/status.json").read_text())
    assert TEXTS[0] not in json.dumps(state)


def audits(folder: Path) -> list[Shadow]:
    with Workspace.open(folder).kept_ledger() as ledger:
        return [one for one in ledger.records(Shadow) if one.ran == "ceiling"]


def _audited(folder: Path) -> int:
    found = kept_status(Workspace.open(folder))
    return 0 if found is None else found.tasks[0].evidence.audited


def test_a_look_runs_in_a_process_of_its_own_and_ends_with_the_gateway(plain: Path) -> None:
    looking = Looking(plain, 60.0, first_s=0.01)  # there is no lock: the look says so and ends
    looking.start()
    until(lambda: looking.looks > 0)
    looking.close()
    assert kept_status(Workspace.open(plain)) is None


def test_a_look_that_cannot_start_is_said_and_tried_again(
    plain: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looking = Looking(plain, 0.05, first_s=0.01, program="/no/such/python")
    with caplog.at_level(logging.WARNING, "stepdown.review"):
        looking.start()
        until(lambda: looking.looks > 1)
    looking.close()
    assert "could not look" in caplog.text
