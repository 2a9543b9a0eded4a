"""Check what `stepdown.toml` says of signals that are bought, and of polishing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stepdown.config.naming import nearest
from stepdown.config.schema import FileKeys, TaskKeys
from stepdown.core.bought import Bought
from stepdown.core.task import TEXTS, Finish
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
TAKEN = ("draw", "triage")
REPEATING = ("recorded", "head", "extractor", "rule")  # give one answer, whatever they are asked
POLISHED = ("draft", "summarise")  # kinds of task whose answers a stronger tier may rewrite


def check_signals(keys: FileKeys, tiers: Mapping[str, Tier]) -> None:
    """Refuse signals that could not be bought.

    Raises:
        ConfigError: an unknown tier or signal, a tier that cannot be asked, a name that is taken.
    """
    for name, bought in keys.signals.items():
        where = f"signals.{name}"
        if not NAME.fullmatch(name) or name in (*TAKEN, *tiers):
            raise ConfigError(
                f"{where}: a signal cannot have this name.",
                f"Use letters, digits, - and _, and neither a tier nor {' nor '.join(TAKEN)}.",
            )
        for tier in (bought.tier, bought.about):
            if tier not in tiers:
                raise ConfigError(f"{where}: no tier {tier!r}.", nearest(tier, tiers, "tiers"))
        _check_askable(where, tiers[bought.tier])
    for task, said in keys.tasks.items():
        for name in said.signals:
            _check_use(task, said, name, keys.signals)


def _check_askable(where: str, tier: Tier) -> None:
    if tier.adapter in REPEATING:
        raise ConfigError(
            f"{where}: the tier {tier.name!r} ({tier.model}) gives one answer, whatever it is "
            "asked; it can neither vote nor judge.",
            "Name a tier that is a language model.",
        )


def _check_use(task: str, said: TaskKeys, name: str, known: Mapping[str, Bought]) -> None:
    where = f"tasks.{task}.signals"
    if name not in known:
        raise ConfigError(f"{where}: no signal {name!r}.", nearest(name, known, "signals"))
    bought = known[name]
    for tier in (bought.tier, bought.about):
        if tier not in said.tiers:
            raise ConfigError(
                f"{where}: {name!r} needs the tier {tier!r}, which is not one of the task's.",
                "Add it to `tiers`: what is asked must be locked and inside the boundary.",
            )
    if bought.kind == "vote" and said.kind in TEXTS:
        raise ConfigError(
            f"{where}: {name!r} is a vote, and two free texts are hardly ever the same.",
            "Use a signal of kind judge for this task.",
        )


def finish_of(said: TaskKeys) -> Finish:
    """Return when drafts are polished: as written, else when unsure where a customer sees them."""
    if said.finish is not None:
        return said.finish
    seen = said.customer_facing and said.kind in POLISHED and len(said.tiers) > 1
    return "when_unsure" if seen else "never"


def check_finish(task: str, said: TaskKeys) -> None:
    """Refuse a polish that could not happen.

    Raises:
        ConfigError: answers that are not free text, or a tier that the task does not have.
    """
    if said.polish_by and said.polish_by not in said.tiers:
        raise ConfigError(
            f"tasks.{task}.polish_by: {said.polish_by!r} is not one of the task's tiers.",
            nearest(said.polish_by, said.tiers, "tiers"),
        )
    if said.finish not in (None, "never") and said.kind not in POLISHED:
        raise ConfigError(
            f"tasks.{task}.finish: an answer of kind {said.kind!r} is not polished.",
            f"Polishing rewrites free text: {' and '.join(POLISHED)}.",
        )
