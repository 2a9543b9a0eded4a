"""What an audit writes of a log, without secrets and obvious personal data.

In a prompt they become open places: the contract still knows the requests that carry them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from stepdown.audit.drafting import Draft, task_name
from stepdown.core.asked import Tool
from stepdown.core.contract import Contract
from stepdown.core.masking import mask, masked
from stepdown.core.pattern import OPEN
from stepdown.evals.candidates import Candidate, Judged


def hidden_row(found: Judged) -> Judged:
    """Return a row of an eval set, or one that was left out, without what must not be shown."""
    if not isinstance(found, Candidate):
        return replace(found, excerpt=mask(found.excerpt), why=mask(found.why))
    return replace(
        found,
        text=mask(found.text),
        whole=mask(found.whole),
        reference=masked(found.reference),
        around=masked(found.around),
    )


def hidden_draft(one: Draft) -> Draft:
    """Return a draft without what must not be shown; its `step` stays, to find its calls by."""
    contract, why = _contract(one.contract)
    return replace(
        one,
        name=task_name(mask(one.name)),
        contract=contract,
        labels=tuple(dict.fromkeys(map(mask, one.labels))),
        schema=None if one.schema is None else _schema(one.schema),
        tools=tuple(msgspec.convert(masked(msgspec.to_builtins(tool)), Tool) for tool in one.tools),
        notes=tuple(map(mask, one.notes)),
        problem=one.problem or why,
    )


def _contract(found: Contract) -> tuple[Contract, str | None]:
    if mask(found.output) != found.output:
        return replace(found, output="{answer}"), "a secret stands in what its parser expects"
    system = None if found.system is None else mask(found.system, OPEN)
    try:
        return replace(found, system=system, user=mask(found.user, OPEN)), None
    except ValueError:
        return Contract(), "a secret stands in its prompt beside the input"


def _schema(value: Any) -> Any:
    """Return a schema masked, with each value of an enumeration once."""
    hidden = masked(value)
    return _once(hidden)


def _once(value: Any) -> Any:
    if isinstance(value, list):
        return [_once(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _distinct(item) if key == "enum" and isinstance(item, list) else _once(item)
        for key, item in value.items()
    }


def _distinct(items: list[Any]) -> list[Any]:
    return [item for place, item in enumerate(items) if item not in items[:place]]
