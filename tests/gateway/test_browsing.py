"""Who may see and change what below /ui: keys, tickets, forms, other sites, headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from stepdown.adapters.gateway.app import GatewayApp
from stepdown.adapters.gateway.tickets import LIFETIME_S, Tickets
from stepdown.errors import DataError
from stepdown.ports.pages import Asked, Page, Visitor

KEY = "the key"
HOST = "127.0.0.1:8377"


class FakePages:
    """Shows who asked for what, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.breaks: Exception | None = None

    def page(self, asked: Asked) -> Page:
        self.asked.append(asked)
        if self.breaks is not None:
            raise self.breaks
        said = f"page {asked.path} {asked.refused} token={asked.visitor.form_token}"
        return Page(body=said.encode())

    def problem(self, status: int, message: str, visitor: Visitor) -> Page:
        return Page(body=f"problem {message}".encode(), status=status)


class Site:
    """A gateway asked as a browser asks it; it keeps its cookie."""

    def __init__(self, handler: Any, key: str | None = KEY, **options: Any) -> None:
        self.pages = FakePages()
        self.now = 1_000_000.0
        self.app = GatewayApp(
            handler, api_key=key, pages=self.pages, clock=lambda: self.now, **options
        )
        self.cookie = ""

    async def ask(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = {},
        method: str = "",
    ) -> tuple[int, dict[str, str], str]:
        sent: list[Any] = []
        body = b"" if form is None else urlencode(form).encode()
        said = {"host": HOST, "cookie": self.cookie, **headers}
        where, _, query = path.partition("?")
        scope = {
            "type": "http",
            "path": where,
            "query_string": query.encode(),
            "method": method or ("GET" if form is None else "POST"),
            "headers": [(k.encode(), v.encode()) for k, v in said.items()],
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event: Any) -> None:
            sent.append(event)

        await self.app(scope, receive, send)
        found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        if "set-cookie" in found:
            self.cookie = found["set-cookie"].partition(";")[0]
        return sent[0]["status"], found, sent[1]["body"].decode()

    async def sign_in(self, key: str = KEY, back: str = "/ui") -> tuple[int, dict[str, str], str]:
        return await self.ask("/ui/sign-in", {"key": key, "next": back})

    async def token(self) -> str:
        _, _, body = await self.ask("/ui")
        found = re.search(r"token=(\w*)", body)
        assert found is not None
        return found[1]


async def test_without_the_key_a_browser_is_sent_to_sign_in(handler: Any) -> None:
    site = Site(handler)
    status, headers, _ = await site.ask("/ui/tasks/x?days=7")
    assert status == 303
    assert headers["location"] == "/ui/sign-in?next=/ui/tasks/x%3Fdays%3D7"
    assert site.pages.asked == []


async def test_signing_in_gives_a_ticket_that_is_not_the_key_and_no_script_can_read(
    handler: Any,
) -> None:
    site = Site(handler)
    status, headers, _ = await site.sign_in(back="/ui/traces?task=a")
    assert (status, headers["location"]) == (303, "/ui/traces?task=a")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/ui" in cookie
    assert KEY not in cookie
    status, _, body = await site.ask("/ui")
    assert status == 200
    assert body.startswith("page /ui")
    assert site.pages.asked[-1].visitor.may_write


async def test_a_wrong_key_gives_no_ticket(handler: Any) -> None:
    site = Site(handler)
    status, headers, body = await site.sign_in("another")
    assert status == 403
    assert "set-cookie" not in headers
    assert "That is not the key." in body


@pytest.mark.parametrize("spoil", ["x", "", "999999999999.aaaa.bbbb", "é"])
async def test_a_ticket_that_nobody_issued_is_worth_nothing(handler: Any, spoil: str) -> None:
    site = Site(handler)
    await site.sign_in()
    site.cookie = f"stepdown_ticket={spoil}" if spoil else site.cookie[:-1]
    assert (await site.ask("/ui"))[0] == 303


async def test_a_ticket_ends_after_half_a_day(handler: Any) -> None:
    site = Site(handler)
    await site.sign_in()
    site.now += LIFETIME_S - 1
    assert (await site.ask("/ui"))[0] == 200
    site.now += 2
    assert (await site.ask("/ui"))[0] == 303


def test_a_ticket_of_another_key_is_refused_and_any_worker_knows_its_own() -> None:
    ours, theirs = (Tickets(key, lambda: 0.0) for key in (b"one", b"two"))
    ticket = ours.issue("one")
    assert ticket is not None
    assert Tickets(b"one", lambda: 0.0).holds(ticket)
    assert not theirs.holds(ticket)
    assert not ours.form_is_ours(ticket, theirs.form_token(ticket))


