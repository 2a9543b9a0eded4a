"""What the gateway costs a request, beside nginx, LiteLLM and Portkey in the same run.

Ours runs as a user runs it, `stepdown serve`: policy, price and ledger on, usage parsed. The mock
upstream, the gateway and the load generator share this machine, so trust the ratios and not the
microseconds. Goals (`goal` lines): added latency at c=1, p50 at most 4 times what nginx adds, p99
at most 4 times nginx's; at c=32 an eighth of nginx's requests a second and 60 times LiteLLM's; a
cascade of two tiers adds at most twice what a single call adds; streams of 50 chunks at a tenth of
nginx's rate, the p99 of the gaps of 16 paced streams within 10% of direct; under 80 MB of memory
that stay flat over 200,000 requests; ready in a second. What our process starts (the filler of the
ledger) counts as ours. Some seven minutes on an idle machine, the installation of the peers not
counted; `--quick` two and a half, with 20,000 requests for the memory.

    python benchmarks/bench_gateway.py [--requests 200000] [--quick] [--json]
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from upstream.built import PLACE, SilentError, load, mock
from upstream.peers import Missing, Peer, litellm, nginx, portkey, stepdown
from upstream.processes import cpu_s, memory_mb
from upstream.project import request, write_project

ROUNDS = 3  # of each figure; the least is taken, for other work on the machine only ever adds
QUICK = "--quick" in sys.argv
SECONDS = 1.0 if QUICK else 3.0
Row = dict[str, Any]
goals: list[tuple[bool, str]] = []


def bodies() -> dict[str, Path]:
    """Write the requests; return name -> file."""
    PLACE.mkdir(parents=True, exist_ok=True)
    wanted = {
        "mock": request("mock"),
        "one": request("one"),
        "two": request("two"),
        "mock stream": request("mock", stream=True),
        "one stream": request("one", stream=True),
        "mock-paced stream": request("mock-paced", stream=True),
        "big": request("mock-wait2000"),
    }
    found = {}
    for name, body in wanted.items():
        found[name] = PLACE / f"request-{name.replace(' ', '-')}.json"
        found[name].write_bytes(body)
    return found


def least(figures: list[Row], *path: str) -> float:
    return min(_at(found, path) for found in figures)


def _at(found: Row, path: tuple[str, ...]) -> float:
    for name in path:
        found = found[name]
    return float(found)  # type: ignore[arg-type]


def measured(peer: Peer, body: Path, *, many: int = 32) -> Row:
    """Return latency alone, rate and CPU with many connections, and memory."""
    load(peer.port, body, many, requests=2 * many, headers=peer.headers)
    alone = [load(peer.port, body, 1, seconds=SECONDS, headers=peer.headers) for _ in range(ROUNDS)]
    rates, spent = [], []
    for _ in range(ROUNDS):
        before = cpu_s(peer.pid) if peer.pid else 0.0
        found = load(peer.port, body, many, seconds=SECONDS, headers=peer.headers)
        rates.append(found)
        spent.append(
            (cpu_s(peer.pid) - before if peer.pid else 0.0) / max(1, found["requests"]) * 1e6
        )
    return {
        "p50": least(alone, "latency_us", "p50"),
        "p99": least(alone, "latency_us", "p99"),
        "rps": max(found["rps"] for found in rates),
        "cpu_us": min(spent) if peer.pid else None,
        "mb": memory_mb(peer.pid) if peer.pid else None,
        "n": sum(found["requests"] for found in alone + rates),
    }


def line(name: str, row: Row, direct: Row | None) -> None:
    added = "" if direct is None else f"{row['p50'] - direct['p50']:.0f}"
    cpu = "" if row["cpu_us"] is None else f"{row['cpu_us']:.0f}"
    memory = "" if row["mb"] is None else f"{row['mb']:.0f}"
    print(
        f"{name:<26}{row['p50']:>8.0f}{row['p99']:>8.0f}{added:>9}{row['rps']:>10.0f}"
        f"{cpu:>8}{memory:>6}{row['n']:>9}",
        flush=True,
    )


def goal(said: str, value: float, limit: float, *, at_most: bool = True) -> None:
    """Say whether a goal is met, here and once more at the end."""
    holds = value <= limit if at_most else value >= limit
    word = "at most" if at_most else "at least"
    told = f"{'met   ' if holds else 'MISSED'}  {said}: {value:.2f}, {word} {limit:g}"
    goals.append((holds, told))
    print(f"  goal {told}")


def unmeasured(said: str) -> None:
    """Say that a goal was not looked at, because a peer is missing."""
    goals.append((False, f"NOT MEASURED  {said}"))


def verdict() -> None:
    """Print every goal again, what is missed last."""
    met = sum(holds for holds, _ in goals)
    print(f"\ngoals: {met} of {len(goals)} met")
    for _, told in sorted(goals, key=lambda one: not one[0]):
        print(f"  {told}")


def calls(port: int, found: dict[str, Path], folder: Path) -> dict[str, Row]:
    """Measure whole answers of everybody."""
    print(f"\nwhole answers of 1 KB, c=1 and c=32, one worker ({ROUNDS} rounds, the best of each)")
    print(
        f"{'':<26}{'p50 us':>8}{'p99 us':>8}{'added us':>9}{'rps':>10}"
        f"{'CPU us':>8}{'MB':>6}{'n':>9}"
    )
    rows = {"direct": measured(Peer(port, 0), found["mock"])}
    line("mock, direct", rows["direct"], None)
    others: dict[str, Callable[[int], AbstractContextManager[Peer]]] = {
        "nginx": nginx,
        "LiteLLM": litellm,
        "Portkey": portkey,
    }
    for name, run in others.items():
        try:
            with run(port) as peer:
                rows[name] = measured(peer, found["mock"])
                line(name, rows[name], rows["direct"])
        except (Missing, SilentError) as missing:
            print(f"{name:<26}left out: {missing}")
    with stepdown(folder) as peer:
        for name, said in (("one", "ours, one tier"), ("two", "ours, cascade, 20% go on")):
            rows[name] = measured(peer, found[name])
            line(said, rows[name], rows["direct"])
    return rows


def call_goals(rows: dict[str, Row]) -> None:
    direct, ours, two = rows["direct"], rows["one"], rows["two"]
    added = ours["p50"] - direct["p50"]
    if "nginx" in rows:
        peer = rows["nginx"]
        goal("added p50 over nginx's", added / (peer["p50"] - direct["p50"]), 4)
        goal("p99 over nginx's", ours["p99"] / peer["p99"], 4)
        goal("rps over nginx's", ours["rps"] / peer["rps"], 1 / 8, at_most=False)
    else:
        unmeasured("latency and rate beside nginx's")
    if "LiteLLM" in rows:
        goal("rps over LiteLLM's", ours["rps"] / rows["LiteLLM"]["rps"], 60, at_most=False)
    else:
        unmeasured("rate beside LiteLLM's")
    goal("added p50 of the cascade over one tier's", (two["p50"] - direct["p50"]) / added, 2)
    goal("MB of memory", ours["mb"], 80)


def streams(port: int, found: dict[str, Path], folder: Path, paced: Path) -> None:
    """Measure streams of 50 chunks: in one burst, and paced by 10 ms."""
    print("\nstreams of 50 chunks: 16 at a time in a burst; 16 with 10 ms between the chunks")
    print(f"{'':<26}{'streams/s':>10}{'gap p50':>9}{'p99 us':>8}{'first us':>9}{'n':>9}")
    rows = {"direct": _streamed(Peer(port, 0), found["mock stream"], found["mock-paced stream"])}
    _stream_line("mock, direct", rows["direct"])
    try:
        with nginx(port) as peer:
            rows["nginx"] = _streamed(peer, found["mock stream"], found["mock-paced stream"])
            _stream_line("nginx", rows["nginx"])
    except Missing as missing:
        print(f"nginx left out: {missing}")
    with stepdown(folder) as peer, stepdown(paced) as slow:
        rows["ours"] = _streamed(peer, found["one stream"], found["one stream"], slow)
        _stream_line("ours, one tier", rows["ours"])
    if "nginx" in rows:
        goal(
            "streams/s over nginx's", rows["ours"]["rps"] / rows["nginx"]["rps"], 0.1, at_most=False
        )
    else:
        unmeasured("streams/s beside nginx's")
    goal("gap p99 over direct", rows["ours"]["gap_p99"] / rows["direct"]["gap_p99"], 1.1)


def _streamed(peer: Peer, burst: Path, paced: Path, slow: Peer | None = None) -> Row:
    load(peer.port, burst, 16, requests=64)
    fast = [load(peer.port, burst, 16, seconds=SECONDS) for _ in range(ROUNDS)]
    calm = [load((slow or peer).port, paced, 16, seconds=2 + SECONDS) for _ in range(ROUNDS)]
    return {
        "rps": max(found["rps"] for found in fast),
        "gap_p50": least(calm, "gap_us", "p50"),
        "gap_p99": least(calm, "gap_us", "p99"),
        "first": least(calm, "first_byte_us", "p50"),
        "n": sum(found["requests"] for found in fast + calm),
    }


def _stream_line(name: str, row: Row) -> None:
    print(
        f"{name:<26}{row['rps']:>10.0f}{row['gap_p50']:>9.0f}{row['gap_p99']:>8.0f}"
        f"{row['first']:>9.0f}{row['n']:>9}",
        flush=True,
    )


def thinking(port: int, found: dict[str, Path]) -> None:
    """Compare a cascade with the big model where models take their time."""
    print("\nwith thinking time: small tier 100 ms, big tier 2 s, 20% of the requests go on to it")
    print(f"{'':<26}{'p50 ms':>8}{'p95 ms':>8}{'first byte p50':>16}{'p95 ms':>8}{'n':>7}")
    folder = PLACE / "thinking"
    shutil.rmtree(folder, ignore_errors=True)
    write_project(folder, port, small="wait100-words20-unsure20", big="wait2000")
    taken_s = 10.0 if QUICK else 40.0  # a count would end with the quick ones
    with stepdown(folder) as peer:
        rows = {
            "big model, direct": load(port, found["big"], 16, seconds=10.0),
            "ours, cascade": load(peer.port, found["two"], 16, seconds=taken_s),
        }
    for name, row in rows.items():
        whole, first = row["latency_us"], row["first_byte_us"]
        print(
            f"{name:<26}{whole['p50'] / 1e3:>8.0f}{whole['p95'] / 1e3:>8.0f}"
            f"{first['p50'] / 1e3:>16.0f}{first['p95'] / 1e3:>8.0f}{row['requests']:>7}"
        )


def steady(folder: Path, found: dict[str, Path], requests: int) -> None:
    """Show the memory of one worker and its filler as they answer many requests."""
    print(f"\nmemory over {requests:,} requests, c=32, cascade and ledger on, filler counted")
    marks: list[float] = []
    began = time.perf_counter()
    with stepdown(folder) as peer:
        load(peer.port, found["two"], 32, requests=5000)
        for _ in range(10):
            marks.append(memory_mb(peer.pid))
            load(peer.port, found["two"], 32, requests=requests // 10)
        marks.append(memory_mb(peer.pid))
    print("  MB: " + " ".join(f"{mark:.0f}" for mark in marks))
    print(f"  {(requests + 5000) / (time.perf_counter() - began):,.0f} requests/s over all of it")
    goal("MB grown after the first fifth", marks[-1] - marks[2], 3)
    goal("MB at the end", marks[-1], 80)


def start(folder: Path) -> None:
    """Time from typing to the first answer on the port."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        with stepdown(folder):
            taken.append(time.perf_counter() - began)
    print(f"\nready after {statistics.median(taken):.2f} s, the least {min(taken):.2f} s, n=5")
    goal("seconds to be ready", min(taken), 1)


def main() -> None:
    requests = int(sys.argv[sys.argv.index("--requests") + 1]) if "--requests" in sys.argv else 0
    began = time.perf_counter()
    found, folder, paced = bodies(), PLACE / "project", PLACE / "paced"
    with mock() as port:
        for place, big in ((folder, "mock"), (paced, "mock-paced")):
            shutil.rmtree(place, ignore_errors=True)
            write_project(place, port, big=big)
        start(folder)
        rows = calls(port, found, folder)
        call_goals(rows)
        streams(port, found, folder, paced)
        thinking(port, found)
        steady(folder, found, requests or (20_000 if QUICK else 200_000))
    verdict()
    print(f"\n{(time.perf_counter() - began) / 60:.1f} minutes in all")
    if "--json" in sys.argv:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
