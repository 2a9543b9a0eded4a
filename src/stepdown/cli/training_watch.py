"""Progress of a training on stderr: the stage, how far it is, the time left; then the eval's own.

Bars in a terminal, plain lines anywhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepdown.cli.watching import Watching, in_words

if TYPE_CHECKING:
    from rich.console import Console

    from stepdown.evals.harness import Progress

LINE_EVERY_S = 10.0


class TrainingWatch:
    """Takes the steps of a recipe and the progress of the eval that follows."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._eval = Watching(console, clock)
        self._name, self._stage = "", ""
        self._begun_s = self._told_s = 0.0

    def __enter__(self) -> TrainingWatch:
        self._eval.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._eval.__exit__(*exc)

    def __call__(self, seen: Progress) -> None:
        """Show how far the eval is."""
        self._eval(seen)

    def pause(self) -> None:
        """Take what is drawn away; the next progress draws anew."""
        self._eval.__exit__(None, None, None)
        self._eval = Watching(self._console, self._clock)
        self._eval.__enter__()

    def about(self, task: str, tier: str) -> None:
        """Say whose training the next steps are of."""
        self._name, self._stage = f"{task} {tier}", ""

    def step(self, stage: str, done: int, total: int | None) -> None:
        """Show a step: a line when a stage begins, then one every ten seconds."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._begun_s = stage, now
        elif now - self._told_s < LINE_EVERY_S:
            return
        self._told_s = now
        text = f"{self._name}: {stage}{_far(done, total)}{self._left(now, done, total)}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _left(self, now: float, done: int, total: int | None) -> str:
        if total is None or not done:
            return ""
        return f" · {in_words((now - self._begun_s) / done * (total - done))} left"


def _far(done: int, total: int | None) -> str:
    if total is None:
        return f" {done:,}" if done else ""
    return f" {done:,}/{total:,}"
