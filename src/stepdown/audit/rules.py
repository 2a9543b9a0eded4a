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

    An attempt costs `usd_per_call`, or what `model` lists for today's tokens times a ratio (other
    families cut text into other tokens); the low end takes `tokens_high`. With neither the saving
    is before that cost and says so. `host_usd_month` is what hosting costs at the low end.
    """

    kept_low: float
    kept_high: float
    usd_per_call: float | None = None
    source: str = ""
    model: str | None = None
    tokens_low: float = 0.9
    tokens_high: float = 1.3
    host_usd_month: float = 0.0


ASSUMPTIONS: Mapping[str, Assumption] = MappingProxyType(
    {
        "rule": Assumption(0.5, 1.0, 0.0, "runs inside the process that calls"),
        "expert": Assumption(
            0.5, 0.95, 0.0, "runs on processors that you have", host_usd_month=30.0
        ),
        "small": Assumption(0.3, 0.9, model="openai/gpt-5-nano"),
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
    different values is a variable. `alike`: share of what two groups of prompts always say that
    they must have in common to be one step, `alike_same`: where their answers have the same fields
    or labels. `learn`: different prompts that steps are learnt from, `most_groups`: groups of them
    that are compared. `cache_tokens`, `cache_s`: the shortest beginning that a cache holds, where
    `prefixes.LEAST_TOKENS` does not say (OpenAI, Prompt caching, November 2026), and how long it is
    kept unused (Anthropic, Prompt caching). `burst_calls`, `burst_times`: calls
    of a minute, and times the usual, that look like a job. `sample`, `sample_chars`: answered calls
    of a step that are kept for the inference, and their letters together. `bytes_per_token`: of
    prompts, where the log counts no tokens of a part. `tail_inputs`: the fewest inputs of which a
    tail is told; `tail_near`: how near the nearest other input must be, as a share of what is usual
    in the step, or it is unlike all; `tail_unlike`, `tail_stretch`: the share of such inputs, and
    the 99th percentile of lengths over the median, above which a tail is long. `customer_facing`,
    `high_stakes`: patterns of names of steps, None: names and prompts are read for hints.
    `max_loss`: the promise that a proof is planned for; `tune_rows`: tune rows for each certify
    row, by the usual shares of a project. `judge_prompt_tokens`, `judge_output_tokens`: what a
    judge reads beside what it judges, and writes.
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
    sample_chars: int = 4_000_000
    bytes_per_token: float = 4.0
    cache_tokens: int = 1024
    cache_s: int = 300
    burst_calls: int = 30
    burst_times: float = 10.0
    month_days: float = 365.25 / 12
    distinct_answers: int = 2000
    answer_chars: int = 300
    most_steps: int = 1000
    variable_values: int = 12
    alike: float = 0.65
    alike_same: float = 0.2
    learn: int = 1000
    most_groups: int = 120
    tail_inputs: int = 50
    tail_near: float = 0.5
    tail_unlike: float = 0.05
    tail_stretch: float = 10.0
    customer_facing: tuple[str, ...] | None = None
    high_stakes: tuple[str, ...] | None = None
    max_loss: float = 0.03
    tune_rows: float = 0.43
    judge_prompt_tokens: int = 300
    judge_output_tokens: int = 100
    assumptions: Mapping[str, Assumption] = field(default_factory=lambda: dict(ASSUMPTIONS))
