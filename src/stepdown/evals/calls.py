"""Expected tool calls: the reference of a tool_call sample, with every value that is accepted.

A reference is a list of calls, `[]` for none (or that list in `{"calls": ...}`, as an answer whose
order counts is written). A call is one of

- `{"name": "f", "arguments": {"x": 1}}`: these values (also as a chat API logs it, in `function`);
- `{"name": "f", "accepted": {"x": [1, 2]}, "optional": ["unit"], "any_order": ["tags"]}`: one of
  several values an argument; optional ones may be left out; lists of `any_order` in any order;
- `{"f": {"x": [1, 2], "unit": ["m", ""]}}`: possible answers as the Berkeley Function Calling
  Leaderboard writes them (ShishirPatil/gorilla, v4), where `""` means that it may be left out.

It does not know how values are compared.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.request import Tool
from stepdown.core.tool_answer import IN_ORDER, NoCallsError, plain_call

LEFT_OUT = ""  # the mark of BFCL for an argument that may be left out
MOST_NESTED = 1024  # combinations of accepted values inside one argument


class NotCallsError(ValueError):
    """A reference that holds no calls; says why."""


class ExpectedCall(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One call, with the accepted values of each argument."""

    name: str
    accepted: Mapping[str, tuple[Any, ...]] = {}
    optional: tuple[str, ...] = ()
    any_order: tuple[str, ...] = ()


def expected_calls(reference: object, tools: Sequence[Tool] = ()) -> tuple[ExpectedCall, ...]:
    """Return a reference as expected calls, checked against the tools where there are any.

    Raises:
        NotCallsError: a call of another shape, of an unknown function, or with unknown arguments.
    """
    if isinstance(reference, str):
        try:
            reference = msgspec.json.decode(reference)
        except msgspec.DecodeError as error:
            raise NotCallsError(f"no JSON: {error}") from None
    if isinstance(reference, Mapping) and reference.keys() == {IN_ORDER}:
        reference = reference[IN_ORDER]
    if not isinstance(reference, list | tuple):
        raise NotCallsError(f"expected a list of calls, got {reference!r}")
    found = tuple(_expected(each) for each in reference)
    for call in found:
        _check(call, tools)
    return found


def plain_calls(calls: Iterable[ExpectedCall]) -> list[Any]:
    """Return expected calls as plain values, as a sample keeps them."""
    plain: list[Any] = msgspec.to_builtins(list(calls))
    return plain


def _expected(plain: object) -> ExpectedCall:
    if not isinstance(plain, Mapping):
        raise NotCallsError(f"expected a call, got {plain!r}")
    if "accepted" in plain:
        return _listed(plain)
    if len(plain) == 1 and "function" not in plain and "name" not in plain:
        ((name, arguments),) = plain.items()
        return _possible(str(name), arguments)
    try:
        call = plain_call(plain)
    except NoCallsError as error:
        raise NotCallsError(str(error)) from None
    return ExpectedCall(call["name"], {key: (value,) for key, value in call["arguments"].items()})


def _listed(plain: Mapping[str, Any]) -> ExpectedCall:
    try:
        call = msgspec.convert(plain, ExpectedCall)
    except msgspec.ValidationError as error:
        raise NotCallsError(str(error)) from None
    empty = [name for name, values in call.accepted.items() if not values]
    if empty:
        raise NotCallsError(f"no value of {empty[0]!r} is accepted")
    strange = [name for name in (*call.optional, *call.any_order) if name not in call.accepted]
    if strange:
        raise NotCallsError(f"{strange[0]!r} has no accepted values")
    return call


def _possible(name: str, arguments: object) -> ExpectedCall:
    """Read a possible answer of BFCL."""
    if not isinstance(arguments, Mapping):
        raise NotCallsError(f"expected the arguments of {name!r}, got {arguments!r}")
    accepted, optional = {}, []
    for key, values in arguments.items():
        if not isinstance(values, list | tuple) or not values:
            raise NotCallsError(f"expected a list of accepted values of {key!r}, got {values!r}")
        kept = [value for value in values if value != LEFT_OUT]
        if len(kept) < len(values):
            optional.append(key)
        # An empty text alone may be left out or given as it is.
        accepted[key] = tuple(one for value in kept for one in _nested(value)) or (LEFT_OUT,)
    return ExpectedCall(name, accepted, tuple(optional))


def _nested(value: object) -> list[Any]:
    """Return every accepted form of a value; inside, the entries of objects list theirs."""
    if isinstance(value, Mapping):
        choices = [_entries(key, inner) for key, inner in value.items()]
        return [_object(pairs) for pairs in islice(product(*choices), MOST_NESTED)]
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        return [list(found) for found in islice(product(*map(_nested, value)), MOST_NESTED)]
    return [value]


def _entries(key: str, accepted: object) -> list[tuple[str, Any] | None]:
    values = accepted if isinstance(accepted, list | tuple) else [accepted]
    kept = [(key, one) for value in values if value != LEFT_OUT for one in _nested(value)]
    return [*kept, *([None] if LEFT_OUT in values else [])]


def _object(pairs: Iterable[tuple[str, Any] | None]) -> dict[str, Any]:
    return dict(pair for pair in pairs if pair is not None)


def _check(call: ExpectedCall, tools: Sequence[Tool]) -> None:
    if not tools:
        return
    named = {tool.name: tool for tool in tools}
    if call.name not in named:
        raise NotCallsError(f"{call.name!r} is not among the tools{_near(call.name, named)}")
    properties = named[call.name].parameters.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return
    for argument in call.accepted:
        if argument not in properties:
            raise NotCallsError(
                f"{call.name!r} takes no argument {argument!r}{_near(argument, properties)}"
            )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
