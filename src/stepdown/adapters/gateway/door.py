"""Who may come in: the key, and where no key is set, programs on this machine only."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from stepdown.adapters.gateway.faults import Fault, not_local, unauthorized


class Door:
    """Let in who has the key, sent as `Authorization: Bearer KEY` or as `x-api-key: KEY`.

    Without a key, only requests addressed to a loopback name and not sent by another site's page
    are answered, so that a web page in the user's browser cannot spend their money.
    """

    def __init__(self, api_key: str | None) -> None:
        self._key = None if api_key is None else api_key.encode()

    @property
    def has_key(self) -> bool:
        """Whether callers must send a key."""
        return self._key is not None

    def knows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request has the key, or none is needed."""
        if self._key is None:
            return True
        bearer = headers.get(b"authorization", b"")
        scheme, _, key = bearer.partition(b" ")  # its case does not count: RFC 9110, section 11.1
        is_right = hmac.compare_digest(key.lstrip(b" "), self._key) and scheme.lower() == b"bearer"
        return hmac.compare_digest(headers.get(b"x-api-key", b""), self._key) or is_right

    def refusal(self, headers: Mapping[bytes, bytes], *, is_open: bool) -> Fault | None:
        """Return why a request is turned away; a path that `is_open` needs no key."""
        if self._key is None:
            return None if _is_from_here(headers) else not_local()
        return None if is_open or self.knows(headers) else unauthorized()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_from_here(headers: Mapping[bytes, bytes]) -> bool:
    """Tell apart what a web page of another site can make a browser send (also by rebinding)."""
    host, origin = headers.get(b"host"), headers.get(b"origin")
    return (host is None or _is_here(b"//" + host)) and (origin is None or _is_here(origin))


@lru_cache(maxsize=256)
def _is_here(url: bytes) -> bool:
    return is_loopback(_name_of(url))


def _name_of(url: bytes) -> str:
    try:
        return urlsplit(url.decode("latin-1")).hostname or ""
    except ValueError:
        return ""
