"""The program: its verbs in the order of the loop, and nothing heavy until one is chosen."""

from __future__ import annotations

import typer

from stepdown import __version__
from stepdown.cli import (
    ask,
    audit,
    certify,
    demo,
    evals,
    explain,
    init,
    models,
    outcomes,
    replay,
    report,
    serve,
    train,
)

LOOP = "The loop"
MORE = "Beside it"

app = typer.Typer(
    name="stepdown",
    help="Move every step of an AI pipeline down to the smallest model that still passes the "
    "eval; keep the big model for the last mile; prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("audit", rich_help_panel=LOOP)(audit.audit)
app.command("eval", rich_help_panel=LOOP)(evals.evaluate)
app.command("train", rich_help_panel=LOOP)(train.train)
app.command("certify", rich_help_panel=LOOP)(certify.certify)
app.command("serve", rich_help_panel=LOOP)(serve.serve)
app.command("report", rich_help_panel=LOOP)(report.report)
app.command("init", rich_help_panel=MORE)(init.init)
app.command("demo", rich_help_panel=MORE)(demo.demo)
app.command("ask", rich_help_panel=MORE)(ask.ask)
app.command("explain", rich_help_panel=MORE)(explain.explain)
app.command("replay", rich_help_panel=MORE)(replay.replay)
app.command("outcomes", rich_help_panel=MORE)(outcomes.outcomes)
app.add_typer(models.app, name="models", rich_help_panel=MORE)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stepdown {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Move every step of an AI pipeline down to the smallest model that still passes the eval."""


def run() -> None:
    """Run the program (the console script)."""
    app()
