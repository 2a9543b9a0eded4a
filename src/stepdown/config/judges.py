"""[judges.NAME]: read rubrics, and find the judge of a task whose scorer is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from stepdown.config.naming import nearest
from stepdown.config.schema import TaskKeys
from stepdown.core.judge import Judge
from stepdown.core.task import within
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError

JUDGE = "judge"
SILENT = ("recorded", "head", "extractor", "rule", "encoder", "image")  # answer no question
LONGEST_RUBRIC = 100_000  # characters: about the context of a small model; more is a wrong file


def read_judges(
    root: Path, judges: Mapping[str, Judge], tiers: Mapping[str, Tier]
) -> dict[str, Judge]:
    """Return the judges with their rubrics read.

    Raises:
        ConfigError: an unknown tier, one that cannot judge, no rubric or two, or no such file.
    """
    return {name: _read(root, name, judge, tiers) for name, judge in judges.items()}


def judge_of(
    task: str,
    said: TaskKeys,
    scorer: tuple[str, Mapping[str, Any]],
    judges: Mapping[str, Judge],
    tiers: Mapping[str, Tier],
) -> Judge | None:
    """Return the judge of a task, None where another scorer scores it.

    Raises:
        ConfigError: no such judge, several and none is named, or one outside the boundary.
    """
    if scorer[0] != JUDGE:
        return None
    name = str(scorer[1].get("judge", "")) or _only(f"tasks.{task}.scorer", judges)
    if name not in judges:
        hint = nearest(name, judges, "judges")
        raise ConfigError(f"tasks.{task}.scorer: no judge {name!r}.", hint)
    judge = judges[name]
    place = tiers[judge.tier].place
    if not within(place, said.boundary):
        raise ConfigError(
            f"tasks.{task}: the judge {name!r} asks the tier {judge.tier!r} at {place!r}, outside "
            f"the boundary {said.boundary!r}; the task's data may never go there.",
            "Judge with a tier inside the boundary, or widen `boundary`.",
        )
    return replace(judge, name=name)


def _only(where: str, judges: Mapping[str, Judge]) -> str:
    if not judges:
        raise ConfigError(
            f"{where}: the scorer is a judge, and there is none.",
            "Write a section [judges.NAME] with `tier`, `rubric` and `grades`.",
        )
    if len(judges) > 1:
        first = next(iter(judges))
        raise ConfigError(
            f"{where}: the scorer is a judge, and there are {len(judges)}: {', '.join(judges)}.",
            f'Write scorer = {{ name = "judge", judge = "{first}" }}.',
        )
    return next(iter(judges))


def _read(root: Path, name: str, judge: Judge, tiers: Mapping[str, Tier]) -> Judge:
    where = f"judges.{name}"
    if judge.tier not in tiers:
        raise ConfigError(f"{where}: no tier {judge.tier!r}.", nearest(judge.tier, tiers, "tiers"))
    adapter = tiers[judge.tier].adapter
    if adapter in SILENT:
        raise ConfigError(
            f"{where}: the tier {judge.tier!r} is `{adapter}:`, which answers no question.",
            "Judge with a language model: `llama:`, `openai:` or `anthropic:`.",
        )
    if bool(judge.rubric.strip()) == (judge.rubric_file is not None):
        raise ConfigError(
            f"{where}: needs `rubric` or `rubric_file`, and not both.",
            "Say in the rubric what a good answer is, grade by grade.",
        )
    if judge.rubric_file is None:
        return judge
    return replace(judge, rubric=_rubric(root / judge.rubric_file, where))


def _rubric(path: Path, where: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(
            f"{where}.rubric_file: {path.name} cannot be read: {why}.", "Paths are in the project."
        ) from None
    if not text.strip() or len(text) > LONGEST_RUBRIC:
        raise ConfigError(
            f"{where}.rubric_file: {path.name} has {len(text):,} characters; a rubric has 1 to "
            f"{LONGEST_RUBRIC:,}."
        )
    return text
