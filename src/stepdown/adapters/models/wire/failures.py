"""What a refusal of a hosted model means: from a status and a body to one of our errors.

It does not know the network. Sources: OpenAI API reference, "Error codes", and Anthropic API
reference, "Errors", both as of 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct

from stepdown.adapters.models.wire.address import Key
from stepdown.errors import ModelError, Overloaded, TimedOut, Unavailable

QUOTED_CHARS = 300
# 424: the model behind Bedrock failed. The others are about the key, the account or the name.
OF_THE_TIER = frozenset({401, 402, 403, 404, 408, 424, 429})
FULL_STATUSES = frozenset({429, 503, 529})  # 529 is Anthropic's "overloaded"
REFUSING = re.compile(r"not support|unsupported|deprecated|not allowed|not enabled|unrecognized")


class Said(Struct, frozen=True):
    """The `error` object in a body of either wire."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Body(Struct, frozen=True):
    error: Said | str | None = None
    message: str | None = None


class Refusal(Struct, frozen=True):
    """An answer that is not a success; `after_s` is the wait that the server asks for.

    `reported`: it came within a success, so the server may have done work for it.
    """

    status: int
    said: Said = Said()
    after_s: float | None = None
    again: bool = True
    reported: bool = False

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed in a moment."""
        is_passing = self.status == 429 or self.status >= 500
        return is_passing and self.again and not self.is_spent

    @property
    def free(self) -> bool:
        """Whether the server did no work: it refused the request, or was too full for it."""
        refused = 300 <= self.status < 500 or self.status in FULL_STATUSES
        return refused and not self.reported

    @property
    def is_of_request(self) -> bool:
        """Whether another request may well be answered: this one is wrong, the tier is not."""
        return 400 <= self.status < 500 and self.status not in OF_THE_TIER

    @property
    def is_spent(self) -> bool:
        """Whether the account has no money or quota left, which no waiting mends."""
        spent = ("insufficient_quota", "billing_error")
        return self.status == 402 or self.said.code in spent or self.said.type in spent

    def refused(self, names: Iterable[str]) -> frozenset[str]:
        """Return which of the parameters `names` the model does not take.

        A value out of range is not a refusal: it stays an error, because it is the caller's.
        """
        message = (self.said.message or "").lower()
        is_refusing = REFUSING.search(f"{message} {self.said.code}") is not None
        if self.status not in (400, 403, 422) or not is_refusing:
            return frozenset()
        words = set(re.findall(r"[a-z_]+", message)) | {self.said.param}
        return frozenset(name for name in names if name in words)


class RefusedError(Exception):
    """The peer refused; the model decides what it means."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Return the refusal in an answer; a body of another shape is quoted as it is."""
    again = headers.get("x-should-retry") != "false"
    return Refusal(status=status, said=_said(body), after_s=_after_s(headers), again=again)


def _said(body: bytes) -> Said:
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Said(message=body.decode(errors="replace"))
    return said_in(found.error) if found.error is not None else Said(message=found.message)


def said_in(error: Said | str) -> Said:
    """Return the error object; some servers write a bare sentence."""
    return Said(message=error) if isinstance(error, str) else error


