"""Tell the user of an alarm: POST it to a webhook, run a command with it on its standard input.

No text of a request and no secret is in it. What could not be told is said, and stops nothing.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec

from stepdown.config.schema import ReviewKeys
from stepdown.core.withdrawal import Withdrawal

TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
Open = Callable[..., Any]


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to another host or out of https, so none is followed."""

    def redirect_request(self, *_: Any) -> None:
        return None


def notice(project: str, made: Withdrawal) -> bytes:
    """Return the alarm as JSON."""
    return msgspec.json.encode(
        {
            "event": "stepdown.alarm",
            "project": project,
            "task": made.task,
            "at": made.at,
            "kind": made.kind,
            "reason": made.reason,
            "acts": made.acts,
            "threshold": made.threshold,
            "lock": made.lock_digest,
            "requests": made.examples,
        }
    )


def tells(keys: ReviewKeys) -> bool:
    """Say whether anybody is named in `[review]`."""
    return keys.webhook is not None or bool(keys.command)


def tell(keys: ReviewKeys, project: str, made: Withdrawal) -> tuple[str, ...]:
    """Tell whoever is named in `[review]`; return what came of each."""
    body, told = notice(project, made), []
    if keys.webhook is not None:
        told.append(f"webhook: {_post(keys.webhook, body)}")
    if keys.command:
        told.append(f"command: {_run(keys.command, body)}")
    return tuple(told)


def _post(url: str, body: bytes) -> str:
    headers = {"content-type": "application/json", "user-agent": "stepdown-review"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 checked scheme
    opener = urllib.request.build_opener(_Stay)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return f"status {answer.status}"
    except urllib.error.HTTPError as error:
        return f"failed, status {error.code}"
    except (OSError, ValueError) as error:
        return f"failed, {getattr(error, 'reason', None) or type(error).__name__}"


def _run(command: list[str], body: bytes) -> str:
    try:
        done = subprocess.run(  # the user's own words, and no shell
            command, input=body, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"failed, took more than {COMMAND_TIMEOUT_S:g} s"
    except OSError as error:
        return f"failed, {error.strerror}"
    return "done" if done.returncode == 0 else f"failed, exit code {done.returncode}"
