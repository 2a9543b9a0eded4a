"""Run a whole eval whose model takes a moment and counts its calls in a file; tests end it.

slow_eval.py FOLDER PAUSE_S [largest file in bytes]
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from eval_fakes import LABEL_TASK, PER_TOKEN, SMALL, USAGE, FakeModel, samples
from msgspec.structs import replace

from stepdown.adapters.tables.run_files import RunFiles
from stepdown.core.digest import digest
from stepdown.core.request import Completion, Request
from stepdown.errors import DataError
from stepdown.evals.asking import row_of
from stepdown.evals.harness import Asked, Terms, run_tier
from stepdown.evals.record import Finished, cases, head_of, save
from stepdown.evals.roster import Enrolling
from stepdown.evals.scorers import scorer_of
from stepdown.evals.tally import Tally

N, AT_ONCE = 60, 4


class Slow(FakeModel):
    """Notes each call in a file, then takes a moment."""

    def __init__(self, asked: int, pause_s: float) -> None:
        super().__init__(lambda _: "refund")
        self._file, self._pause_s = asked, pause_s

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        os.write(self._file, f"{request.id}\n".encode())
        await asyncio.sleep(self._pause_s)
        return Completion(text="refund", usage=USAGE)


async def main(folder: Path, pause_s: float) -> str:
    asked_file = os.open(folder / "asked.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store, enrolling = RunFiles(folder / "runs"), Enrolling()
    order = store.keep_samples(LABEL_TASK.name, enrolling.through(samples(N)))
    roster = enrolling.roster()
    tier = replace(SMALL, price=PER_TOKEN)
    asked = Asked(LABEL_TASK, tier, Slow(asked_file, pause_s), scorer_of(LABEL_TASK))
    tally = Tally(N, 1, store.scratch())

    def sink(i: int, repeat: int, each: Any, call: Any, reused: bool) -> None:
        tally.put(i, row_of(each, call, repeat=repeat, reused=reused))

    terms = Terms(concurrency=AT_ONCE)
    done = await run_tier(asked, samples(N), N, roster.twins, store, sink, terms)
    finished = [Finished(asked, done, tally)]
    head = head_of(LABEL_TASK, finished, roster=roster, order=order, seed=1)
    save(store, head, finished)
    answers = digest([(c.sample.id, c.answer, c.row.score) for c in cases(store, head, "small")])
    return f"{tally.n} {done.called} {done.reused} {head.digest} {answers}\n"


if __name__ == "__main__":
    if len(sys.argv) > 3:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    try:
        sys.stdout.write(asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]))))
    except DataError as error:
        sys.exit(str(error))
