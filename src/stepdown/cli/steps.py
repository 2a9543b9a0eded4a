"""`stepdown steps`: list the steps of a log; name, merge, split and forget them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepdown.cli.options import HERE, JsonOption, ProjectOption
from stepdown.cli.session import Session, session

if TYPE_CHECKING:
    from stepdown.audit.bill import AuditReport
    from stepdown.core.call_columns import Batch

LogsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LOG]...", help="Files, folders or globs; else [audit] logs."),
]


def steps(
    logs: LogsArgument = None, project: ProjectOption = HERE, json: JsonOption = False
) -> None:
    """List the steps of a log: their names, what they are known by, and how many calls they have.

    `steps name OLD NEW`, `steps merge A B --as C`, `steps split A --by model` and `steps forget A`
    are remembered in steps.toml, so that next month's log gets the same names.
    """
    with session("steps", json=json) as talk:
        from stepdown.config.steps_file import read_steps
        from stepdown.wiring.stepping import listed, steps_document

        report, _ = _audited(logs, project)
        found = listed(report, read_steps(project))
        talk.finish(found, steps_document(found))


def name(
    old: Annotated[str, typer.Argument(help="A step of the log.")],
    new: Annotated[str, typer.Argument(help="Its name from now on.")],
    logs: LogsArgument = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Give a step another name, and remember it in steps.toml."""
    with session("steps name", json=json) as talk:
        _name(talk, [old], new, logs, project)


def merge(
    first: Annotated[str, typer.Argument(help="A step of the log.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    logs: LogsArgument = None,
    as_: Annotated[str, typer.Option("--as", help="The name of both.")] = "",
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make one step of two, and remember it in steps.toml."""
    with session("steps merge", json=json) as talk:
        _name(talk, [first, second], as_ or first, logs, project)


def split(
    step: Annotated[str, typer.Argument(help="A step of the log.")],
    by: Annotated[str, typer.Option(help="model, tools, template or metadata.KEY.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make several steps of one, and remember it in steps.toml."""
    with session("steps split", json=json) as talk:
        from stepdown.config.steps_file import read_steps
        from stepdown.wiring import stepping

        rules = stepping.split(read_steps(project), step, by)
        path = stepping.keep(project, rules)
        talk.print(f"{path}: {step} is split by {by}.")
        talk.finish(rules)


def forget(
    step: Annotated[str, typer.Argument(help="A name in steps.toml.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Forget what steps.toml says of a step."""
    with session("steps forget", json=json) as talk:
        from stepdown.config.steps_file import read_steps
        from stepdown.wiring import stepping

        rules = stepping.forgotten(read_steps(project), step)
        path = stepping.keep(project, rules)
        talk.print(f"{path}: {step} is forgotten.")
        talk.finish(rules)


def _name(talk: Session, olds: list[str], new: str, logs: list[str] | None, project: Path) -> None:
    from stepdown.config.steps_file import read_steps
    from stepdown.wiring import stepping

    report, batches = _audited(logs, project)
    rules = stepping.named(read_steps(project), report, batches, olds, new)
    path = stepping.keep(project, rules)
    talk.print(f"{path}: {' and '.join(olds)} {'is' if len(olds) == 1 else 'are'} {new} now.")
    talk.finish(rules)


def _audited(
    logs: list[str] | None, project: Path
) -> tuple[AuditReport, Callable[[], Iterable[Batch]]]:
    from stepdown.audit.step_rules import Named
    from stepdown.cli.audit import asked_logs
    from stepdown.config.steps_file import read_steps
    from stepdown.wiring import auditing
    from stepdown.wiring.environment import Environment
    from stepdown.wiring.log_files import batches_of, files_of

    asked = asked_logs(logs, project)
    files, rules = files_of(asked.logs), read_steps(project)

    def batches() -> Iterable[Batch]:
        return Named(rules).over(batches_of(files, columns=asked.columns))

    return auditing.report_on(batches, today=Environment.current().today), batches
