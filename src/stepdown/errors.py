"""Every error that Stepdown raises on purpose.

StepdownError                     base: a sentence for a person, and what to do next
├── InputError                    the user must fix something (exit 2)
│   ├── ConfigError               stepdown.toml is wrong: key, value, what is allowed
│   ├── LockError                 stepdown.lock is missing, stale, or does not match the files
│   └── DataError                 a row, a file or a table is not what it should be (file, line)
├── ModelError                    a tier could not answer
│   ├── Unavailable               it cannot answer this (no recording, cannot polish, no key)
│   ├── Overloaded                it is full: try again later
│   │   └── Busy                  our own queue before a model in this process is full
│   ├── Down                      it failed too often and is left alone for a while
│   └── TimedOut                  it did not answer in time
└── WeightsError                  a model file could not be fetched or does not match its digest
"""

from typing import Literal, Self


class StepdownError(Exception):
    """Say what was wrong in `message`, and what to do next in `hint`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the sentence and, where there is one, the hint."""
        return f"{self.message} {self.hint}".rstrip()


class InputError(StepdownError):
    """The user must fix something."""


class ConfigError(InputError):
    """The configuration is wrong."""


class LockError(InputError):
    """The lock is missing, stale, or does not match what is on disk."""


class DataError(InputError):
    """A file, a row or a table is not what it should be."""


class ModelError(StepdownError):
    """A tier could not answer.

    `free`: it is known that nothing was paid (it was refused before any work). `blames` says who
    is at fault: a `request` that cannot be answered says nothing about its tier. `retry_after_s`
    is the wait that was asked for, `retries` how often it was tried again.
    """

    kind = "provider_error"
    free = False
    blames: Literal["tier", "request"] = "tier"
    retry_after_s: float | None = None
    retries = 0

    def noting(
        self,
        *,
        free: bool | None = None,
        blames: Literal["tier", "request"] | None = None,
        retry_after_s: float | None = None,
        retries: int | None = None,
    ) -> Self:
        """Return this error with more known about it; None keeps what is there."""
        self.free = self.free if free is None else free
        self.blames = blames or self.blames
        self.retry_after_s = self.retry_after_s if retry_after_s is None else retry_after_s
        self.retries = self.retries if retries is None else retries
        return self


class Unavailable(ModelError):
    """The tier cannot answer this request at all."""

    kind = "unavailable"
    free = True
    blames = "request"


class Overloaded(ModelError):
    """The tier is full; it refused before it did any work."""

    kind = "overloaded"
    free = True


class Busy(Overloaded):
    """Our own queue before a model that runs in this process is full."""


class Down(ModelError):
    """The tier failed too often; it is not asked until it has had time to recover."""

    free = True


class TimedOut(ModelError):
    """The tier did not answer in time; `phase` says what was waited for."""

    kind = "deadline"
    phase: Literal["first_byte", "idle", "total"] = "total"


class WeightsError(StepdownError):
    """A model file could not be fetched, or does not match its digest."""
