"""Group calls that nobody named by the template of their system prompt.

Variables that show (numbers, dates, addresses) are masked. Templates that still differ
are one step only when there are many of them that are much alike: a place with many values is a
variable; a place with a few may as well be the difference between two steps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from stepdown.audit.rules import Rules
from stepdown.core.request import Message

_VARIABLE = re.compile(
    r"https?://\S+"
    r"|[\w.+-]+@[\w-]+\.[\w.]+"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\S*\d\S*"
)


def template_of(messages: Sequence[Message] | None) -> str | None:
    """Return a call's system prompt with its variables masked, None when it has none."""
    said = [m.text for m in messages or () if m.role in ("system", "developer")]
    text = " ".join(said).strip()
    return " ".join(_VARIABLE.sub("<*>", text).split()) if text else None


def merged(templates: Mapping[str, int], rules: Rules) -> dict[str, str]:
    """Return for each template the one that stands for its step. `templates` are call counts."""
    groups: list[tuple[Counter[str], list[str]]] = []
    for template in sorted(templates, key=lambda name: (-templates[name], name)):
        words = Counter(template.split())
        home = next((group for group in groups if _alike(group[0], words) >= rules.alike), None)
        if home is None:
            groups.append((words, [template]))
        else:
            home[1].append(template)
    return _chosen([members for _, members in groups], rules)


def _chosen(groups: list[list[str]], rules: Rules) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for members in groups:
        one = len(members) > rules.variable_values
        chosen.update({member: members[0] if one else member for member in members})
    return chosen


def _alike(first: Counter[str], second: Counter[str]) -> float:
    """Return the share of common words (Jaccard on multisets)."""
    return (first & second).total() / (first | second).total()
