"""The pages for a browser, below /ui: who may see and change what, forms, cookies, headers.

With a key, a browser signs in once and gets a ticket in a cookie that no script can read; every
form carries a token of that ticket. Without a key, which is on loopback only, everybody there may
read and nobody may write. It knows no page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import parse_qsl, quote, urlsplit

from msgspec.structs import replace

from stepdown.adapters.gateway.answers import Answer
from stepdown.adapters.gateway.bodies import read_body
from stepdown.adapters.gateway.faults import Headers, not_local, wrong_method
from stepdown.adapters.gateway.hanging_up import GoneError
from stepdown.adapters.gateway.tickets import LIFETIME_S, Tickets
from stepdown.adapters.gateway.visit import RefusedError, Visit
from stepdown.errors import StepdownError
from stepdown.ports.pages import PREFIX, SIGN_IN, SIGN_OUT, Asked, Page, Pages, Visitor

Reading = Literal["key", "read"]
COOKIE = "stepdown_ticket"
MOST_FORM_BYTES = 64 * 1024
MOST_FIELDS = 50
_AT_ONCE = 2  # pages being made, so that a reader in a hurry takes no time from answers
_WRONG_KEY_S = 0.5
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
GUARDS: Headers = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_OPEN = ("/ui/style.css", "/ui/keys.js", SIGN_IN)
_log = logging.getLogger("stepdown.gateway")


def is_page(path: str) -> bool:
    """Return whether a path belongs to the pages."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


class Browsing:
    """Answer what is below /ui by `pages`.

    `key` is the gateway's key, `knows` says whether a request carries it in a header. With
    `reading` as `read`, pages without texts are open to whoever reaches the address.
    """

    def __init__(
        self,
        pages: Pages,
        key: str | None,
        knows: Callable[[Mapping[bytes, bytes]], bool],
        clock: Callable[[], float],
        reading: Reading = "key",
    ) -> None:
        self._pages = pages
        self._tickets = None if key is None else Tickets(key.encode(), clock)
        self._knows = knows
        self._reading = reading
        self._making = asyncio.Semaphore(_AT_ONCE)
        self._trying = asyncio.Lock()

    async def __call__(self, visit: Visit) -> Answer:
        """Answer one request for a page."""
        async with self._making:
            visitor, ticket = await asyncio.to_thread(self._visitor, visit)
        try:
            return await self._answer(visit, visitor, ticket)
        except (RefusedError, GoneError):
            raise
        except StepdownError as error:
            return self._told(400, f"{error.message} {error.hint}".strip(), visitor)
        except Exception:  # noqa: BLE001 the edge: a person gets a page, not the inside
            _log.exception("the page of request %s failed", visit.id)
            said = f"This page failed; the gateway's log has the reason under {visit.id}."
            return self._told(500, said, visitor)

    def _told(self, status: int, message: str, visitor: Visitor) -> Answer:
        return _shown(self._pages.problem(status, message, visitor))

    async def _answer(self, visit: Visit, visitor: Visitor, ticket: str) -> Answer:
        if visit.method == "POST":
            return await self._post(visit, visitor, ticket)
        if visit.method not in ("GET", "HEAD"):
            raise RefusedError(wrong_method(visit.path, "GET"))
        query = _pairs(visit.query)
        if self._must_sign_in(visit.path, visitor):
            return _shown(Page(goto=_sign_in_for(visit)))
        return await self._made(Asked(path=visit.path, query=query, visitor=visitor))

    def _must_sign_in(self, path: str, visitor: Visitor) -> bool:
        return visitor.has_key and not visitor.may_write and self._is_closed(path)

    def _is_closed(self, path: str) -> bool:
        return self._reading != "read" and path not in _OPEN

    async def _made(self, asked: Asked) -> Answer:
        async with self._making:
            return _shown(await asyncio.to_thread(self._pages.page, asked))

    def _visitor(self, visit: Visit) -> tuple[Visitor, str]:
        """Return who asks, and their ticket; without a key everybody here may read."""
        if self._tickets is None:
            return Visitor(may_read_texts=True), ""
        ticket = _cookie(visit.headers)
        if ticket and self._tickets.holds(ticket):
            token = self._tickets.form_token(ticket)
            return _keyed(token), ticket
        if self._knows(visit.headers):
            return _keyed(""), ""
        return Visitor(has_key=True), ""

    async def _post(self, visit: Visit, visitor: Visitor, ticket: str) -> Answer:
        if not _same_origin(visit.headers):
            raise RefusedError(not_local())
        form = _pairs(await read_body(visit, MOST_FORM_BYTES))
        if visit.path == SIGN_IN:
            return await self._sign_in(visit, form, visitor)
        if not visitor.may_write:
            return await self._refused(visitor)
        if ticket and not self._is_ours(ticket, form):
            said = "This form is not from a page of yours. Load the page again, then send it."
            return self._told(403, said, visitor)
        if visit.path == SIGN_OUT:
            return _with_cookie(_shown(Page(goto=PREFIX)), "", visit, 0)
        return await self._made(Asked(path=visit.path, form=form, visitor=visitor))

    def _is_ours(self, ticket: str, form: Mapping[str, str]) -> bool:
        assert self._tickets is not None
        return self._tickets.form_is_ours(ticket, form.get("form_token", ""))

    async def _refused(self, visitor: Visitor) -> Answer:
        if visitor.has_key:
            said = "Changing anything needs the key. Sign in first."
            asked = Asked(path=SIGN_IN, visitor=visitor, refused=said)
            made = await self._made(asked)
            return replace(made, status=403)
        said = (
            "This gateway has no key, so its pages can be read and nothing can be changed here. "
            "Set an API key (serve.api_key_env) and start it again, or use the command line."
        )
        return self._told(403, said, visitor)

    async def _sign_in(self, visit: Visit, form: Mapping[str, str], visitor: Visitor) -> Answer:
        if self._tickets is None:
            return await self._refused(visitor)
        async with self._trying:  # one guess after the other, each with its pause when wrong
            ticket = await asyncio.to_thread(self._tickets.issue, form.get("key", ""))
            if ticket is None:
                await asyncio.sleep(_WRONG_KEY_S)
        if ticket is None:
            asked = Asked(path=SIGN_IN, query=form, visitor=visitor, refused="That is not the key.")
            return replace(await self._made(asked), status=403)
        return _with_cookie(
            _shown(Page(goto=_own(form.get("next", "")))), ticket, visit, LIFETIME_S
        )


