"""`stepdown reconcile`: our sum of a log beside the provider's, and why they differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import NO, session


def reconcile(
    logs: Annotated[list[str], typer.Argument(metavar="LOG...", help="Files, folders or globs.")],
    usage: Annotated[
        Path | None, typer.Option(metavar="EXPORT", help="Usage or cost export of the provider.")
    ] = None,
    invoice: Annotated[
        float | None, typer.Option(metavar="AMOUNT", help="Or one amount in dollars.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(help="2026-10, or 2026-10-03..2026-10-09.", show_default="all of the log"),
    ] = None,
    tolerance: Annotated[str, typer.Option(help="Largest difference for exit 0.")] = "1%",
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Compare what we count for a log with what the provider charged, and explain the difference.

    Reads exports of OpenAI's usage and costs, Anthropic's usage and cost reports, LiteLLM's spend,
    and plain CSV. What cannot be explained is said. Exits with 1 above the tolerance.
    """
    with session("reconcile", json=json) as talk:
        from stepdown.adapters.prices.book import Book
        from stepdown.wiring.environment import Environment
        from stepdown.wiring.log_files import batches_of, logs_of
        from stepdown.wiring.pricing import own_in
        from stepdown.wiring.reconciling import period_of, reconciled_document, run

        allowed = _share(tolerance)
        found = run(
            batches_of(logs_of(logs, sys.stdin.buffer)),
            Book(Environment.current().today, own_in(project)),
            usage=usage,
            invoice_usd=invoice,
            period=period_of(period),
        )
        off = found.off
        code = NO if off is None or off > allowed else 0
        talk.finish(found, reconciled_document(found, allowed), code)


def _share(said: str) -> float:
    from stepdown.errors import InputError

    number, percent, rest = said.strip().partition("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = -1.0
    if rest or not 0 <= found < 1:
        raise InputError(f"--tolerance {said!r} is no share.", "Write 1% or 0.01.")
    return found
