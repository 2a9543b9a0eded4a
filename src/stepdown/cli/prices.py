"""`stepdown prices`: the price that is used for a model, who says so, and since when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import session


def prices(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model, or a part of its name.")
    ] = None,
    day: Annotated[
        str | None, typer.Option(help="On this day, YYYY-MM-DD.", show_default="today")
    ] = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Show which price is used for a model, its source and history, and what is unknown.

    Prices come from [prices] in stepdown.toml where it says so, else from a list that is part of
    the installation. Nothing is looked up on the network.
    """
    with session("prices", json=json) as talk:
        from stepdown.wiring.environment import Environment
        from stepdown.wiring.pricing import look_up, own_in, prices_document

        at = _day(day) or Environment.current().today
        found = look_up(model, own_in(Path(project)), at)
        talk.finish(found, prices_document(found))


def _day(said: str | None) -> Any:
    from datetime import date

    from stepdown.errors import InputError

    try:
        return None if said is None else date.fromisoformat(said)
    except ValueError:
        raise InputError(f"--day {said!r} is no day.", "Write it as 2026-11-29.") from None
