"""What is broken in a log is refused once, counted, with an example, and the rest stands."""

import contextlib
import gzip
import io
import json
import math
import subprocess
import sys
from collections import Counter
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.logs import known_pipeline as known

from stepdown.adapters.logs import Source, detect, read_logs, readers
from stepdown.adapters.logs.source import DAMAGE
from stepdown.core.call_columns import Batch
from stepdown.errors import ConfigError, DataError

LINES = b"".join(known.written("pairs", 400))


def read(*logs: Path | Source) -> tuple[int, list[str]]:
    batches = list(read_logs(list(logs)))
    return sum(map(len, batches)), [row.why for batch in batches for row in batch.refused]


def test_a_log_packed_with_zstd_of_many_frames_reads_like_a_plain_one(tmp_path: Path) -> None:
    half = LINES.index(b"\n", len(LINES) // 2) + 1
    frames = [zstandard.compress(part) for part in (LINES[:half], LINES[half:])]
    (tmp_path / "log.zst").write_bytes(b"".join(frames))
    assert read(tmp_path / "log.zst") == (400, [])


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_packed_log_that_ends_early_keeps_what_could_be_read(tmp_path: Path, pack: Any) -> None:
    many = LINES * 40  # beyond what is looked at to tell the format
    (tmp_path / "log").write_bytes(pack(many)[:-400])
    calls, refused = read(tmp_path / "log")
    assert 0 < calls < 16_000
    assert "ends early or is damaged" in refused[-1]


def test_half_a_line_at_the_end_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINES[:-50])
    calls, (why,) = read(tmp_path / "log")
    assert calls == 399
    assert why.startswith("not JSON")


def test_half_a_document_keeps_its_whole_values(tmp_path: Path) -> None:
    rows = [known.pair(call) for call in known.calls(50)]
    (tmp_path / "log").write_text(json.dumps(rows, indent=2)[:-600], encoding="utf-8")
    calls, (why,) = read(tmp_path / "log")
    assert calls == 49
    assert "middle of a JSON value" in why


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_log_with_a_byte_order_mark_reads_like_a_plain_one(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "log").write_bytes(LINES.decode().encode(encoding))
    assert read(tmp_path / "log") == (400, [])


def test_latin_1_is_refused_line_by_line_with_what_to_do(tmp_path: Path) -> None:
    told = [
        json.dumps({**known.pair(call), "tags": [tag]}, ensure_ascii=False)
        for call, tag in zip(known.calls(4), ("a", "é", "b", "ü"), strict=True)
    ]
    text = "\n".join(line.replace("café", "cafe") for line in told)
    (tmp_path / "log").write_bytes(text.encode("latin-1"))
    calls, refused = read(tmp_path / "log")
    assert calls == 2
    assert [("iconv" in why) for why in refused] == [True, True]


def test_negative_tokens_nan_and_strange_times_refuse_their_line_only(tmp_path: Path) -> None:
    rows = [known.flat(call) for call in known.calls(6)]
    rows[1]["input_tokens"] = -5
    rows[2]["latency_s"] = math.inf
    rows[3]["timestamp"] = "yesterday"
    rows[4]["latency_s"] = "NaN"
    (tmp_path / "log.csv").write_text(known.as_csv(rows), encoding="utf-8")
    calls, refused = read(tmp_path / "log.csv")
    assert calls == 3  # NaN is how columns of numbers write that there is nothing
    assert len(refused) == 3
    assert "input_tokens must not be negative" in refused[0]
    assert "not a time: 'yesterday'" in refused[2]


@pytest.mark.parametrize(
    "time",
    [
        1793527200,
        1793527200.0,
        1793527200_000,
        1793527200_000_000,
        1793527200_000_000_000,
        "1793527200",
        "2026-11-01T10:00:00",
        "2026-11-01 10:00:00.000000",
        "2026-11-01T10:00:00Z",
        "2026-11-01T12:00:00+02:00",
    ],
)
def test_times_in_any_unit_with_or_without_a_zone_are_the_same(tmp_path: Path, time: Any) -> None:
    told = {**known.pair(next(known.calls(1))), "timestamp": time}
    (tmp_path / "log").write_text(json.dumps(told) + "\n")
    (batch,) = read_logs([tmp_path / "log"])
    assert batch.numbers("at_s").tolist() == [1793527200.0]


@pytest.mark.parametrize("form", ["langfuse", "litellm payload", "otel"])
def test_a_clock_that_went_backwards_leaves_the_latency_unknown_and_is_said(
    tmp_path: Path, form: str
) -> None:
    call = next(known.calls(1))._replace(latency_s=-3.0)
    (tmp_path / "log").write_text(json.dumps(known.FORMATS[form](call)) + "\n")
    (batch,) = read_logs([tmp_path / "log"])
    assert math.isnan(batch.numbers("latency_s")[0])
    assert list(batch.notes.values()) == [1]


def test_standard_input_is_read_once_and_needs_no_file() -> None:
    for packed in (LINES, gzip.compress(LINES), zstandard.compress(LINES)):
        assert read(Source.stdin(io.BytesIO(packed))) == (400, [])
    log = Source.stdin(io.BytesIO(LINES))
    list(detect(log).read(log))
    with pytest.raises(DataError, match="only once"):
        log.open()


