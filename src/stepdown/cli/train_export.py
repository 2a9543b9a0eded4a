"""`stepdown train export`: the training set as files for somebody else's trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import open_workspace, session


def train_export(
    task: Annotated[str, typer.Argument(metavar="TASK")],
    *,
    format: Annotated[  # noqa: A002 the option's name
        str, typer.Option("--format", "-f", help="openai, anthropic-batch, trl, axolotl, unsloth.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder.", show_default="exports/TASK-FORMAT"),
    ] = None,
    tier: Annotated[
        str, typer.Option(help="Whose prompt to use.", show_default="what callers send today")
    ] = "",
    model: Annotated[str, typer.Option(help="anthropic-batch: who is to answer.")] = "",
    masked: Annotated[
        bool, typer.Option("--mask", help="Hide personal data in the texts.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="For the cost: how often all is read.")] = 3,
    usd_per_mtok: Annotated[
        float | None, typer.Option(min=0.0, help="What the trainer takes for a million tokens.")
    ] = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Write the training set in the chat format of another trainer, with a card of what is in it.

    No row of it is used by an eval or a certificate. The files are checked against the receiver's
    documented rules first; where they would be refused, nothing is written. Sends nothing.
    """
    with session("train export", json=json) as talk:
        from stepdown.wiring.export_report import document
        from stepdown.wiring.training_export import Export, card_data, export

        workspace = open_workspace(talk, project)
        chosen = workspace.project.task(task)
        folder = out or workspace.project.root / "exports" / f"{chosen.name}-{format}"
        wish = Export(
            format=format,
            folder=folder,
            tier=tier,
            model=model,
            masked=masked,
            epochs=epochs,
            usd_per_mtok=usd_per_mtok,
        )
        card = export(workspace, chosen, wish)
        talk.say(f"Wrote {folder}")
        talk.finish({"folder": str(folder), "card": card_data(card)}, document(card, folder))
