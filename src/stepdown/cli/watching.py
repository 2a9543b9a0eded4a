"""Progress on stderr: bars in a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from stepdown.evals.harness import Progress

LINE_EVERY_S = 10.0  # between two plain lines of one tier: a log of an hour has some hundred


class Watching:
    """Shows how far each tier is: done, failed, dollars, tokens, time left."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._show = (_Bars if console.is_terminal else _Lines)(console, clock)

    def __enter__(self) -> Watching:
        self._show.begin()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._show.end()

    def __call__(self, seen: Progress) -> None:
        """Show how far a tier is."""
        self._show.see(seen)


class _Bars:
    """One bar a tier, gone at the end."""

    def __init__(self, console: Console, _clock: Callable[[], float]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[said]}", markup=False),
            console=console,
            transient=True,
        )
        self._bars: dict[str, Any] = {}

    def begin(self) -> None:
        self._progress.start()

    def end(self) -> None:
        self._progress.stop()

    def see(self, seen: Progress) -> None:
        name, said = f"{seen.task} {seen.tier}", told(seen)
        shown = self._bars.get(name)
        if shown is None or (self._progress.tasks[shown].finished and not seen.ended):
            short = name if len(name) <= 22 else f"{name[:21]}…"
            shown = self._progress.add_task("", total=seen.total, name=short, said=said)
            self._bars[name] = shown
        self._progress.update(shown, completed=seen.done, total=seen.total, said=said)


class _Lines:
    """A line now and then, and one when a tier has ended."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._told_s: dict[str, float] = {}

    def begin(self) -> None:
        """Nothing to open."""

    def end(self) -> None:
        """Nothing to close."""

    def see(self, seen: Progress) -> None:
        name, now = f"{seen.task} {seen.tier}", self._clock()
        if seen.ended or now - self._told_s.setdefault(name, now) >= LINE_EVERY_S:
            self._told_s[name] = now
            text = f"{name}: {told(seen)}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def told(seen: Progress) -> str:
    """Return how far a tier is, in at most 56 characters for any usual run."""
    parts = [f"{seen.done:,}/{seen.total:,}"]
    if seen.reused:
        parts.append(f"{seen.reused:,} kept")
    if seen.failed:
        parts.append(f"{seen.failed:,} failed")
    if seen.done > seen.reused:
        parts += [_dollars(seen), f"{_short(seen.tokens)} tok"]
    if seen.eta_s is not None and not seen.ended:
        parts.append(f"{in_words(seen.eta_s)} left")
    return " · ".join(parts)


def _dollars(seen: Progress) -> str:
    if seen.cost_unknown and not seen.cost_usd:
        return "$ unknown"
    return f"${seen.cost_usd:.4f}" + ("+?" if seen.cost_unknown else "")


def _short(n: int) -> str:
    if n < 10_000:
        return f"{n:,}"
    return f"{n / 1e3:.0f}k" if n < 10_000_000 else f"{n / 1e6:.0f}M"


def in_words(seconds: float) -> str:
    """Return a time as a person reads it: `40 s`, `2:05`, `1:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
