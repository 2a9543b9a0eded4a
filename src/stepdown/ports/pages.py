"""The Pages port: what a gateway shows to a person with a browser, as finished bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

PREFIX = "/ui"
SIGN_IN = "/ui/sign-in"
SIGN_OUT = "/ui/sign-out"


class Visitor(Struct, frozen=True, kw_only=True):
    """Who asks. `form_token` must come back with every form.

    `has_key` says whether the gateway has a key at all; without one nobody may write here.
    `may_read_texts` is about the texts of requests and answers.
    """

    may_write: bool = False
    may_read_texts: bool = False
    has_key: bool = False
    form_token: str = ""


class Asked(Struct, frozen=True, kw_only=True):
    """What a browser asks for. `form` is that of a POST, already checked against forgery.

    `refused` says why a visitor was sent to the sign-in page, "" where nobody was.
    """

    path: str
    query: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    visitor: Visitor = Visitor()
    refused: str = ""


class Page(Struct, frozen=True, kw_only=True):
    """A finished page, or with `goto` the address where the browser goes on.

    `lasting`: its address changes with its content, so a browser may keep it.
    """

    body: bytes = b""
    status: int = 200
    kind: str = "text/html; charset=utf-8"
    goto: str | None = None
    lasting: bool = False


class Pages(Protocol):
    """Pages below `PREFIX`. It may wait for a disk, so it is asked in a thread."""

    def page(self, asked: Asked) -> Page:
        """Return the page, one that says so where there is none.

        Raises:
            StepdownError: it cannot be made, with what to do.
        """
        ...

    def problem(self, status: int, message: str, visitor: Visitor) -> Page:
        """Return a page that says what went wrong."""
        ...
