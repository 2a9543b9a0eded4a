"""Run an eval whose model takes a moment and counts its calls in a file; the kill test ends it."""

import asyncio
import os
import sys
import time
from pathlib import Path

from eval_fakes import LABEL_TASK, PER_TOKEN, SMALL, USAGE, FakeModel, samples

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.core.digest import digest
from stepdown.core.request import Completion, Request
from stepdown.evals.harness import Terms, run

N = 60


def main(folder: Path, pause_s: float) -> None:
    asked = os.open(folder / "asked.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def answer(request: Request) -> Completion:
        os.write(asked, f"{request.id}\n".encode())
        time.sleep(pause_s)
        return Completion(text="refund", usage=USAGE)

    store = RunFiles(folder / "runs")
    done = asyncio.run(
        run(
            LABEL_TASK,
            samples(N),
            SMALL,
            FakeModel(answer),
            PER_TOKEN,
            store,
            terms=Terms(concurrency=4),
        )
    )
    answers = digest([outcome.answer for outcome in done.outcomes])
    sys.stdout.write(f"{len(done.outcomes)} {done.called} {done.reused} {answers}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
