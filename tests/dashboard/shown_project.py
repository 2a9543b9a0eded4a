"""The tiny project with a pool, certified, and a ledger that nobody's requests made."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tiny_project import stepdown, write_pool

from ledger_rows import write_ledger
from stepdown.adapters.storage.ledger import SpoolLedger
from stepdown.core.trace import Attempt, Trace

TRACES = 1200
HOSTILE = '</p><script>window.stolen = 1</script><img src=x onerror="window.stolen = 2">'
KEY = "a key for tests"


@cache
def shown_once(folder: Path) -> Path:
    """Write the project into a folder, once a session."""
    write_pool(folder)
    assert stepdown("train", "-p", folder).exit_code == 0
    stepdown("certify", "-p", folder)
    ledger = folder / ".stepdown" / "ledger"
    write_ledger(ledger, TRACES, datetime.now(UTC), ("topic",))
    with SpoolLedger(ledger, fill_every_s=None) as kept:
        kept.append(hostile())
    return folder


def hostile() -> Trace:
    """Return a trace that is all markup, wherever a caller or a tier has a word."""
    attempt = Attempt(
        id="h/1", trace_id="hostile", number=1, tier="expert", started_at="2026-11-22",
        decision="accept expert", reason=HOSTILE, failure_detail=HOSTILE, answer=HOSTILE,
    )  # fmt: skip
    return Trace(
        id="hostile", task="topic", at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        attempts=(attempt,), answered_by="expert", reason=HOSTILE, latency_s=0.001,
        outside_guarantee=HOSTILE, step=HOSTILE, input=HOSTILE, answer=HOSTILE,
    )  # fmt: skip
