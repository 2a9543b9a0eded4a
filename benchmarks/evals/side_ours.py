"""One side of the eval benchmark: Stepdown's harness. Prints one JSON object of figures.

    side_ours.py PORT ROWS.jsonl FOLDER CONCURRENCY [again]

`again` scores the kept answers with another version of the scorer; no model is called.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from pathlib import Path

from stepdown.adapters.models.wire.openai import OpenAIModel
from stepdown.adapters.tables.rows import read_rows
from stepdown.adapters.tables.run_files import RunFiles
from stepdown.core.request import Capabilities
from stepdown.core.task import Task
from stepdown.core.tier import Price, Tier
from stepdown.evals.asking import row_of
from stepdown.evals.dataset import iter_samples
from stepdown.evals.harness import Asked, Terms, run_tier
from stepdown.evals.record import Finished, KeptSamples, head_of, save
from stepdown.evals.roster import Enrolling
from stepdown.evals.scorers import scorer_of
from stepdown.evals.tally import Tally

TASK = Task(name="answer", kind="draft", tiers=("mock",), reference="answer")
PRICE = Price(input_usd_per_mtok=0.15, output_usd_per_mtok=0.6, basis="list", source="made up")


async def measured(port: int, rows: Path, folder: Path, at_once: int, again: bool) -> dict:
    start, cpu = time.perf_counter(), time.process_time()
    # The others ask for no log-probabilities, so this one does not either.
    able = Capabilities(schema=True, stream=True)
    base = f"http://127.0.0.1:{port}/v1"
    model = OpenAIModel("mock", base_url=base, api_key="none", capabilities=able)
    tier = Tier(name="mock", model="openai:mock", price=PRICE)
    scorer = scorer_of(TASK)
    asked = Asked(TASK, tier, model, dataclasses.replace(scorer, version=2) if again else scorer)
    store, enrolling = RunFiles(folder), Enrolling()
    found = iter_samples(TASK, read_rows(rows), source=rows.name)
    order = store.keep_samples(TASK.name, enrolling.through(found))
    samples, roster = KeptSamples(store, TASK.name, order), enrolling.roster()
    tally = Tally(roster.n, 1, store.scratch())

    def sink(i, repeat, each, call, reused) -> None:  # noqa: ANN001 - as the harness calls it
        tally.put(i, row_of(each, call, repeat=repeat, reused=reused))

    terms = Terms(concurrency=at_once, progress=lambda _: None)
    done = await run_tier(asked, samples, roster.n, roster.twins, store, sink, terms)
    finished = [Finished(asked, done, tally)]
    save(store, head_of(TASK, finished, roster=roster, order=order, seed=1), finished)
    tally.close()
    store.close()
    await model.aclose()
    return {
        "n": roster.n,
        "called": done.called,
        "failed": done.failed,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
    }


def main() -> None:
    port, rows, folder, at_once = sys.argv[1:5]
    import uvloop

    found = uvloop.run(
        measured(int(port), Path(rows), Path(folder), int(at_once), "again" in sys.argv[5:])
    )
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
