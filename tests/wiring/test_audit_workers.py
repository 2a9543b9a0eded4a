"""Several processes that read shares of a log make the report that one makes."""

import gzip
import json
from datetime import date
from pathlib import Path

import msgspec
import pytest
from tests.logs import known_pipeline as known

from stepdown.adapters.logs import readers
from stepdown.adapters.logs.detect import read_logs
from stepdown.adapters.logs.shares import shares_of, work_of
from stepdown.audit.step_rules import Named, StepRule, StepRules
from stepdown.errors import DataError
from stepdown.wiring import auditing
from stepdown.wiring.audit_workers import Work, audited

TODAY = date(2026, 11, 22)


def lines(n: int, *, named: bool = True) -> bytes:
    rows = [known.pair(call) for call in known.calls(n)]
    for row in [] if named else rows:
        row["metadata"].pop("step")
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def logs(folder: Path) -> list[Path]:
    """Write a log with all that is hard: broken lines, unnamed calls, packed, batch, foreign."""
    torn = lines(900).splitlines(keepends=True)
    torn[100], torn[700] = b"{half a line\n", b"\n"
    batch = list(known.calls(400, batch=True))
    files = {
        "a.jsonl": b"".join(torn),
        "b.jsonl": lines(700, named=False),
        "c.jsonl.gz": gzip.compress(lines(300)),
        "d.jsonl": "".join(json.dumps(known.batch_output(c)) + "\n" for c in batch).encode(),
        "e.jsonl": "".join(json.dumps(known.batch_input(c)) + "\n" for c in batch).encode(),
        "f.jsonl": b"not a log",
        "g.jsonl": b"".join(known.written("litellm payload", 200)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def test_two_workers_report_what_one_reports(tmp_path: Path) -> None:
    files = logs(tmp_path)
    rules = StepRules(steps=(StepRule(name="label", was=("intent",)),))
    named, alone = Named(rules), Named(rules)
    wanted = auditing.run(files, today=TODAY, named=alone)
    shares = shares_of(files, readers(), 100_000)
    work = Work(today=TODAY, rules=rules)
    shown: list[float | None] = []
    got = audited(work, shares, 2, named, lambda _name, _rows, share: shown.append(share))
    assert len(shares) > len(files)
    assert msgspec.json.encode(got) == msgspec.json.encode(wanted)
    assert named.counts == alone.counts
    assert wanted.read.unnamed == 0
    assert {name for name, _ in wanted.read.named_by} >= {"metadata step", "cluster", "steps.toml"}
    assert shown[-1] == pytest.approx(1.0)


def test_workers_that_can_read_nothing_say_what_one_says(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("not a log")
    files = [tmp_path / "a.jsonl"]
    with pytest.raises(DataError) as alone:
        auditing.run(files, today=TODAY)
    with pytest.raises(DataError) as together:
        audited(Work(today=TODAY), shares_of(files, readers(), 1), 1, None, None)
    assert together.value.message == alone.value.message


@pytest.mark.parametrize("form", ["pairs", "otel", "table", "langfuse"])
def test_the_lines_of_a_log_in_shares_are_the_lines_of_the_log(tmp_path: Path, form: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(known.written(form, 500)).rstrip(b"\n"))
    shares = shares_of([path], readers(), 50_000)
    apart = [
        (call.id, call.source, call.usage)
        for share in shares
        for batch in read_logs(share.sources())
        for call in batch.calls()
    ]
    together = [(c.id, c.source, c.usage) for b in read_logs([path]) for c in b.calls()]
    assert len(shares) > 2
    assert apart == together
    assert sum(share.work for share in shares) == work_of(path)


@pytest.mark.parametrize("packed", ["gzip", "utf-16", "document", "csv"])
def test_what_is_no_plain_lines_is_one_share(tmp_path: Path, packed: str) -> None:
    text = lines(300)
    rows = [known.flat(call) for call in known.calls(300)]
    content = {
        "gzip": lambda: gzip.compress(text),
        "utf-16": lambda: text.decode().encode("utf-16"),
        "document": lambda: json.dumps([json.loads(row) for row in text.splitlines()]).encode(),
        "csv": lambda: known.as_csv(rows).encode(),
    }[packed]()
    (tmp_path / "log").write_bytes(content)
    (share,) = shares_of([tmp_path / "log"], readers(), 10)
    assert share.end is None
