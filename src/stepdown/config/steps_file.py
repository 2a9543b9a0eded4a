"""steps.toml: the names that a team gave to the steps of its logs, to be read and committed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from stepdown.audit.step_rules import StepRules
from stepdown.errors import ConfigError

STEPS = "steps.toml"
HEAD = (
    "# Names of the steps of our logs, for `stepdown audit`: commit this file.\n"
    "# Written by `stepdown steps`; {*} in a template is any text.\n\n"
)


def read_steps(root: Path) -> StepRules:
    """Return the rules of a folder, none where there is no file.

    Raises:
        ConfigError: it is no TOML, or says something that is not known.
    """
    path = root / STEPS
    if not path.is_file():
        return StepRules()
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), StepRules)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}.", "Correct it, or see docs/verbs/steps.md.") from None


def steps_text(rules: StepRules) -> str:
    """Return the text of the file."""
    plain: dict[str, Any] = msgspec.to_builtins(rules)
    return HEAD + tomli_w.dumps(plain, multiline_strings=True)
