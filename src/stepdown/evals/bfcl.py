"""Rows of a tool_call task from the files of the Berkeley Function Calling Leaderboard, v4.

Source: ShishirPatil/gorilla, `BFCL_v4_*.json` with `possible_answer`: questions of one turn, and
for each the accepted values of every argument (`evals.calls` reads these). Where there is no answer
(`irrelevance`) nothing is to be called. Its type names become those of JSON Schema, which servers
demand: `dict` object, `float` number, `tuple` array, `any` nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stepdown.errors import DataError

TYPES: Mapping[str, str | None] = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "any": None,
}


def bfcl_rows(
    questions: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Yield rows with `id`, `text`, `tools` and `calls`; the last turn's text is the input.

    Earlier messages of the question stand in `history`, where there are any.

    Raises:
        DataError: a row of another shape; names it.
    """
    known = {str(row["id"]): row["ground_truth"] for row in answers}
    for number, row in enumerate(questions, 1):
        try:
            (turn,) = row["question"]
            *before, last = turn
            tools = [_tool(tool) for tool in row["function"]]
            found = {"id": str(row["id"]), "text": last["content"], "tools": tools}
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"Question {number} is not one of BFCL v4 with one turn: {error!r}.",
                "Expected `id`, `question` with one list of messages, and `function`.",
            ) from None
        said = {"history": before} if before else {}
        yield {**found, **said, "calls": known.get(found["id"], [])}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {**tool, "parameters": _schema(tool["parameters"])}


def _schema(plain: Any) -> Any:
    """Return a schema in the words of JSON Schema, at any depth."""
    if isinstance(plain, list):
        return [_schema(each) for each in plain]
    if not isinstance(plain, Mapping):
        return plain
    made = {key: _schema(value) for key, value in plain.items()}
    kind = made.get("type")
    if isinstance(kind, str) and kind in TYPES:
        made.pop("type")
        made |= {"type": TYPES[kind]} if TYPES[kind] else {}
    return made
