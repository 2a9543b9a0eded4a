"""The scorers by name: those that ship, those of other packages, and any function of the user's.

`scorer_of(task)` is what runs use: the scorer with the digest of all that the task tells it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from stepdown.core.task import Task
from stepdown.errors import ConfigError
from stepdown.evals.scorers.compared import COMPARED
from stepdown.evals.scorers.custom import custom_scorer, plugged_scorers
from stepdown.evals.scorers.fields import FIELDS
from stepdown.evals.scorers.judged import JUDGED
from stepdown.evals.scorers.labels import LABELS
from stepdown.evals.scorers.metrics import METRICS
from stepdown.evals.scorers.retrieval import RETRIEVAL
from stepdown.evals.scorers.scorer import Scorer, check_options, settings_of
from stepdown.evals.scorers.texts import TEXTS
from stepdown.evals.scorers.tool_calls import TOOL_CALLS
from stepdown.evals.text_metrics import missing

FAMILIES = (LABELS, FIELDS, COMPARED, TOOL_CALLS, TEXTS, METRICS, JUDGED, RETRIEVAL)
SCORERS: Mapping[str, Scorer] = {one.name: one for family in FAMILIES for one in family}


def scorer_for(name: str, known: Mapping[str, Scorer] = SCORERS) -> Scorer:
    """Return the scorer of a name; `package.module:function` is any function of the user's.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name in known:
        return known[name]
    if ":" in name:
        return custom_scorer(name)
    plugged = plugged_scorers(name)
    if plugged is not None:
        return plugged
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
    raise ConfigError(f"There is no scorer {name!r}.", hint)


def scorer_of(task: Task) -> Scorer:
    """Return the scorer of a task; its id covers what the task tells it.

    Raises:
        ConfigError: there is none of that name, or its library is not installed.
    """
    scorer = scorer_for(task.scorer)
    if scorer.needs and find_spec(scorer.needs) is None:
        raise missing(scorer.needs)
    return dataclasses.replace(scorer, settings=settings_of(scorer, task))


def check_scorer(name: str, told: dict[str, Any], kind: str) -> None:
    """Refuse a scorer that there is none of, that is for other tasks, or told what it cannot be.

    The user's own functions are not imported here: they are when they are first needed.

    Raises:
        ConfigError: says what is allowed.
    """
    if ":" in name:
        return
    scorer = scorer_for(name)
    if scorer.kinds and kind not in scorer.kinds:
        raise ConfigError(
            f"{name!r} is for {', '.join(scorer.kinds)}, not for a {kind} task.",
            "See docs/scorers.md.",
        )
    check_options(scorer, told)


def is_binary(task: Task) -> bool:
    """Tell whether only scores of 0 and 1 can occur, as far as the scorer is known."""
    if task.judge is not None:
        return task.judge.binary
    try:
        return scorer_for(task.scorer).binary
    except ConfigError:
        return False
