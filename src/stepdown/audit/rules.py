"""The limits by which an audit judges, as data: every verdict names the limit that it met.

They are our choice (November 2026), not measurements; a project may pass its own `Rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct, field

TierClass = Literal["rule", "expert", "small", "stay"]


class Assumption(Struct, frozen=True):
    """What a saving assumes about a class of tier: the share of calls it keeps, from low to high.

    `usd_per_call` is what one attempt of that tier costs, None when nobody has said; then the
    saving is before that cost and says so.
    """

    kept_low: float
    kept_high: float
    usd_per_call: float | None = None
    source: str = ""


ASSUMPTIONS: Mapping[str, Assumption] = MappingProxyType(
    {
        "rule": Assumption(0.5, 1.0),
        "expert": Assumption(0.5, 1.0),
        "small": Assumption(0.0, 1.0),
    }
)


class Rules(Struct, frozen=True, kw_only=True):
    """Limits of the audit. Shares are fractions 0..1.

    `unseen`: Good-Turing chance of an answer never seen before, under which a set is bounded
    (Good, Biometrika 40, 1953: singletons over n). `label_words`: longest label. `stable_keys`:
    share of answers with the same JSON keys. `copied`: share of values that stand in the input.
    `fixed`, `fixed_words`: the least that the fixed words of a system prompt with variables are, as
    a share of a middling prompt and as a count.
    `rewritten`: share of an answer's words that are the input's, at a like length, for a polish.
    `shortened`: answer over input length under which prose is a summary. `long_prose_tokens`: a
    longer p95 answer is open-ended. `variable_values`: a place of a system prompt with more
    different values is a variable. `alike`: share of common words of two such prompts.
    """

    enough_calls: int = 200
    template_inputs: int = 20
    matches: float = 0.95
    most_labels: int = 300
    label_words: int = 8
    unseen: float = 0.05
    stable_keys: float = 0.9
    copied: float = 0.6
    rewritten: float = 0.6
    fixed: float = 0.3
    fixed_words: int = 4
    shortened: float = 0.35
    summary_input_chars: int = 1200
    long_prose_tokens: int = 700
    long_context_tokens: int = 32_000
    many_tools: int = 5
    sample: int = 400
    distinct_answers: int = 2000
    answer_chars: int = 300
    most_steps: int = 1000
    variable_values: int = 12
    alike: float = 0.8
    assumptions: Mapping[str, Assumption] = field(default_factory=lambda: dict(ASSUMPTIONS))
