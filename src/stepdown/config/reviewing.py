"""Checks of `[review]`: where an alarm may be sent, and what may be run."""

from __future__ import annotations

from urllib.parse import urlsplit

from stepdown.config.schema import ReviewKeys
from stepdown.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_review(keys: ReviewKeys) -> None:
    """Refuse a webhook that is no address or sends in the clear, and an empty command.

    Raises:
        ConfigError: names the key.
    """
    if keys.command and not keys.command[0].strip():
        raise ConfigError(
            "review.command: its first word, the program, is empty.",
            'Write a list such as ["/usr/local/bin/tell", "--urgent"]; no shell reads it.',
        )
    if keys.webhook is not None:
        _check_webhook(keys.webhook, plain=keys.webhook_plain_http)


def _check_webhook(url: str, *, plain: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"review.webhook: {url!r:.80} is no http or https address.")
    if parts.username or parts.password:
        raise ConfigError(
            "review.webhook: an address with a user or a password in it would be kept in logs.",
            "Send to a relay of your own, or use review.command.",
        )
    if parts.scheme == "http" and host not in LOOPBACK and not plain:
        raise ConfigError(
            f"review.webhook: {host} would get the alarm unencrypted.",
            "Use https, a loopback address, or say webhook_plain_http = true.",
        )
