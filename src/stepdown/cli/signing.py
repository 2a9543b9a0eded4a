"""Who gives the order: the option that several verbs share, else the login name."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

ByOption = Annotated[
    str | None,
    typer.Option("--by", help="Your name in the ledger.", show_default="login name"),
]


def signed(by: str | None) -> str:
    """Return the name to sign with.

    Raises:
        InputError: it is empty, too long, or not printable.
    """
    from stepdown.wiring.labelling import check_name

    if by is None:
        try:
            by = getpass.getuser()
        except (KeyError, OSError):  # a container may have no user of this number
            by = "unknown"
    return check_name(by)
