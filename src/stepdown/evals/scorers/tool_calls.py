"""Scorers of tool calls: the functions chosen, their arguments under types and defaults, no call.

Calls are matched in any order, as well as can be, unless `ordered`. An argument is right when it
equals an accepted value: an int where a float is meant, 5.0 where an int is (JSON Schema has one
kind of number), lists in order unless the reference says `any_order`. One that is left out, or is
null, counts as the default of the tool's schema; one that the reference does not name is right only
when it is that default. Source of the cases: Patil et al. (2025), the Berkeley Function Calling
Leaderboard, `ast_checker`; its loose comparison of texts is the option `text = "bfcl"`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stepdown.core.request import Tool
from stepdown.core.requesting import tools_of
from stepdown.core.task import Task
from stepdown.core.tool_answer import NoCallsError, calls_in
from stepdown.evals.calls import ExpectedCall
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.comparing import best_match
from stepdown.evals.scorers.normal import squeezed
from stepdown.evals.scorers.scorer import Score, Scorer, options_of

_LOOSE = re.compile(r"[ ,./\-_*^]")  # what `standardize_string` of BFCL leaves out
_ABSENT = object()
Call = Mapping[str, Any]


class CallOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`text`: how texts in arguments are compared; `ordered`: whether the order of calls counts.

    `exact` ignores the Unicode form (NFC) only, `squeezed` case and white space too, `bfcl` also
    the marks that the leaderboard ignores.
    """

    text: Literal["exact", "squeezed", "bfcl"] = "exact"
    ordered: bool = False


