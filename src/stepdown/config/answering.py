"""What a task's answers must look like and how they are scored: schema, tools, comparisons, scorer.

It reads the JSON files that `schema` and `tools` name, and refuses what does not fit the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepdown.config.naming import nearest
from stepdown.config.schema import DataKeys, TaskKeys
from stepdown.core.chat import tools_of
from stepdown.core.compare import Compare
from stepdown.core.request import Tool
from stepdown.core.task import CHOICES, OBJECTS, TaskKind
from stepdown.errors import ConfigError

SCORERS: Mapping[TaskKind, str] = {
    "classify": "label",
    "route": "label",
    "judge": "label",
    "extract": "fields",
    "convert": "fields",
    "tool_call": "tool_calls",
    "draft": "patterns",
    "polish": "keeps_patterns",
    "summarise": "patterns",
    "embed": "recall_at_k",
}
COMPARED = "compared"  # the scorer of values that obey a schema, and of fields with `compare`


def schema_of(root: Path, task: str, said: TaskKeys) -> Mapping[str, Any]:
    """Return the JSON Schema of a task's answers, empty when it has none.

    Raises:
        ConfigError: the file cannot be read, or it is no JSON Schema.
    """
    if said.schema is None:
        return {}
    from stepdown.core.json_schema import schema_problem

    where = f"tasks.{task}.schema"
    found = _json_file(root, said.schema, where) if isinstance(said.schema, str) else said.schema
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where}: expected a JSON Schema, got {type(found).__name__}.")
    problem = schema_problem(found)
    if problem:
        raise ConfigError(f"{where} is no JSON Schema that can be used: {problem}.")
    return found


def tools_from(root: Path, task: str, said: TaskKeys) -> tuple[Tool, ...]:
    """Return the tools of a task.

    Raises:
        ConfigError: the file cannot be read, or something there is no tool.
    """
    if said.tools is None:
        return ()
    where = f"tasks.{task}.tools"
    found = _json_file(root, said.tools, where) if isinstance(said.tools, str) else said.tools
    try:
        return tools_of(found)
    except ValueError as error:
        raise ConfigError(
            f"{where}: {error}.",
            'A tool is {"name": ..., "description": ..., "parameters": JSON SCHEMA}.',
        ) from None


def compare_of(said: TaskKeys) -> dict[str, Compare]:
    """Return the declared comparisons; a bare name is a way of comparing without options."""
    return {
        name: msgspec.convert({"by": one}, Compare) if isinstance(one, str) else one
        for name, one in said.compare.items()
    }


def scorer_of(said: TaskKeys) -> tuple[str, dict[str, Any]]:
    """Return the name of a task's scorer, and what it is told."""
    if isinstance(said.scorer, dict):
        told = dict(said.scorer)
        return str(told.pop("name", "")), told
    if said.scorer is not None:
        return said.scorer, {}
    graded = said.kind in OBJECTS and (said.compare or said.schema is not None)
    return (COMPARED if graded else SCORERS[said.kind]), {}


def check_answering(task: str, said: TaskKeys, data: DataKeys | None) -> None:
    """Refuse a shape of answers, comparisons or a scorer that the kind of task does not have.

    Raises:
        ConfigError: names the key and what is allowed.
    """
    problem = _shape_problem(said, data)
    if problem:
        raise ConfigError(f"tasks.{task}: {problem}")
    _check_compare(task, said)
    _check_scorer(task, said)


def _shape_problem(said: TaskKeys, data: DataKeys | None) -> str:
    if said.kind in CHOICES and len(set(said.labels)) < 2:
        return f"a {said.kind} task needs at least two different `labels`."
    if said.labels and said.kind in ("tool_call", "embed"):
        return f"a {said.kind} task has no `labels`."
    mixing = [key for key in ("thresholds", "signals") if getattr(said, key)]
    if said.kind == "embed" and mixing:
        return f"an embed task has no `{mixing[0]}`: vectors of two models never mix."
    return _object_problem(said) or _tools_problem(said, data)


def _object_problem(said: TaskKeys) -> str:
    if said.kind in OBJECTS and bool(said.fields) == (said.schema is not None):
        return f"kind {said.kind!r} needs `fields` or `schema`, one of them."
    if said.schema is not None and said.kind not in OBJECTS:
        return f"`schema` is for {' and '.join(OBJECTS)}, not {said.kind!r}."
    return ""


def _tools_problem(said: TaskKeys, data: DataKeys | None) -> str:
    own = data is not None and data.tools is not None
    if said.kind == "tool_call" and said.tools is None and not own:
        return "kind 'tool_call' needs `tools`, or a column of them in [data] `tools`."
    if said.tools is not None and said.kind != "tool_call":
        return f"`tools` are for a tool_call task, not {said.kind!r}."
    return ""


def _check_compare(task: str, said: TaskKeys) -> None:
    where = f"tasks.{task}.compare"
    if said.compare and said.kind not in OBJECTS:
        raise ConfigError(f"{where} is for {' and '.join(OBJECTS)}, not {said.kind!r}.")
    for name, one in said.compare.items():
        if said.fields and name not in said.fields:
            raise ConfigError(f"{where}: no field {name!r}.", nearest(name, said.fields, "fields"))
        if isinstance(one, str):
            try:
                msgspec.convert({"by": one}, Compare)
            except msgspec.ValidationError:
                ways = msgspec.json.schema(Compare)["$defs"]["Compare"]["properties"]["by"]["enum"]
                raise ConfigError(
                    f"{where}.{name}: no way of comparing {one!r}.",
                    nearest(one, ways, "ways"),
                ) from None


def _check_scorer(task: str, said: TaskKeys) -> None:
    """Refuse a scorer that there is none of, or that is told what it does not know."""
    if said.scorer is None:
        return
    from stepdown.evals.scorers import check_scorer

    name, told = scorer_of(said)
    try:
        check_scorer(name, told, said.kind)
    except ConfigError as error:
        raise ConfigError(f"tasks.{task}.scorer: {error.message}", error.hint) from None


def _json_file(root: Path, name: str, where: str) -> Any:
    try:
        return msgspec.json.decode((root / name).read_bytes())
    except OSError as error:
        raise ConfigError(f"{where}: {name} cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{where}: {name} is no JSON: {error}.", "Correct the file.") from None