def _keyed(token: str) -> Visitor:
    return Visitor(may_write=True, may_read_texts=True, has_key=True, form_token=token)


def _shown(page: Page) -> Answer:
    """Return a page with the headers that keep it alone."""
    cache = b"public, max-age=31536000, immutable" if page.lasting else b"no-store"
    headers: Headers = ((b"content-type", page.kind.encode()), (b"cache-control", cache), *GUARDS)
    if page.goto is not None:
        return Answer(303, b"", (*headers, (b"location", page.goto.encode("ascii", "replace"))))
    return Answer(page.status, page.body, headers)


def _with_cookie(answer: Answer, ticket: str, visit: Visit, lasts_s: int) -> Answer:
    said = f"{COOKIE}={ticket}; Path={PREFIX}; HttpOnly; SameSite=Strict; Max-Age={lasts_s}"
    if visit.headers.get(b"x-forwarded-proto") == b"https":
        said += "; Secure"
    return replace(answer, headers=(*answer.headers, (b"set-cookie", said.encode("latin-1"))))


def _cookie(headers: Mapping[bytes, bytes]) -> str:
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _pairs(raw: bytes) -> dict[str, str]:
    """Return the fields of a form or a query, those that are well-formed; the last one wins."""
    try:
        return dict(
            parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True,
                      max_num_fields=MOST_FIELDS)
        )  # fmt: skip
    except ValueError:
        return {}


def _same_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a form was sent from a page of this very address, port included."""
    site = headers.get(b"sec-fetch-site", b"same-origin")
    if site not in (b"same-origin", b"none"):
        return False
    origin = headers.get(b"origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin.decode("latin-1")).netloc == headers.get(b"host", b"").decode(
            "latin-1"
        )
    except ValueError:
        return False


def _sign_in_for(visit: Visit) -> str:
    back = visit.path + (f"?{visit.query.decode('latin-1')}" if visit.query else "")
    return f"{SIGN_IN}?next={quote(back, safe='/')}"


def _own(address: str) -> str:
    """Return an address of a page, the first one where it is anything else."""
    is_own = is_page(address.partition("?")[0]) and address.isascii() and address.isprintable()
    return address if is_own else PREFIX
