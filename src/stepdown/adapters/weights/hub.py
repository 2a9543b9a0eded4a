"""Model files on the Hugging Face hub, pinned by revision and digest.

It speaks plain HTTPS and knows no account: private repositories need a local download and `path:`.
"""

import hashlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO

from msgspec import Struct

from stepdown.adapters.weights.catalogue import Limits
from stepdown.adapters.weights.local import digest_differs
from stepdown.errors import WeightsError

HUB = "https://huggingface.co"
_SOURCE = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./-]+)@(?P<revision>[\w.-]+)"
    r"\s+sha256=(?P<sha256>[0-9a-f]{64})",
    re.ASCII,
)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_CHUNK_BYTES = 1 << 20
_IDLE_TIMEOUT_S = 60.0


class HubFile(Struct, frozen=True):
    """One file of one revision of a hub repository, and the digest that it must have."""

    repo: str
    file: str
    revision: str
    sha256: str

    @classmethod
    def parse(cls, source: str) -> "HubFile":
        """Read `hf:ORG/REPO/FILE@REVISION sha256=DIGEST`.

        Raises:
            WeightsError: the text has another form, or the path leaves the repository.
        """
        match = _SOURCE.fullmatch(source.strip())
        if match is None or any(part in {"", ".", ".."} for part in match["file"].split("/")):
            raise WeightsError(
                f"Cannot read the model source {source!r}.",
                "Write 'hf:ORG/REPO/FILE@REVISION sha256=DIGEST' (64 lower-case hexadecimal "
                "digits; the file's page on the hub shows them).",
            )
        return cls(match["repo"], match["file"], match["revision"], match["sha256"])

    @property
    def file_name(self) -> str:
        """The last part of the path: the name in the cache."""
        return self.file.rsplit("/", 1)[-1]

    def url(self, endpoint: str) -> str:
        """Return the address of the file's bytes."""
        path = f"{self.repo}/resolve/{self.revision}/{self.file}"
        return f"{endpoint.rstrip('/')}/{urllib.parse.quote(path)}"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects (the hub sends files from other hosts), but never down to plain HTTP."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: "object",
        newurl: str,
    ) -> urllib.request.Request | None:
        _require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def download(
    file: HubFile,
    target: Path,
    limits: Limits,
    *,
    endpoint: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Write the bytes of `file` to `target` and check their digest.

    Raises:
        WeightsError: not found, no network, larger than the limit, or a digest that differs.
    """
    url = file.url(endpoint or HUB)
    _require_safe(url)
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(url, timeout=_IDLE_TIMEOUT_S) as answer, target.open("xb") as sink:
            found = _copy(answer, sink, limits.hub_file_bytes, file, progress)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        raise _failed(file, error) from error
    if found != file.sha256:
        target.unlink()
        raise digest_differs(file.file, file.sha256, found)


def _copy(
    answer: HTTPResponse,
    sink: IO[bytes],
    limit_bytes: int,
    file: HubFile,
    progress: Callable[[int, int | None], None] | None,
) -> str:
    length = answer.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    digest, done = hashlib.sha256(), 0
    while chunk := answer.read(_CHUNK_BYTES):
        done += len(chunk)
        if done > limit_bytes:
            raise _too_large(file, limit_bytes)
        digest.update(chunk)
        sink.write(chunk)
        if progress is not None:
            progress(done, total)
    return digest.hexdigest()


def _require_safe(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise WeightsError(
        f"Refused to fetch model files from {parts.scheme}://{parts.hostname}.",
        "Model files are fetched over https (plain http only from this machine).",
    )


def _too_large(file: HubFile, limit_bytes: int) -> WeightsError:
    return WeightsError(
        f"{file.file!r} is larger than the limit of {limit_bytes:,} bytes.",
        "Download it yourself and give it with path:FILE.",
    )


def _failed(file: HubFile, error: Exception) -> WeightsError:
    reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
    return WeightsError(
        f"Could not fetch {file.file!r} of {file.repo} at {file.revision}: {reason}.",
        "Check the spelling, the revision and the network, "
        "or give a file that you already have with path:FILE.",
    )
