"""One side of the eval benchmark: inspect_ai, in an environment of its own.

side_inspect.py PORT ROWS.jsonl LOGS CONCURRENCY
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

from inspect_ai import Task
from inspect_ai import eval as run
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import exact
from inspect_ai.solver import generate


def main() -> None:
    port, rows, logs, at_once = sys.argv[1:5]
    os.environ["OPENAI_API_KEY"] = "none"
    start, cpu = time.perf_counter(), time.process_time()
    fields = FieldSpec(input="text", target="answer", id="id")
    task = Task(dataset=json_dataset(rows, fields), solver=generate(), scorer=exact())
    (log,) = run(
        task,
        model="openai/gpt-4o-mini",
        model_base_url=f"http://127.0.0.1:{port}/v1",
        model_args={"responses_api": False},
        max_connections=int(at_once),
        max_samples=int(at_once),
        display="none",
        log_dir=logs,
        log_samples=True,
    )
    found = {
        "n": log.results.completed_samples if log.results else 0,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