async def test_a_form_needs_the_token_of_its_own_ticket(handler: Any) -> None:
    site = Site(handler)
    await site.sign_in()
    status, _, body = await site.ask("/ui/labels/x", {"said": "1"})
    assert status == 403
    assert "not from a page of yours" in body
    await site.ask("/ui/labels/x", {"said": "1", "form_token": await site.token()})
    assert site.pages.asked[-1].form is not None
    assert site.pages.asked[-1].form["said"] == "1"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_everything_right(
    handler: Any, headers: dict[str, str]
) -> None:
    site = Site(handler)
    await site.sign_in()
    form = {"said": "1", "form_token": await site.token()}
    before = len(site.pages.asked)
    status, _, _ = await site.ask("/ui/labels/x", form, headers)
    assert status == 403
    assert len(site.pages.asked) == before
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert (await site.ask("/ui/labels/x", form, own))[0] == 200


async def test_a_program_with_the_key_in_a_header_needs_no_ticket(handler: Any) -> None:
    site = Site(handler)
    headers = {"authorization": f"Bearer {KEY}"}
    assert (await site.ask("/ui", headers=headers))[0] == 200
    assert (await site.ask("/ui/labels/x", {"said": "1"}, headers))[0] == 200


async def test_without_any_key_everybody_here_reads_and_nobody_writes(handler: Any) -> None:
    site = Site(handler, None)
    assert (await site.ask("/ui/labels/x"))[0] == 200
    assert site.pages.asked[-1].visitor.may_read_texts
    status, _, body = await site.ask("/ui/labels/x", {"said": "1"})
    assert status == 403
    assert "no key" in body
    status, _, body = await site.sign_in()
    assert status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8377", "127.0.0.1.evil.example"])
async def test_without_a_key_a_name_that_is_not_loopback_is_refused(
    handler: Any, host: str
) -> None:
    site = Site(handler, None)
    status, _, _ = await site.ask("/ui", headers={"host": host})
    assert status == 403
    assert site.pages.asked == []


async def test_reading_can_be_opened_without_texts_and_never_writing(handler: Any) -> None:
    site = Site(handler, reading="read")
    assert (await site.ask("/ui"))[0] == 200
    visitor = site.pages.asked[-1].visitor
    assert (visitor.may_read_texts, visitor.may_write) == (False, False)
    status, _, body = await site.ask("/ui/labels/x", {"said": "1"})
    assert status == 403
    assert "needs the key" in body


@pytest.mark.parametrize(
    "back", ["https://evil.example", "//evil.example", "/v1/models", "/ui\r\nx: y", "/uix", ""]
)
async def test_signing_in_leads_to_a_page_of_this_place_only(handler: Any, back: str) -> None:
    _, headers, _ = await Site(handler).sign_in(back=back)
    assert headers["location"] == "/ui"


async def test_signing_out_takes_the_ticket_away(handler: Any) -> None:
    site = Site(handler)
    await site.sign_in()
    _, headers, _ = await site.ask("/ui/sign-out", {"form_token": await site.token()})
    assert "Max-Age=0" in headers["set-cookie"]
    assert (await site.ask("/ui"))[0] == 303


async def test_every_answer_forbids_scripts_of_others_frames_and_guessing(handler: Any) -> None:
    site = Site(handler)
    for path in ("/ui", "/ui/sign-in"):
        _, headers, _ = await site.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"


async def test_a_failure_is_a_page_with_what_to_do_and_nothing_of_the_inside(handler: Any) -> None:
    site = Site(handler, None)
    site.pages.breaks = DataError("the ledger is broken.", "Mend it.")
    status, _, body = await site.ask("/ui")
    assert (status, body) == (400, "problem the ledger is broken. Mend it.")
    site.pages.breaks = RuntimeError("secret inside")
    status, _, body = await site.ask("/ui")
    assert status == 500
    assert "secret" not in body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(handler: Any, method: str) -> None:
    assert (await Site(handler, None).ask("/ui", method=method))[0] == 405


async def test_without_pages_there_is_nothing_below_ui(handler: Any) -> None:
    site = Site(handler, None)
    site.app = GatewayApp(handler)
    assert (await site.ask("/ui"))[0] == 404


async def test_a_form_that_is_too_large_or_has_too_many_fields_is_not_read(handler: Any) -> None:
    site = Site(handler)
    await site.sign_in()
    assert (await site.ask("/ui/labels/x", {"said": "x" * 70_000}))[0] == 413
    status, _, _ = await site.ask("/ui/labels/x", {f"f{n}": "1" for n in range(60)})
    assert status == 403
