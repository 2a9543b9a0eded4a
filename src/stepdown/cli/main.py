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
    review,
    review_status,
    rollback,
    serve,
    serve_share,
    serve_status,
    steps,
    train,
    train_advise,
    train_export,
    train_import,
    verify,
)

LOOP = "The loop"
SETS = "Eval sets, runs and labels"
LIVE = "A running gateway"
MONEY = "Steps of a log and money"
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
    ("train", LOOP, train.train),
    ("certify", LOOP, certify.certify),
    ("serve", LOOP, serve.serve),
    ("review", LOOP, review.review),
    ("report", LOOP, report.report),
    ("eval import", SETS, eval_import.eval_import),
    ("eval plan", SETS, eval_plan.eval_plan),
    ("eval compare", SETS, eval_compare.eval_compare),
    ("eval show", SETS, eval_show.eval_show),
    ("eval check", SETS, eval_check.eval_check),
    ("certify plan", SETS, certify_plan.certify_plan),
    ("train advise", SETS, train_advise.train_advise),
    ("train export", SETS, train_export.train_export),
    ("train import", SETS, train_import.train_import),
    ("verify", SETS, verify.verify),
    ("label", SETS, label.label),
    ("outcomes", SETS, outcomes.outcomes),
    ("replay", SETS, replay.replay),
    ("serve status", LIVE, serve_status.serve_status),
    ("serve share", LIVE, serve_share.serve_share),
    ("review status", LIVE, review_status.review_status),
    ("rollback", LIVE, rollback.rollback),
    ("ask", LIVE, ask.ask),
    ("explain", LIVE, explain.explain),
    ("steps", MONEY, steps.steps),
    ("steps name", MONEY, steps.name),
    ("steps merge", MONEY, steps.merge),
    ("steps split", MONEY, steps.split),
    ("steps forget", MONEY, steps.forget),
    ("prices", MONEY, prices.prices),
    ("reconcile", MONEY, reconcile.reconcile),
    ("init", MORE, init.init),
    ("demo", MORE, demo.demo),
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
