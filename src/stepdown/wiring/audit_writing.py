"""`audit --write`: the steps of a log as tasks of a project, each with its eval set.

Everything is checked before stepdown.toml is put in place: a project that cannot be loaded is not
written, and a file that people wrote keeps every line.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.tables.atomic import replacing
from stepdown.audit.bill import AuditReport
from stepdown.audit.drafting import LABELLED, Draft, draft
from stepdown.config.drafted import DATA, ROWS, Part, added, opened
from stepdown.config.project import FILE, load_project
from stepdown.core.call_columns import Batch
from stepdown.core.chat import plain_tool
from stepdown.core.masking import mask
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError, StepdownError
from stepdown.evals.candidates import Judged, LogAsked, from_call, put
from stepdown.evals.choosing import Asked
from stepdown.evals.dataset import Columns
from stepdown.wiring.audit_hiding import hidden_draft, hidden_row
from stepdown.wiring.audit_tiers import CANDIDATES, EXPERT, expert, of_today, tier_name
from stepdown.wiring.import_sources import Source
from stepdown.wiring.importing import Imported, Plan, import_set
from stepdown.wiring.step_calls import StepOf, calls_by_step, look, paths_digest, renamed

MOST_ROWS = 5000  # of an eval set: more tell little and take long
Batches = Callable[[], Iterable[Batch]]


class Wish(Struct, frozen=True, kw_only=True):
    """Where to write, how many rows of each step, whether texts are masked."""

    root: Path
    rows: int = MOST_ROWS
    masked: bool = True
    dry_run: bool = False


class WrittenTask(Struct, frozen=True, kw_only=True):
    """What became of a step: a task with so many rows, or the reason why not."""

    step: str
    task: str
    kind: str
    rows: int = 0
    refused: Mapping[str, int] = {}
    why_not: str | None = None


class Written(Struct, frozen=True, kw_only=True):
    """What an audit wrote; `diff` is the change of stepdown.toml."""

    path: Path
    tasks: tuple[WrittenTask, ...]
    files: tuple[str, ...]
    diff: str
    dry_run: bool


def write_project(
    report: AuditReport, files: Sequence[Path], batches: Batches, wish: Wish, *, today: date
) -> Written:
    """Write the steps of a report as tasks, with their eval sets; a dry run writes nothing.

    Raises:
        ConfigError: what stands in the folder is no project, or cannot be added to.
    """
    return _Writing(report, files, batches, wish, today).run()


class _StepSource(Source):
    """The calls of one step, with its logged answers as references."""

    reference_is = "ceiling"

    def __init__(self, writing: _Writing, task: Task, one: Draft) -> None:
        super().__init__(", ".join(map(str, writing.files)))
        self._writing, self._step = writing, one.step
        self._asked = LogAsked(task=task)
        self._model = one.model
        self.read_as = "log, by the steps of the audit"

    def digest(self) -> str:
        return paths_digest(self._writing.files)

    def _judged(self) -> Iterator[Judged]:
        writing = self._writing
        for step, call, _, row in calls_by_step(writing.batches(), writing.step_of):
            if step != self._step or (self._model is not None and call.model != self._model):
                shown = writing.shown(step or "(no step)")
                self.other[shown if step != self._step else f"{shown}, other models"] += 1
                continue
            line = int(call.source.rpartition(":")[2] or row) if ":" in call.source else row
            found = from_call(renamed(call, step), self._asked, self.name, line)
            yield hidden_row(found) if writing.wish.masked else found


class _Writing:
    """One run: drafts, then eval sets, then the project."""

    def __init__(
        self,
        report: AuditReport,
        files: Sequence[Path],
        batches: Batches,
        wish: Wish,
        today: date,
    ) -> None:
        self.report, self.files, self.batches = report, files, batches
        self.wish, self.today = wish, today
        self.step_of = StepOf(report)
        self.path = wish.root / FILE
        self.before = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self.known = set(opened(self.before).get("tasks", {})) if self.before else set()
        self.drafts = self._drafts()
        self.made: list[Path] = []
        self.imported: dict[str, Imported] = {}

    def run(self) -> Written:
        try:
            self._shapes()
            self._sets()
            if self.imported and not self.wish.dry_run:
                self._messages()
                self._check(self._text())
        except BaseException:
            self._undo()
            raise
        text = self._text()
        if self.wish.dry_run:
            self._undo()
        elif text != self.before:
            with replacing(self.path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return self._written(text)

    def _drafts(self) -> list[Draft]:
        looked = look(self.batches(), self.step_of)
        from stepdown.audit.drafting import Looked

        found: dict[str, Draft] = {}
        for bill in self.report.steps:
            one = draft(bill, looked.get(bill.name, Looked()))
            one = hidden_draft(one) if self.wish.masked else one
            number = 2
            while one.name in found:
                one = msgspec.structs.replace(one, name=f"{one.name}-{number}")
                number += 1
            found[one.name] = self._own_data(one)
        return list(found.values())

    def _own_data(self, one: Draft) -> Draft:
        data = opened(self.before).get(DATA, {}) if self.before else {}
        if not data or data.get("path") == ROWS:
            return one
        why = (
            f"[data] names {data.get('path')!r}, and a project has one set of rows; "
            "run this in a folder of its own, or add the rows of data/ to yours"
        )
        return msgspec.structs.replace(one, problem=one.problem or why)

    def _fits(self, one: Draft) -> bool:
        return one.problem is None and one.name not in self.known

    def _file(self, name: str, content: bytes) -> None:
        path = self.wish.root / name
        if not path.exists():
            self.made.append(path)
        with replacing(path) as temporary:
            temporary.write_bytes(content)

    def _shapes(self) -> None:
        """Write the schemas and the lists of functions that tasks name."""
        for one in filter(self._fits, self.drafts):
            if one.schema is not None:
                self._file(f"data/{one.name}.schema.json", _pretty(one.schema))
            if one.tools:
                told = [plain_tool(tool) for tool in one.tools]
                self._file(f"data/{one.name}.tools.json", _pretty(told))

    def _sets(self) -> None:
        """Import the eval set of each task; a step whose calls do not fit becomes a comment."""
        tasks = self._check(self._text(), keep=False) if any(map(self._fits, self.drafts)) else {}
        for index, one in enumerate(self.drafts):
            if not self._fits(one):
                continue
            try:
                self.imported[one.name] = self._import(tasks[one.name], one)
            except (DataError, ConfigError) as error:
                self.drafts[index] = msgspec.structs.replace(one, problem=error.message)

    def _import(self, task: Task, one: Draft) -> Imported:
        to = self.wish.root / "data" / f"{one.name}.jsonl"
        self.made += [
            path
            for end in ("jsonl", "card.json", "refused.jsonl")
            if not (path := to.with_name(f"{to.stem}.{end}")).exists()
        ]
        plan = Plan(
            task=task,
            to=to,
            columns=Columns(),
            reference=task.reference,
            asked=Asked(sample=self.wish.rows, structured=task.kind not in ("draft", "summarise")),
            by="label" if task.labels else None,
            overwrite=True,
        )
        return import_set([_StepSource(self, task, one)], plan, today=self.today)

    def _messages(self) -> None:
        """Write the rows of all steps by id: what they share is one message of the pipeline."""
        rows: dict[str, dict[str, Any]] = {}
        path = self.wish.root / ROWS
        for row in _rows(path) if path.exists() else ():
            rows[row["id"]] = row
        for name, found in self.imported.items():
            for row in _rows(found.path):
                mine = rows.setdefault(row["id"], {"id": row["id"], "text": row["text"]})
                put(mine, name, row[name])
                mine |= {key: row[key] for key in ("history",) if key in row}
                mine["group"] = str(mine.get("group") or row.get("group") or row["id"])
        self._file(ROWS, b"".join(msgspec.json.encode(row) + b"\n" for row in rows.values()))

    def _text(self) -> str:
        """Return stepdown.toml with the tasks added."""
        fitting = [one for one in self.drafts if self._fits(one)]
        left = [one for one in self.drafts if one.problem and one.name not in self.known]
        if not fitting:
            raise ConfigError(
                "No step of this log can be written as a task; nothing was written.",
                "; ".join(f"{self.shown(one.step)}: {self._why(one)}" for one in self.drafts[:6]),
            )
        models = list(dict.fromkeys(one.model or "today" for one in fitting))
        parts = of_today(models, self._period(), self.today)
        if any(one.kind in LABELLED for one in fitting):
            parts.insert(0, expert())
        parts += [self._part(one) for one in [*fitting, *left]]
        head: list[tuple[str, dict[str, Any]]] = [
            (
                "project",
                {
                    "name": self.wish.root.resolve().name or "pipeline",
                    "baseline": tier_name(models[0]),
                },
            ),
            (DATA, self._data()),
        ]
        text = added(self.before, parts, head)
        return text if CANDIDATES in text else f"{text}\n{CANDIDATES}"

    def shown(self, text: str) -> str:
        """Return a text of the log as it may be written."""
        return mask(text) if self.wish.masked else text

    def _why(self, one: Draft) -> str:
        return one.problem or "stands in stepdown.toml already"

    def _data(self) -> dict[str, Any]:
        keys: dict[str, Any] = {"path": ROWS, "id": "id", "input": "text", "group": "group"}
        if any(one.contract.turns == "many" for one in self.drafts if self._fits(one)):
            keys["history"] = "history"
        return keys

    def _period(self) -> str:
        first, last = self.report.read.first, self.report.read.last
        return "" if first is None or last is None else f", {first[:10]} to {last[:10]}"

    def _part(self, one: Draft) -> Part:
        tiers = [EXPERT] if one.kind in LABELLED else []
        keys: dict[str, Any] = {
            "kind": one.kind,
            "tiers": [*tiers, tier_name(one.model or "today")],
            "reference_is": "ceiling",
        }
        keys |= {"labels": list(one.labels)} if one.labels else {}
        keys |= {"schema": f"data/{one.name}.schema.json"} if one.schema is not None else {}
        keys |= {"tools": f"data/{one.name}.tools.json"} if one.tools else {}
        keys |= {"scorer": one.scorer} if one.scorer else {}
        keys["references"] = f"data/{one.name}.jsonl"
        keys["inputs"] = f"data/{one.name}.jsonl:text"
        keys["contract"] = msgspec.to_builtins(one.contract)
        if not keys["contract"]:
            del keys["contract"]
        about = f"{one.calls:,} logged calls" + (f" of {one.model}" if one.model else "")
        others = f"; {one.other_models:,} of other models left out" if one.other_models else ""
        notes = (f"Step {self.shown(one.step)!r}: {about}{others}.", *one.notes)
        return Part(section="tasks", name=one.name, keys=keys, comments=notes, why=one.problem)

    def _check(self, text: str, *, keep: bool = True) -> Mapping[str, Task]:
        """Load the text as a project, beside the file that it will be."""
        self.wish.root.mkdir(parents=True, exist_ok=True)
        trial = self.wish.root / f".{FILE}.trial"
        try:
            trial.write_text(text, encoding="utf-8")
            return load_project(trial).tasks
        finally:
            trial.unlink(missing_ok=True)

    def _undo(self) -> None:
        for path in self.made:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            (self.wish.root / "data").rmdir()

    def _written(self, text: str) -> Written:
        diff = difflib.unified_diff(
            self.before.splitlines(), text.splitlines(), FILE, FILE, lineterm="", n=2
        )
        made = sorted({str(p.relative_to(self.wish.root)) for p in self.made if p.exists()})
        return Written(
            path=self.path,
            tasks=tuple(map(self._told, self.drafts)),
            files=tuple(made),
            diff="\n".join(diff),
            dry_run=self.wish.dry_run,
        )

    def _told(self, one: Draft) -> WrittenTask:
        found = self.imported.get(one.name)
        why = None if found is not None else self._why(one)
        return WrittenTask(
            step=self.shown(one.step),
            task=one.name,
            kind=one.kind,
            rows=0 if found is None else found.card.n,
            refused={} if found is None else found.card.refused,
            why_not=why,
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from (msgspec.json.decode(line) for line in file if line.strip())


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def problem_of(error: StepdownError) -> str:
    """Return an error in one line."""
    return f"{error.message} {error.hint}".strip()
