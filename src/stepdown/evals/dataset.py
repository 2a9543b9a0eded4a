"""Samples: what a task is asked, with the right answer, checked row by row.

It does not know where rows come from: a reader hands over (line, row) pairs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from stepdown.core.digest import digest
from stepdown.core.requesting import match_label
from stepdown.core.task import Task
from stepdown.errors import DataError

Row = tuple[int, Mapping[str, Any]]


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input with its reference.

    `group` holds what must stay together, `segment` the kind of message that is known before any
    call, `meta` what a scorer reads.
    `reference` is a label, an object of fields, accepted patterns (`evals.patterns`), or text;
    None for a row that nobody has labelled, whose answers get no score.
    """

    id: str
    input: str
    reference: Any
    group: str | None = None
    segment: str | None = None
    meta: Mapping[str, Any] = {}

    @property
    def digest(self) -> str:
        """Digest of the whole sample."""
        return digest(self)


class Columns(Struct, frozen=True, kw_only=True):
    """Where things stand in a row, as dotted paths; the reference path is the task's."""

    id: str = "id"
    text: str = "text"
    group: str | None = None
    segment: str | None = None
    meta: tuple[str, ...] = ()


def samples_of(
    task: Task, rows: Iterable[Row], *, source: str, columns: Columns | None = None
) -> tuple[Sample, ...]:
    """Return the samples of a task.

    Raises:
        DataError: a row without id, text or reference, a label outside the set, fields that do
            not match, a pattern that is not one, an id twice, or no row at all; names the line.
    """
    samples = tuple(iter_samples(task, rows, source=source, columns=columns))
    if not samples:
        raise DataError(f"{source} holds no samples.", "An eval needs at least one labelled row.")
    return samples


def iter_samples(
    task: Task, rows: Iterable[Row], *, source: str, columns: Columns | None = None
) -> Iterator[Sample]:
    """Yield the samples of a task one by one; raises as `samples_of` does, but for an empty set."""
    where = columns or Columns()
    lines: dict[str, int] = {}
    for line, row in rows:
        sample = _sample(task, row, where, f"{source}, line {line}")
        first = lines.setdefault(sample.id, line)
        if first != line:
            raise DataError(
                f"{source}, line {line}: the id {sample.id!r} was used on line {first} already.",
                "Every sample needs an id of its own.",
            )
        yield sample


def digest_of(samples: Iterable[Sample]) -> str:
    """Return the digest of a set of samples, whatever their order."""
    return digest(sorted(sample.digest for sample in samples))


def _sample(task: Task, row: Mapping[str, Any], where: Columns, at: str) -> Sample:
    if not isinstance(row, Mapping):
        raise DataError(f"{at}: expected an object, got {type(row).__name__}.")
    text = _take(row, where.text, at)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{at}: {where.text!r} must be a text that is not empty, got {text!r}.")
    group = None if where.group is None else str(_take(row, where.group, at))
    segment = None if where.segment is None else str(_take(row, where.segment, at))
    return Sample(
        id=_id(row, where.id, at),
        input=text,
        reference=_reference(task, row, at),
        group=group,
        segment=segment,
        meta={path: _take(row, path, at) for path in where.meta},
    )


def _id(row: Mapping[str, Any], path: str, at: str) -> str:
    found = _take(row, path, at)
    if found is None or str(found) == "":
        raise DataError(f"{at}: {path!r} is empty.", "Every sample needs an id of its own.")
    return str(found)


def _reference(task: Task, row: Mapping[str, Any], at: str) -> object:
    if not task.reference:
        raise DataError(
            f"Task {task.name!r} does not say where the right answer stands.",
            "Set `reference` to a dotted path in the data, such as `entities`.",
        )
    found = _take(row, task.reference, at)
    if found is None or found == "":
        raise DataError(
            f"{at}: {task.reference!r} is empty.", "A sample without a reference cannot be scored."
        )
    if task.labels:
        return _label(task, found, at)
    return _fields(task, found, at) if task.fields else _patterns_or_text(task, found, at)


def _label(task: Task, found: object, at: str) -> str:
    label = match_label(task.labels, found) if isinstance(found, str) else None
    if label is None:
        near = difflib.get_close_matches(str(found), task.labels, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(task.labels)}."
        raise DataError(f"{at}: {task.reference} {found!r} is not a label of {task.name!r}.", hint)
    return label


def _fields(task: Task, found: object, at: str) -> dict[str, str | None]:
    if not isinstance(found, Mapping) or set(found) != set(task.fields):
        raise DataError(
            f"{at}: {task.reference} must be an object of {', '.join(task.fields)}, got {found!r}.",
            "Write null for a field that the input does not hold.",
        )
    for name, value in found.items():
        if value is not None and not isinstance(value, str):
            raise DataError(f"{at}: {task.reference}.{name} must be text or null, got {value!r}.")
    return dict(found)


def _patterns_or_text(task: Task, found: object, at: str) -> object:
    if isinstance(found, str):
        return found
    from stepdown.evals.patterns import checklist

    try:
        checklist(found)
    except (ValueError, re.error) as error:
        raise DataError(f"{at}: {task.reference} holds no accepted patterns: {error}.") from error
    return found


def _take(row: Mapping[str, Any], path: str, at: str) -> object:
    value: object = row
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            raise DataError(f"{at}: {path!r} is missing.", _near(row, path))
        value = value[step]
    return value


def _near(row: Mapping[str, Any], path: str) -> str:
    names: Sequence[str] = [str(name) for name in row]
    near = difflib.get_close_matches(path.partition(".")[0], names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"The row has: {', '.join(names)}."