def _after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait asked for. A date is read against the server's own clock, not ours."""
    try:
        if "retry-after-ms" in headers:
            return _wait(float(headers["retry-after-ms"]) / 1000)
        return _wait(float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        return _until(headers["retry-after"], headers.get("date"))


def _until(then: str, now: str | None) -> float | None:
    try:
        gap = parsedate_to_datetime(then) - parsedate_to_datetime(now or "")
    except (ValueError, TypeError):
        return None
    return _wait(gap.total_seconds())


def _wait(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds == seconds else None  # noqa: PLR0124 - NaN is no wait


class Translator:
    """Turn refusals into errors that name the model, the host and the variable of the key."""

    def __init__(self, model: str, host: str, key: Key) -> None:
        self._model = model
        self._host = host
        self._key = key

    @property
    def where(self) -> str:
        """The model and its host, for messages."""
        return f"{self._model!r} at {self._host}"

    def error(self, refusal: Refusal) -> ModelError:
        """Return the error that a refusal means; the text never holds the key."""
        told = self._error(refusal)
        return told.noting(
            free=refusal.free,
            blames="request" if refusal.is_of_request or told.blames == "request" else "tier",
            retry_after_s=refusal.after_s,
        )

    def _error(self, refusal: Refusal) -> ModelError:
        named = _NAMED.get(refusal.said.type or "")
        status = named if refusal.status < 400 and named else refusal.status
        maker = self._makers().get(status)
        if refusal.is_spent:
            return self._spent(refusal)
        if maker is not None:
            return maker(refusal)
        if status in FULL_STATUSES:
            return self._full(refusal)
        return self._other(refusal)

    def _makers(self) -> dict[int, Callable[[Refusal], ModelError]]:
        return {
            401: self._unknown_key,
            403: self._forbidden,
            404: self._missing,
            408: self._late,
            413: self._too_long,
        }

    def _unknown_key(self, _refusal: Refusal) -> ModelError:
        # What a server says about a wrong key quotes parts of it, so it is not passed on.
        return ModelError(f"{self._host} does not accept the key for {self._model!r}.", self._check)

    def _forbidden(self, refusal: Refusal) -> ModelError:
        return ModelError(
            f"{self._host} forbids the use of {self._model!r}: {self._quote(refusal)}",
            f"{self._check} It may lack the right to use this model.",
        )

    def _missing(self, refusal: Refusal) -> ModelError:
        return Unavailable(
            f"There is no model {self._model!r} at {self._host}: {self._quote(refusal)}",
            "Check the model's name and the tier's `base_url`.",
        ).noting(blames="tier")

    def _late(self, refusal: Refusal) -> ModelError:
        return TimedOut(f"{self.where} gave up waiting: {self._quote(refusal)}")

    def _too_long(self, refusal: Refusal) -> ModelError:
        return Unavailable(
            f"The request is too long for {self.where}: {self._quote(refusal)}",
            "Shorten the prompt, or use a tier with a longer context.",
        )

    def _spent(self, refusal: Refusal) -> ModelError:
        return Unavailable(
            f"The account at {self._host} has nothing left to spend: {self._quote(refusal)}",
            f"Look at the billing page of the account whose key is in {self._key.variable}.",
        ).noting(blames="tier")

    def _full(self, refusal: Refusal) -> ModelError:
        asked = "" if refusal.after_s is None else f", asks to wait {refusal.after_s:g} s"
        return Overloaded(
            f"{self.where} is full (status {refusal.status}{asked}): {self._quote(refusal)}",
            "Try again later, or ask the vendor for a higher rate limit.",
        )

    def _other(self, refusal: Refusal) -> ModelError:
        if 300 <= refusal.status < 400:
            return ModelError(
                f"{self._host} redirects (status {refusal.status}); a key is not sent on.",
                "Put the final address into the tier's `base_url`.",
            )
        if refusal.said.code == "context_length_exceeded":
            return self._too_long(refusal)
        return ModelError(
            f"{self.where} failed with status {refusal.status}: {self._quote(refusal)}"
        )

    def malformed(self, why: str) -> ModelError:
        """Return the error for a body that is not what the wire's document says."""
        return ModelError(
            f"{self.where} sent a body that cannot be read: {self._clean(why)}.",
            "Check that the tier's `base_url` speaks this wire.",
        )

    def unfinished(self, why: str) -> ModelError:
        """Return the error for an answer that ended before it was whole."""
        return ModelError(f"The answer of {self.where} was cut: {self._clean(why)}.")

    def unreachable(self, why: str) -> ModelError:
        """Return the error for a connection that failed."""
        return ModelError(
            f"{self._host} cannot be reached: {self._clean(why)}.",
            "Check the network and the tier's `base_url`.",
        )

    def late(self, waited_s: float) -> TimedOut:
        """Return the error for an answer that did not come in time."""
        return TimedOut(f"{self.where} did not answer within {waited_s:g} s.")

    def silent(self, waited_s: float, *, begun: bool) -> TimedOut:
        """Return the error for a server that said nothing for too long."""
        if begun:
            told = TimedOut(f"The answer of {self.where} stood still for {waited_s:g} s.")
            told.phase = "idle"
        else:
            told = TimedOut(f"{self.where} did not begin to answer within {waited_s:g} s.")
            told.phase = "first_byte"
        return told

    @property
    def _check(self) -> str:
        return f"Check the key in {self._key.origin}."

    def _quote(self, refusal: Refusal) -> str:
        return self._clean(refusal.said.message or "no reason given") + "."

    def _clean(self, text: str) -> str:
        """Take the key out first, then cut: a cut key would not be found."""
        return " ".join(self._key.scrub(text).split())[:QUOTED_CHARS].rstrip(".")


# The error types of an Anthropic body, with the status that carries them outside a stream.
_NAMED = {
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 408,
    "overloaded_error": 529,
}
