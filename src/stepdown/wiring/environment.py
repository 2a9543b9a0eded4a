"""What comes from outside the project: folders of the user, keys, the date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from stepdown.errors import ConfigError


class Environment(Struct, frozen=True):
    """The process environment, read once and handed down. Secrets never leave `secret`."""

    variables: Mapping[str, str]
    now: datetime

    @classmethod
    def current(cls) -> Environment:
        """Return the environment of this process at this moment."""
        return cls(dict(os.environ), datetime.now(UTC))

    @property
    def today(self) -> date:
        """The date in UTC."""
        return self.now.date()

    @property
    def cache(self) -> Path:
        """Folder of downloaded weights: $STEPDOWN_HOME, $XDG_CACHE_HOME/stepdown or ~/.cache."""
        home = self.variables.get("STEPDOWN_HOME")
        if home:
            return Path(home).expanduser()
        base = self.variables.get("XDG_CACHE_HOME") or "~/.cache"
        return Path(base).expanduser() / "stepdown"

    @property
    def cores(self) -> int:
        """How many processors this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def secret(self, name: str, why: str) -> str:
        """Return a secret by the name of its variable.

        Raises:
            ConfigError: it is not set; names the variable and what needs it.
        """
        value = self.variables.get(name, "")
        if not value:
            raise ConfigError(f"{why} needs the environment variable {name}, which is not set.")
        return value