def tool_calls(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when exactly the expected calls are made."""
    read = _Read(task, sample, answer)
    if read.failure is not None:
        return read.failure
    if len(read.calls) != len(read.expected):
        return Score(0.0, detail=read.counted())
    right = read.matched() >= len(read.expected)
    return Score(float(right), detail="" if right else read.problem())


def tool_calls_f1(task: Task, sample: Sample, answer: str) -> Score:
    """Score the F1 of the calls: twice those that match, over all expected and made ones."""
    read = _Read(task, sample, answer)
    if read.failure is not None:
        return read.failure
    total = len(read.calls) + len(read.expected)
    value = 2 * read.matched() / total if total else 1.0
    return Score(value, detail="" if value == 1.0 else read.problem())


def tool_names(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when the right functions are chosen, whatever their arguments."""
    read = _Read(task, sample, answer)
    if read.failure is not None:
        return read.failure
    right = Counter(c.name for c in read.expected) == Counter(c["name"] for c in read.calls)
    return Score(float(right), detail="" if right else read.counted())


class _Read:
    """An answer beside its reference, both as calls."""

    def __init__(self, task: Task, sample: Sample, answer: str) -> None:
        self.expected = msgspec.convert(sample.reference, tuple[ExpectedCall, ...])
        self.checker = Checker(tools_of(task, sample.context), options_of(CallOptions, task))
        self.calls: list[dict[str, Any]] = []
        self.failure: Score | None = None
        try:
            self.calls = calls_in(answer)
        except NoCallsError as error:
            self.failure = Score(0.0, "invalid_output", f"no tool calls: {error}")

    def matched(self) -> int:
        """Return how many calls are right, each for one expected call."""

        def item(expected: ExpectedCall, call: Call) -> float:
            return float(not self.checker.problem(expected, call))

        if self.checker.options.ordered:
            pairs = zip(self.expected, self.calls, strict=False)
            return sum(item(*pair) == 1.0 for pair in pairs)
        return round(best_match(self.expected, self.calls, item))

    def counted(self) -> str:
        """Say which functions were called, and which should have been."""
        called = ", ".join(call["name"] for call in self.calls) or "nothing"
        wanted = ", ".join(call.name for call in self.expected) or "nothing"
        return f"calls {called} instead of {wanted}"

    def problem(self) -> str:
        """Return what is wrong with the first expected call that no made one matches."""
        for expected in self.expected:
            found = [self.checker.problem(expected, call) for call in self.calls]
            if found and "" not in found:
                named = [said for said in found if not said.startswith("calls ")]
                return (named or [self.counted()])[0]
        return self.counted()


class Checker:
    """Whether one call is an expected one, given the tools and how texts are compared."""

    def __init__(self, tools: Sequence[Tool], options: CallOptions) -> None:
        self.options = options
        self.defaults = {tool.name: _defaults(tool) for tool in tools}
        self.text = _TEXTS[options.text]

    def problem(self, expected: ExpectedCall, call: Call) -> str:
        """Return what is wrong with a call, nothing when it is the expected one."""
        if call["name"] != expected.name:
            return f"calls {call['name']} instead of {expected.name}"
        given = {k: v for k, v in call["arguments"].items() if not _left_out(expected, k, v)}
        for name in dict.fromkeys((*expected.accepted, *given)):
            wrong = self._argument(expected, name, given.get(name, _ABSENT))
            if wrong:
                return f"{expected.name}: {wrong}"
        return ""

    def _argument(self, expected: ExpectedCall, name: str, given: Any) -> str:
        default = self.defaults.get(expected.name, {}).get(name, _ABSENT)
        if name not in expected.accepted:
            fine = default is not _ABSENT and self._same(default, given, any_order=False)
            return "" if fine else f"argument {name} was not asked for"
        if given is _ABSENT:
            if name in expected.optional:
                return ""
            if default is _ABSENT:
                return f"argument {name} is missing"
            given = default
        loose = name in expected.any_order
        if any(self._same(one, given, any_order=loose) for one in expected.accepted[name]):
            return ""
        wanted = " or ".join(map(_shown, expected.accepted[name]))
        return f"argument {name} is {_shown(given)}, accepted {wanted}"

    def _same(self, wanted: Any, given: Any, *, any_order: bool) -> bool:
        if isinstance(wanted, str) and isinstance(given, str):
            return self.text(wanted) == self.text(given)
        if isinstance(wanted, Mapping) and isinstance(given, Mapping):
            return wanted.keys() == given.keys() and all(
                self._same(wanted[key], given[key], any_order=any_order) for key in wanted
            )
        if isinstance(wanted, list | tuple) and isinstance(given, list | tuple):
            return len(wanted) == len(given) and self._lists(wanted, given, any_order=any_order)
        if isinstance(wanted, bool) or isinstance(given, bool):
            return wanted is given
        return bool(wanted == given)

    def _lists(self, wanted: Sequence[Any], given: Sequence[Any], *, any_order: bool) -> bool:
        def item(one: Any, other: Any) -> float:
            return float(self._same(one, other, any_order=any_order))

        if any_order:
            return round(best_match(wanted, given, item)) == len(wanted)
        return all(map(item, wanted, given))


def _left_out(expected: ExpectedCall, name: str, value: Any) -> bool:
    """Null says that an argument is left out, unless null is what is accepted."""
    return value is None and None not in expected.accepted.get(name, ())


def _defaults(tool: Tool) -> dict[str, Any]:
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    known = ((name, one) for name, one in properties.items() if isinstance(one, Mapping))
    return {name: one["default"] for name, one in known if "default" in one}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _bfcl(text: str) -> str:
    return _LOOSE.sub("", text).lower().replace("'", '"')


_TEXTS: Mapping[str, Callable[[str], str]] = {"exact": _nfc, "squeezed": squeezed, "bfcl": _bfcl}
SOURCE = "Patil et al. (2025), BFCL ast_checker"
TOOL_CALLS = (
    Scorer(
        "tool_calls",
        1,
        f"every call right, in any order; {SOURCE}",
        tool_calls,
        binary=True,
        kinds=("tool_call",),
        options=CallOptions,
    ),
    Scorer(
        "tool_calls_f1",
        1,
        f"F1 of calls matched one to one; {SOURCE}",
        tool_calls_f1,
        kinds=("tool_call",),
        options=CallOptions,
    ),
    Scorer(
        "tool_names",
        1,
        f"the right functions chosen; {SOURCE}",
        tool_names,
        binary=True,
        kinds=("tool_call",),
        options=CallOptions,
    ),
)
