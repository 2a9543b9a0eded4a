"""Small logs of every format, written by us from its document, give exactly the table beside them.

Each folder of `fixtures` holds a log, the table that must come out (`expected.json`, written by
hand from the same story, not by a reader) and a README that names the document and its date.
"""

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.logs import detect, read_logs, readers
from stepdown.adapters.prices.book import Book
from stepdown.adapters.storage.database import create
from stepdown.audit import audit
from stepdown.core.call_columns import Batch
from stepdown.core.usage_log import LoggedCall

FOLDERS = sorted(Path(__file__).with_name("fixtures").iterdir())
NOT_LOGS = ("README.md", "expected.json")
USAGE = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
PLAIN = (
    "id",
    "provider",
    "model",
    "step",
    "step_rule",
    "session",
    "cost_usd",
    "processing",
    "status",
    "error",
    "finish",
    "max_tokens",
    "tools",
    "answer",
)


def logs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name not in NOT_LOGS)


def built(script: Path, place: Path) -> Path:
    """Return a database made of a script; the ledger's stands on the DDL that storage writes."""
    path = place / script.with_suffix(".db").name
    if script.parent.name == "ledger":
        create(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script.read_text(encoding="utf-8"))
    return path


def read(folder: Path, place: Path) -> list[Batch]:
    found = [built(path, place) if path.suffix == ".sql" else path for path in logs(folder)]
    batches = list(read_logs(found))
    assert [row for batch in batches for row in batch.refused] == []
    return batches


def told(call: LoggedCall) -> dict[str, Any]:
    said = call.messages
    return {
        **{name: getattr(call, name) for name in PLAIN},
        **{name: getattr(call.usage, name) for name in USAGE},
        "at": None if call.at is None else call.at.replace("Z", ""),
        "latency_s": None if call.latency_s is None else round(call.latency_s, 3),
        "messages": None if said is None else [[m.role, m.text] for m in said],
    }


def wanted(folder: Path) -> Any:
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_fixture_gives_its_calls_field_by_field(folder: Path, tmp_path: Path) -> None:
    got = [told(call) for batch in read(folder, tmp_path) for call in batch.calls()]
    want = wanted(folder)["calls"]
    for row in want:
        moment = row["at"]
        row["at"] = None if moment is None else moment.removesuffix("Z").removesuffix(".000")
    for row in got:
        row["at"] = row["at"] and row["at"].removesuffix("000")
    assert got == want


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_fixture_gives_its_bill_and_says_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    want = wanted(folder)
    report = audit(read(folder, tmp_path), Book(date(2026, 11, 22)))
    bill = {step.name: step.cost.usd for step in report.steps}
    assert bill == pytest.approx(want["bill_usd"], abs=1e-12)
    assert report.cost.unknown == want["unknown_cost_calls"]
    assert dict(report.read.notes) == want["notes"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_fixture_names_its_document_its_date_and_what_is_not_verified(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert all(part in text for part in ("Written by us from: ", "Date: ", "Not verified: "))


def test_every_format_that_is_known_has_a_fixture(tmp_path: Path) -> None:
    paths = [path for folder in FOLDERS for path in logs(folder)]
    logged = [built(path, tmp_path) if path.suffix == ".sql" else path for path in paths]
    found = {detect(path).name for path in logged}
    assert {reader.name for reader in readers()} - found == set()
