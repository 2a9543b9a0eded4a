"""The program: its verbs in the order of the loop, and nothing heavy until one is chosen."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperGroup

from stepdown import __version__
from stepdown.cli import (
    ask,
    audit,
    certify,
    certify_plan,
    demo,
    eval_check,
    eval_compare,
    eval_import,
    eval_plan,
    eval_show,
    evals,
    explain,
    init,
    label,
    models,
    outcomes,
    prices,
    reconcile,
    replay,
    report,
    rollback,
    serve,
    serve_share,
    serve_status,
    steps,
    train,
)

LOOP = "The loop"
MORE = "Beside it"


class Verbs(TyperGroup):
    """Verbs of one word or two: `certify plan TASK` is a command of its own."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Prefer the verb of two words."""
        two = " ".join(args[:2])
        return super().resolve_command(ctx, [two, *args[2:]] if two in self.commands else args)


app = typer.Typer(
    name="stepdown",
    cls=Verbs,
    help="Move every step of an AI pipeline down to the smallest model that still passes the "
    "eval; keep the big model for the last mile; prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS = (
    ("audit", LOOP, audit.audit),
    ("eval", LOOP, evals.evaluate),
    ("eval import", LOOP, eval_import.eval_import),
    ("eval plan", LOOP, eval_plan.eval_plan),
    ("eval compare", LOOP, eval_compare.eval_compare),
    ("eval show", LOOP, eval_show.eval_show),
    ("eval check", LOOP, eval_check.eval_check),
    ("train", LOOP, train.train),
    ("certify", LOOP, certify.certify),
    ("certify plan", LOOP, certify_plan.certify_plan),
    ("serve", LOOP, serve.serve),
    ("serve share", LOOP, serve_share.serve_share),
    ("serve status", LOOP, serve_status.serve_status),
    ("rollback", LOOP, rollback.rollback),
    ("report", LOOP, report.report),
    ("init", MORE, init.init),
    ("demo", MORE, demo.demo),
    ("ask", MORE, ask.ask),
    ("explain", MORE, explain.explain),
    ("replay", MORE, replay.replay),
    ("outcomes", MORE, outcomes.outcomes),
    ("label", MORE, label.label),
    ("prices", MORE, prices.prices),
    ("reconcile", MORE, reconcile.reconcile),
    ("steps", MORE, steps.steps),
    ("steps name", MORE, steps.name),
    ("steps merge", MORE, steps.merge),
    ("steps split", MORE, steps.split),
    ("steps forget", MORE, steps.forget),
)


def _flowing(text: str) -> str:
    """Return a docstring with each paragraph in one line, so that it is wrapped once."""
    paragraphs = cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in paragraphs)


for _name, _panel, _verb in VERBS:
    app.command(_name, rich_help_panel=_panel, help=_flowing(_verb.__doc__ or ""))(_verb)
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
