"""What a request may look like, how an application sees it, and what a refusal looks like.

What is not plain HTTP/1.1 with one clear framing is refused: two readings of one request are how
requests are smuggled past a proxy. Sources: RFC 9112, sections 3.2, 6.1, 6.3 and 7.1.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import httptools

from stepdown.adapters.gateway.server.exchange import Scope

Pair = tuple[bytes, bytes]
Address = tuple[str, int] | None


class Refused(Exception):
    """A request that is not answered by the application."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def check(version: str, method: str, headers: list[Pair], said: dict[bytes, bytes]) -> None:
    """Refuse what two readers could read in two ways.

    llhttp has refused already: two lengths, a length beside chunks, a coding after `chunked`,
    white space before a colon, folded lines.

    Raises:
        Refused: says which status and why.
    """
    names = [name for name, _ in headers]
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP/{version} is not spoken here; HTTP/1.1 is")
    if method == "CONNECT":
        raise Refused(405, "this is no proxy")
    if names.count(b"host") != 1 and (version == "1.1" or b"host" in names):
        raise Refused(400, "exactly one Host header is needed")
    if names.count(b"content-length") > 1 or names.count(b"transfer-encoding") > 1:
        raise Refused(400, "the length of the body is said twice")
    coding = said.get(b"transfer-encoding")
    if coding is None:
        return
    if version == "1.0" or b"content-length" in said:
        raise Refused(400, "the length of the body is not clear")
    if coding.lower() != b"chunked":
        raise Refused(501, "the only transfer coding known here is chunked")


def is_to_go_on(version: str, headers: list[Pair]) -> bool:
    """Return whether a caller waits with the body until they are told to go on.

    HTTP/1.0 has no expectations. Source: RFC 9110, section 10.1.1.

    Raises:
        Refused: the caller expects something else.
    """
    found = [value.lower() for name, value in headers if name == b"expect"]
    if version == "1.0" or not found:
        return False
    if found != [b"100-continue"]:
        raise Refused(417, "the only expectation known here is 100-continue")
    return True


def scope_of(
    version: str, method: str, url: bytes, headers: list[Pair], ends: tuple[Address, Address]
) -> Scope:
    """Return the ASGI scope of a request.

    Raises:
        Refused: its target cannot be read.
    """
    target = url if url.startswith(b"/") else _origin_form(url)
    raw_path, _, query = target.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": path.decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ends[0],
        "server": ends[1],
    }


def _origin_form(url: bytes) -> bytes:
    """Return the path of an absolute target (RFC 9112, section 3.2.2), and `*` as it is."""
    if url == b"*":
        return url
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise Refused(400, "the request's target cannot be read") from None
    query = b"?" + parsed.query if parsed.query else b""
    return (parsed.path or b"/") + query


def head_of(method: bytes, url: bytes, headers: list[Pair], *, leave_out: bytes) -> bytes:
    """Return the head of an HTTP/1.1 request without one of its headers."""
    kept = [b"%b: %b\r\n" % pair for pair in headers if pair[0] != leave_out]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, b"".join(kept))


def refusal(refused: Refused) -> bytes:
    """Return the whole response that says so, in the shape that OpenAI clients read."""
    kind = "invalid_request_error" if refused.status < 500 else "server_error"
    text = " ".join(refused.why.split()).replace('"', "'").replace("\\", "/")[:200]
    body = f'{{"error":{{"message":"{text}.","type":"{kind}","param":null,"code":null}}}}'
    phrase = HTTPStatus(refused.status).phrase
    again = "retry-after: 1\r\n" if refused.status == 503 else ""
    head = f"HTTP/1.1 {refused.status} {phrase}\r\ncontent-type: application/json\r\n{again}"
    head += f"content-length: {len(body.encode())}\r\nconnection: close\r\n\r\n"
    return (head + body).encode()
