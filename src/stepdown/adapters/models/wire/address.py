"""Where a hosted model is, and the key it wants. The key never shows in a text."""

from __future__ import annotations

from urllib.parse import urlsplit

from stepdown.errors import ConfigError

SHORTEST_SECRET = 6  # a shorter key is no secret, and removing it would garble every text


class Key:
    """An API key that prints as `[key]`; an empty one means that the server wants none."""

    def __init__(self, value: str, variable: str) -> None:
        """Keep the key and the name of the environment variable, or `the file PATH`, that holds it.

        Raises:
            ConfigError: it has characters that no HTTP header may carry.
        """
        if any(not 32 < ord(char) < 127 for char in value):
            raise ConfigError(
                f"The key in {variable} has a space, a line break or a character outside ASCII.",
                f"Set {variable} again, without quotes or white space around it.",
            )
        self._value = value
        self.variable = variable

    def __bool__(self) -> bool:
        """Tell whether there is a key."""
        return bool(self._value)

    def __repr__(self) -> str:
        """Return a text without the key."""
        return "[key]"

    @property
    def origin(self) -> str:
        """Where the key is from, for a sentence."""
        is_variable = " " not in self.variable
        return f"the environment variable {self.variable}" if is_variable else self.variable

    def reveal(self) -> str:
        """Return the key, for the one header that carries it."""
        return self._value

    def scrub(self, text: str) -> str:
        """Return a text of others with the key taken out."""
        if len(self._value) < SHORTEST_SECRET:
            return text
        return text.replace(self._value, "[key]")


def checked_base(base_url: str) -> str:
    """Return the base address without a slash at its end.

    Raises:
        ConfigError: not http or https, no host, or something that belongs elsewhere.
    """
    base = base_url.strip().rstrip("/")
    parts = urlsplit(base)
    if parts.username or parts.password:
        raise ConfigError(
            "The base address of a hosted tier holds a user name or a password.",
            "Take it out, and name the key's environment variable in `api_key_env`.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(
            f"{base_url!r} is not the base address of a hosted tier.",
            "Write it like https://api.openai.com/v1, without a query.",
        )
    return base


def host_of(base: str) -> str:
    """Return the host and port of an address, for messages."""
    return urlsplit(base).netloc
