"""Announced ends as they ship, as users write them, and what servers list (SYNTHETIC answers)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.listings.ends import read_ends, shipped
from stepdown.adapters.listings.lists import anthropic_list, openai_list
from stepdown.errors import DataError, Unavailable


@contextmanager
def listing(pages: dict[str, Any], status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """Serve answers by path; yields the address and what was asked, with its headers."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            said = pages.get(self.path, pages.get("*"))
            raw = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            if status in (301, 302):
                self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_end_that_ships_has_a_source_and_the_day_it_was_read() -> None:
    found = shipped()
    assert len(found) > 30
    assert len({(one.provider, one.id) for one in found}) == len(found)
    for one in found:
        assert one.shutdown is not None
        assert one.source.startswith("https://")
        assert "read 20" in one.source


def test_an_openai_list_tells_ids_days_and_ends() -> None:
    rows = [
        {"id": "gpt-6-luna", "created": 1790000000, "owned_by": "openai", "shutdown_date": None},
        {"id": "gpt-4o", "created": 1715367049, "shutdown_date": "2027-01-14"},
        {"id": 7}, "noise", {"id": "odd", "created": "never", "shutdown_date": "soon"},
    ]  # fmt: skip
    with listing({"/v1/models": {"object": "list", "data": rows}}) as (base, asked):
        found = openai_list(f"{base}/v1/", "secret-key", "openai")
    assert [(one.id, one.shutdown) for one in found] == [
        ("gpt-6-luna", None), ("gpt-4o", date(2027, 1, 14)), ("odd", None),
    ]  # fmt: skip
    assert found[1].created == date(2024, 5, 10)
    assert asked[0][1]["Authorization"] == "Bearer secret-key"


def test_a_list_of_anthropic_is_read_page_by_page() -> None:
    def row(name: str) -> dict[str, str]:
        return {"type": "model", "id": name, "created_at": "2026-02-19T00:00:00Z"}

    pages = {
        "/v1/models?limit=1000": {"data": [row("a")], "has_more": True, "last_id": "a"},
        "/v1/models?limit=1000&after_id=a": {"data": [row("b")], "has_more": False, "last_id": "b"},
    }
    with listing(pages) as (base, asked):
        found = anthropic_list(f"{base}/v1", "secret-key", "2023-06-01")
    assert [one.id for one in found] == ["a", "b"]
    assert asked[0][1]["x-api-key"] == "secret-key"
    assert asked[0][1]["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ({"data": "none"}, 200, "no list of models"),
        ([1], 200, "no list of models"),
        (b"<html>", 200, "does not answer with JSON"),
        (b"[" * 100_000, 200, "does not answer with JSON"),
        ({"error": "no"}, 401, "status 401"),
        ({"data": []}, 302, "status 302"),
    ],
)
def test_what_is_no_list_is_said_and_a_redirect_is_not_followed(
    said: Any, status: int, why: str
) -> None:
    with (
        listing({"*": said}, status) as (base, asked),
        pytest.raises(Unavailable, match=why) as told,
    ):
        openai_list(base, "secret-key", "openai")
    assert len(asked) == 1
    assert "secret-key" not in str(told.value)


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(Unavailable, match="could not be asked"):
        openai_list("http://127.0.0.1:9/v1", "", "openai")


def test_a_file_of_ones_own_is_toml_json_or_a_saved_list(tmp_path: Path) -> None:
    toml = tmp_path / "ends.toml"
    toml.write_text(
        '[[deprecations]]\nprovider = "azure"\nmodels = ["gpt-4o"]\nshutdown = 2027-03-01\n'
        'source = "our contract"\nread = 2026-11-01\n', encoding="utf-8",
    )  # fmt: skip
    found = read_ends(toml)
    assert (found[0].id, found[0].shutdown, found[0].provider) == (
        "gpt-4o", date(2027, 3, 1), "azure",
    )  # fmt: skip
    plain = tmp_path / "ends.json"
    row = {
        "provider": "x", "models": ["m"], "shutdown": "2027-01-01", "source": "s",
        "read": "2026-11-01",
    }  # fmt: skip
    plain.write_text(json.dumps({"deprecations": [row]}), encoding="utf-8")
    assert read_ends(plain)[0].id == "m"
    saved = tmp_path / "models.json"
    saved.write_text(json.dumps({"data": [{"id": "m2", "shutdown_date": "2027-02-02"}]}))
    assert read_ends(saved)[0].shutdown == date(2027, 2, 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "x ="),
        ("a.toml", "[[deprecations]]\nprovider = 'x'\n"),
        ("a.json", "{"),
        ("a.json", '{"deprecations": [{"provider": "x"}]}'),
        ("a.json", '{"data": 3}'),
        ("a.json", '{"deprecations": [], "extra": 1}'),
    ],
)
def test_a_file_of_another_shape_is_refused_with_what_is_wanted(
    tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read") as told:
        read_ends(path)
    assert "[[deprecations]]" in told.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.toml cannot be read"):
        read_ends(tmp_path / "gone.toml")
