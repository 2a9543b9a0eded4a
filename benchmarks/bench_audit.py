"""Print rows a second and peak memory of the audit on a synthetic log: bench_audit.py [rows].

The log is written to a temporary folder, read as OpenAI pairs, priced from the list.
"""

import json
import random
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from stepdown.adapters.logs import detect
from stepdown.adapters.prices import estimate_tokens
from stepdown.adapters.prices.book import Book
from stepdown.audit import audit

STEPS = ("intent", "urgency", "extract", "draft")


def row(number: int, rng: random.Random, *, counted: bool) -> str:
    text = " ".join(rng.choice(("order", "late", "lamp", "money", "please")) for _ in range(30))
    answer = f'{{"intent": "label_{number % 30}"}}' if number % 4 < 2 else f"{text} {number}"
    usage = {"usage": {"prompt_tokens": 200, "completion_tokens": 20}} if counted else {}
    said = [{"role": "system", "content": "Read it."}, {"role": "user", "content": text}]
    pair = {
        "timestamp": 1793527200 + number,
        "provider": "openai",
        "metadata": {"step": STEPS[number % 4], "message_id": f"m{number // 4}"},
        "latency_s": rng.expovariate(1),
        "request": {"model": "gpt-4.1", "messages": said},
        "response": {"id": f"c{number}", "choices": [{"message": {"content": answer}}], **usage},
    }
    return json.dumps(pair)


def measure(rows: int, *, counted: bool) -> None:
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with path.open("w") as file:
            file.writelines(row(i, rng, counted=counted) + "\n" for i in range(rows))
        size = path.stat().st_size / 1e6
        start = time.perf_counter()
        reader = detect(path)
        report = audit(reader.read(path), Book(date(2026, 11, 22)), estimate=estimate_tokens)
        spent = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tokens = "counted" if counted else "estimated"
    print(
        f"{report.calls:>9,} rows, {size:6.0f} MB, tokens {tokens:9}: {spent:6.2f} s, "
        f"{report.calls / spent:>8,.0f} rows/s, {size / spent:5.0f} MB/s, peak {memory:4.0f} MB"
    )


if __name__ == "__main__":
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    for amount in (most // 10, most):
        measure(amount, counted=True)
    measure(most, counted=False)
