"""Samples: what a task is asked, with the right answer, checked row by row.

It does not know where rows come from: a reader hands over (line, row) pairs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.chat import messages_of
from stepdown.core.chat import tools_of as tools_from
from stepdown.core.digest import digest
from stepdown.core.request import Context, Message, Tool
from stepdown.core.requesting import match_label, tools_of
from stepdown.core.task import Task
from stepdown.errors import DataError
from stepdown.evals.calls import expected_calls, plain_calls
from stepdown.evals.ids import Ids

Row = tuple[int, Mapping[str, Any]]


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input with its reference.

    `group` holds what must stay together, `segment` the kind of message that is known before any
    call, `meta` what a scorer reads.
    `history` are messages before the text, `images` data URLs, `tools` the functions that this
    input may call where they are not the task's.
    `reference` is a label, an object of fields, a JSON value, expected calls (`evals.calls`),
    accepted patterns (`evals.patterns`), or text; None for a row that nobody has labelled, whose
    answers get no score.
    """

    id: str
    input: str
    reference: Any
    group: str | None = None
    segment: str | None = None
    meta: Mapping[str, Any] = {}
    history: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] | None = None
    images: tuple[str, ...] = ()

    @property
    def context(self) -> Context:
        """What stands around the text, for `core.requesting.request_for`."""
        return Context(history=self.history, images=self.images, tools=self.tools)

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
    history: str | None = None
    tools: str | None = None
    images: str | None = None
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
    where, ids = columns or Columns(), Ids()
    for line, row in rows:
        sample = _sample(task, row, where, f"{source}, line {line}")
        first = ids.note(sample.id, line)
        if first is not None:
            raise _twice(source, line, first, repr(sample.id))
        yield sample
    again = ids.twice()
    if again is not None:
        raise _twice(source, *again, "there")


def _twice(source: str, line: int, first: int, name: str) -> DataError:
    return DataError(
        f"{source}, line {line}: the id {name} was used on line {first} already.",
        "Every sample needs an id of its own.",
    )


def digest_of(samples: Iterable[Sample]) -> str:
    """Return the digest of a set of samples, whatever their order."""
    return digest(sorted(sample.digest for sample in samples))


def _sample(task: Task, row: Mapping[str, Any], where: Columns, at: str) -> Sample:
    if not isinstance(row, Mapping):
        raise DataError(f"{at}: expected an object, got {type(row).__name__}.")
    around = context_of(row, where.history, where.tools, where.images, at)
    text = take(row, where.text, at)
    alone = not (around.history or around.images)
    if not isinstance(text, str) or (alone and not text.strip()):
        raise DataError(f"{at}: {where.text!r} must be a text that is not empty, got {text!r}.")
    group = None if where.group is None else str(take(row, where.group, at))
    segment = None if where.segment is None else str(take(row, where.segment, at))
    return Sample(
        id=_id(row, where.id, at),
        input=text,
        reference=_reference(task, row, tools_of(task, around), at),
        group=group,
        segment=segment,
        meta={path: take(row, path, at) for path in where.meta},
        history=around.history,
        tools=around.tools,
        images=around.images,
    )


def context_of(
    row: Mapping[str, Any], history: str | None, tools: str | None, images: str | None, at: str
) -> Context:
    """Return the messages before a row's text, the images beside it, and its own tools.

    Raises:
        DataError: something there is no message, no tool, or no data URL of an image.
    """
    return Context(
        history=_plain(row, history, messages_of, at) or (),
        tools=_plain(row, tools, tools_from, at),
        images=_plain(row, images, _images, at) or (),
    )


def _plain(row: Mapping[str, Any], path: str | None, read: Callable[[object], Any], at: str) -> Any:
    """Return what `read` makes of the value at a path; a row may have none."""
    found = None if path is None else row.get(path) if path in row else take(row, path, at)
    if found is None:
        return None
    try:
        is_json = isinstance(found, str) and found.lstrip()[:1] == "["  # a CSV holds lists so
        return read(msgspec.json.decode(str(found)) if is_json else found)
    except (ValueError, msgspec.MsgspecError) as error:
        raise DataError(f"{at}: {path}: {error}.") from None


def _images(found: object) -> tuple[str, ...]:
    urls = (found,) if isinstance(found, str) else found
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        raise ValueError(f"expected an image or a list of them, got {type(found).__name__}")
    for url in urls:
        if not url.startswith("data:image/"):
            raise ValueError(f"expected a data URL of an image, got {url[:60]!r}")
    return tuple(urls)


def _id(row: Mapping[str, Any], path: str, at: str) -> str:
    found = take(row, path, at)
    if found is None or str(found) == "":
        raise DataError(f"{at}: {path!r} is empty.", "Every sample needs an id of its own.")
    return str(found)


def _reference(task: Task, row: Mapping[str, Any], tools: Sequence[Tool], at: str) -> object:
    if not task.reference:
        raise DataError(
            f"Task {task.name!r} does not say where the right answer stands.",
            "Set `reference` to a dotted path in the data, such as `entities`.",
        )
    if task.judge is not None and task.judge.needs_no_reference and task.reference not in row:
        return None
    found = take(row, task.reference, at)
    if found is None or found == "":
        raise DataError(
            f"{at}: {task.reference!r} is empty.", "A sample without a reference cannot be scored."
        )
    if task.kind == "tool_call":
        return _calls(task, found, tools, at)
    if task.labels:
        return _label(task, found, at)
    if task.structured:
        return _by_schema(task, found, at) if task.json_schema else _fields(task, found, at)
    return _patterns_or_text(task, found, at)


def _calls(task: Task, found: object, tools: Sequence[Tool], at: str) -> object:
    try:
        return plain_calls(expected_calls(found, tools))
    except ValueError as error:
        raise DataError(
            f"{at}: {task.reference} holds no calls: {error}.",
            'Write a list such as [{"name": "f", "arguments": {"x": 1}}], or [] for no call.',
        ) from error


def _by_schema(task: Task, found: object, at: str) -> object:
    from stepdown.core.json_schema import violation

    wrong = violation(task.json_schema, found)
    if wrong:
        raise DataError(f"{at}: {task.reference} breaks the schema of {task.name!r} {wrong}.")
    return found


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
    from stepdown.evals.references import free_reference, wanted_of

    try:
        return free_reference(task.scorer, found)
    except (ValueError, re.error) as error:
        raise DataError(
            f"{at}: {task.reference} holds no {wanted_of(task.scorer)}: {error}."
        ) from error


def take(row: Mapping[str, Any], path: str, at: str) -> object:
    """Return what stands at a dotted path of a row.

    Raises:
        DataError: nothing does; names the nearest.
    """
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
