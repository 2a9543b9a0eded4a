"""Scorers that are not ours: `package.module:function`, and entry points of `stepdown.scorers`.

A function is called as `function(answer, reference, sample)` with the canonical answer as text, the
reference as the data hold it, and the sample as a mapping (`id`, `input`, `meta`, ...); what the
task tells its scorer follows as keywords. It returns a number 0..1, a boolean, or a mapping with
`value` and perhaps `detail` and `failure`. The digest of its module's source is its version, so a
changed scorer scores anew. What it raises fails the one sample, with the reason.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from stepdown.core.digest import digest_bytes
from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.scorer import DIGITS, Score, Scorer

GROUP = "stepdown.scorers"
FAILED = "scorer_error"
SHOWN = 200  # characters of what a scorer raised


def custom_scorer(name: str) -> Scorer:
    """Return the function at `package.module:function` as a scorer.

    Raises:
        ConfigError: there is no such module or function, or it cannot be called.
    """
    module_name, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - the user's module may raise anything
        raise ConfigError(
            f"The scorer {name!r} cannot be imported: {type(error).__name__}: {error}.",
            "Write package.module:function; the project's folder is searched too.",
        ) from None
    for step in attribute.split("."):
        found = getattr(found, step, None)  # type: ignore[assignment]
    return _scorer(name, found, f"function {name}")


def plugged_scorers(name: str) -> Scorer | None:
    """Return the scorer that another package offers under a name, None when none does.

    Raises:
        ConfigError: it cannot be loaded.
    """
    for point in entry_points(group=GROUP, name=name):
        try:
            found = point.load()
        except Exception as error:  # noqa: BLE001 - another package may raise anything
            raise ConfigError(
                f"The scorer {name!r} ({point.value}) cannot be loaded: {error}."
            ) from None
        return _scorer(name, found, f"entry point {point.value}")
    return None


def _scorer(name: str, found: object, source: str) -> Scorer:
    if isinstance(found, Scorer):
        return found
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ConfigError(
            f"The scorer {name!r} is no plain function.",
            "It is called as function(answer, reference, sample) and returns 0 to 1.",
        )
    return Scorer(
        name,
        _version(found),
        source,
        _guarded(name, found),
        binary=bool(getattr(found, "binary", False)),
    )


def _version(function: Callable[..., Any]) -> str:
    """Return the digest of the module that holds a function."""
    path = inspect.getsourcefile(inspect.unwrap(function)) or inspect.getfile(function)
    return digest_bytes(Path(path).read_bytes()).removeprefix("sha256:")[:DIGITS]


def _guarded(name: str, function: Callable[..., Any]) -> Callable[[Task, Sample, str], Score]:
    def score(task: Task, sample: Sample, answer: str) -> Score:
        shown = msgspec.structs.asdict(sample)
        try:
            return _score(function(answer, sample.reference, shown, **task.scoring))
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            said = f"{name} raised {type(error).__name__}: {error}"
            return Score(0.0, FAILED, said[:SHOWN])

    return score


def _score(found: Any) -> Score:
    if isinstance(found, Score):
        return found
    if isinstance(found, Mapping):
        return Score(float(found["value"]), found.get("failure"), str(found.get("detail", "")))
    return Score(float(found))
