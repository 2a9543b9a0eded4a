"""The dashboard of `stepdown serve` as a process: what was just answered, workers, switched off."""

from __future__ import annotations

import http.client
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
from serving_project import ask, big_model, serving, write_served

from stepdown.errors import ConfigError
from stepdown.wiring.workspace import Workspace

KEY = "a key for tests"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with big_model() as base:
        yield write_served(tmp_path / "project", base)


def add_serve(folder: Path, line: str) -> None:
    path = folder / "stepdown.toml"
    path.write_text(f"{path.read_text()}\n[serve]\n{line}\n")


def get(address: str, path: str, cookie: str = "") -> tuple[int, str]:
    """Ask on a connection of its own, so that any worker may answer."""
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request("GET", path, headers={"cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_what_was_just_answered_is_on_the_first_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEPDOWN_API_KEY", raising=False)
    with serving(folder) as gateway:
        assert gateway.wait_for("Dashboard: ").strip() == f"Dashboard: {gateway.url}/ui"
        with closing(http.client.HTTPConnection(gateway.address, timeout=20)) as connection:
            ids = [ask(connection) for _ in range(5)]
        until, body = time.monotonic() + 30, ""
        while time.monotonic() < until and "5 requests" not in body:
            status, body = get(gateway.address, "/ui")
            assert status == 200
            time.sleep(0.3)
        assert "5 requests" in body
        status, body = get(gateway.address, f"/ui/traces/{ids[0]}")
        assert status == 200
        assert f"Request {ids[0]}" in body
        assert "/ui" in get(gateway.address, "/")[1]


def test_a_ticket_is_known_to_every_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPDOWN_API_KEY", KEY)
    with serving(folder, "--workers", "2") as gateway:
        with closing(http.client.HTTPConnection(gateway.address, timeout=20)) as connection:
            connection.request("POST", "/ui/sign-in", urlencode({"key": KEY}))
            answer = connection.getresponse()
            answer.read()
            cookie = str(answer.headers["set-cookie"]).partition(";")[0]
        assert [get(gateway.address, "/ui", cookie)[0] for _ in range(12)] == [200] * 12
        assert get(gateway.address, "/ui")[0] == 303


def test_switched_off_there_is_no_dashboard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPDOWN_API_KEY", raising=False)
    add_serve(folder, 'ui = "off"')
    with serving(folder) as gateway:
        assert get(gateway.address, "/ui")[0] == 404
        assert "/ui" not in get(gateway.address, "/")[1]
        assert not any("Dashboard" in line for line in gateway.lines)


def test_another_word_for_ui_is_an_error_that_names_the_known_ones(folder: Path) -> None:
    add_serve(folder, 'ui = "public"')
    with pytest.raises(ConfigError, match=re.compile("ui", re.DOTALL)):
        Workspace.open(folder)