def test_a_batch_from_standard_input_is_joined_too() -> None:
    batch = list(known.calls(60, batch=True))
    rows = [known.batch_output(call) for call in batch] + [known.batch_input(c) for c in batch]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (found,) = read_logs([Source.stdin(io.BytesIO(text.encode()))])
    assert {call.step for call in found.calls()} == {"nightly"}


def test_a_long_value_inside_a_document_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    rows = [json.dumps(known.pair(call)) for call in known.calls(3)]
    long = json.dumps({"request": {"model": "m", "messages": []}, "x": 'a\\"' * (1 << 25)})
    (tmp_path / "log").write_text("[" + ",".join([rows[0], long, rows[1], rows[2]]) + "]")
    calls, refused = read(tmp_path / "log")
    assert (calls, refused) == (3, ["longer than 64 MiB"])


@pytest.mark.slow
def test_a_line_of_two_gigabytes_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(LINES)
    write = (
        "import sys; lines = open(sys.argv[1], 'rb').read(); out = sys.stdout.buffer; "
        'out.write(lines); out.write(b\'{"request": {"model": "\')\n'
        "for _ in range(2048): out.write(b'x' * (1 << 20))\n"
        "out.write(b'\"}}\\n'); out.write(lines)"
    )
    read_it = (
        "import sys; from stepdown.adapters.logs import Source, read_logs\n"
        "batches = list(read_logs([Source.stdin(sys.stdin.buffer)]))\n"
        # Not ru_maxrss: that of a child begins with what its parent held when it was made.
        "status = open('/proc/self/status').read()\n"
        "peak = int(status.partition('VmHWM:')[2].split()[0]) >> 10\n"
        "print(sum(map(len, batches)), sum(len(b.refused) for b in batches), peak)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", write, str(tmp_path / "lines")], stdout=subprocess.PIPE
    )
    found = subprocess.run(
        [sys.executable, "-c", read_it], stdin=writer.stdout, capture_output=True, check=True
    )
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.wait() == 0
    calls, refused, peak_mb = map(int, found.stdout.split())
    assert (calls, refused) == (800, 1)
    assert peak_mb < 500


class Diary:
    """A reader of somebody else's: lines that begin with `call:`."""

    name = "a diary"

    def __init__(self, step: str | None) -> None:
        self.step = step

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"call:")

    def read(self, log: Any, *, batch_rows: int = 4096) -> Any:
        with log.open() as stream:
            rows = stream.read().splitlines()
        yield Batch(rows=len(rows), columns={"id": [row.decode()[5:] for row in rows]})


def test_others_add_a_format_by_an_entry_point(tmp_path: Path) -> None:
    entry = EntryPoint("diary", f"{Diary.__module__}:Diary", "stepdown.log_readers")
    (tmp_path / "log").write_text("call:1\ncall:2\n")
    known_readers = readers(step="a", others=[entry])
    (batch,) = read_logs([tmp_path / "log"], known_readers)
    assert batch.texts("id") == ["1", "2"]
    assert len(known_readers) == len(readers(others=[])) + 1


def test_a_reader_that_cannot_be_loaded_is_named() -> None:
    entry = EntryPoint("bad", "no_such_module:Reader", "stepdown.log_readers")
    with pytest.raises(ConfigError, match="no_such_module"):
        readers(others=[entry])


def test_a_mapped_table_has_the_users_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("who;model;price\nintent;m;0.5\n")
    found = readers(columns={"step": "who", "cost": "price"}, others=[])
    (batch,) = read_logs([tmp_path / "log.csv"], found)
    assert (list(batch.words("step")), batch.numbers("cost_usd").tolist()) == (["intent"], [0.5])


def test_keys_that_nobody_knows_are_counted_over_the_rows_that_were_looked_at(
    tmp_path: Path,
) -> None:
    rows = [{**known.pair(call), "colour": "red"} for call in known.calls(130)]
    (tmp_path / "log").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (batch,) = read_logs([tmp_path / "log"])
    assert (Counter(batch.unknown_fields), batch.looked) == (Counter(colour=3), 3)


@pytest.mark.parametrize("how", ["gzip", "zstd", "utf-16"])
def test_a_log_is_closed_with_its_stream_whole_or_torn(tmp_path: Path, how: str) -> None:
    text = "a line\n" * 50_000
    pack = {
        "gzip": lambda: gzip.compress(text.encode()),
        "zstd": lambda: zstandard.compress(text.encode()),
        "utf-16": lambda: text.encode("utf-16"),
    }[how]()
    held = []
    before = len(list(Path("/dev/fd").iterdir()))
    for name, end in (("whole", len(pack)), ("torn", len(pack) // 2), ("stump", 12)):
        (tmp_path / name).write_bytes(pack[:end])
        source = Source(name, tmp_path / name)
        held.append(source)
        with contextlib.suppress(DataError, *DAMAGE), source.open() as stream:
            while stream.read(1 << 16):
                pass
    assert len(list(Path("/dev/fd").iterdir())) == before
