"""Every error that Stepdown raises on purpose.

StepdownError                     base: a sentence for a person, and what to do next
├── InputError                    the user must fix something (exit 2)
│   ├── ConfigError               stepdown.toml is wrong: key, value, what is allowed
│   ├── LockError                 stepdown.lock is missing, stale, or does not match the files
│   └── DataError                 a row, a file or a table is not what it should be (file, line)
├── ModelError                    a tier could not answer
│   ├── Unavailable               it cannot answer this (no recording, cannot polish, no key)
│   ├── Overloaded                it is full: try again later
│   └── TimedOut                  it did not answer in time
└── WeightsError                  a model file could not be fetched or does not match its digest
"""


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
    """A tier could not answer."""

    kind = "provider_error"


class Unavailable(ModelError):
    """The tier cannot answer this request at all."""

    kind = "unavailable"


class Overloaded(ModelError):
    """The tier is full."""

    kind = "overloaded"


class TimedOut(ModelError):
    """The tier did not answer in time."""

    kind = "deadline"


class WeightsError(StepdownError):
    """A model file could not be fetched, or does not match its digest."""
