"""`stepdown init`: a commented stepdown.toml to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.session import session


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write stepdown.toml.")] = Path(),
    name: Annotated[str, typer.Option(help="Name of the project; the folder's otherwise.")] = "",
) -> None:
    """Write a commented stepdown.toml with one classify task. Never overwrites one."""
    with session("init") as talk:
        from importlib.resources import files

        from stepdown.errors import ConfigError

        path = folder / "stepdown.toml"
        if path.exists():
            raise ConfigError(f"{path} exists already; nothing was written.", "Edit that one.")
        text = (files("stepdown.cli") / "starter.toml").read_text(encoding="utf-8")
        title = name or folder.resolve().name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace('"NAME-OF-PROJECT"', _quoted(title)), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
        talk.print(f"Wrote {path}. Next: put your labelled rows beside it, then `stepdown train`.")


def _quoted(text: str) -> str:
    """Return a text as a TOML string, whatever a folder is called."""
    from json import dumps

    return dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
