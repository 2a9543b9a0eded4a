"""Whether fine-tuning pays for a task: a verdict in a sentence, from figures that may be unknown.

It is told the figures and reads nothing. No threshold of its own decides: a gap is compared with
nought, costs with each other; the one number that is declared is the fewest rows of a label.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from stepdown.core.report import Claim

# Under so many rows of a label, label first: with 8 a head on a frozen encoder reached .739 to .829
# of 77 intents, with 16 .808 to .880, with all 10,003 .903 to .930 (banking77; static to MiniLM).
FEWEST_OF_LABEL = 8

Verdict = Literal["label", "passes", "local", "pays", "costs", "unknown", "never"]


class Figures(Struct, frozen=True, kw_only=True):
    """What is known of a task; None is unknown.

    `gap` is how much the best small tier falls short of the floor (below 0: it passes), with the
    interval of the paired difference. `calls_month` is the volume, `saved_usd` what a call saves
    that the best small tier answers instead of the ceiling, `fixed_usd` what a training costs.
    `rare_words` is the share of words that the shipped encoder's vocabulary cuts in three or more
    pieces; `familiarity` the median of what the head says of fresh rows. `untrained` are tiers that
    wait for a first training here; `headless` says that answers are labels and no tier is a head.
    """

    task: str
    kind: str
    n_train: int
    fewest_of_label: int | None
    answer_tokens: float | None
    closed: bool
    rare_words: float | None
    familiarity: float | None
    floor: float | None
    best: str | None
    best_score: Claim
    gap: Claim
    calls_month: float | None
    ceiling_usd: Claim
    best_usd: Claim
    fixed_usd: float | None
    untrained: tuple[str, ...] = ()
    headless: bool = False

    @property
    def saved_usd(self) -> float | None:
        """Dollars that a call saves; None where a price is unknown."""
        if self.ceiling_usd.value is None or self.best_usd.value is None:
            return None
        return (self.ceiling_usd.value - self.best_usd.value) / 1000

    @property
    def break_even_calls(self) -> float | None:
        """Calls until a training has paid for itself; None where unknown, or never."""
        if self.saved_usd is None or self.fixed_usd is None or self.saved_usd <= 0:
            return None
        return self.fixed_usd / self.saved_usd

    @property
    def break_even_months(self) -> float | None:
        """Months until then, at today's volume."""
        calls = self.break_even_calls
        return calls / self.calls_month if calls is not None and self.calls_month else None


class Advice(Struct, frozen=True, kw_only=True):
    """The verdict on a task, why, and which figures are missing."""

    figures: Figures
    verdict: Verdict
    sentence: str
    unknown: tuple[str, ...]


def advise(figures: Figures) -> Advice:
    """Return the verdict on one task."""
    verdict, sentence = _verdict(figures)
    return Advice(
        figures=figures, verdict=verdict, sentence=sentence, unknown=tuple(_unknown(figures))
    )


def _verdict(one: Figures) -> tuple[Verdict, str]:
    """Take the first that applies: rows, what passes, what costs nothing, what is unknown."""
    found = _from_rows(one) or _from_here(one)
    if found is not None:
        return found
    if one.gap.value is None:
        return "unknown", f"Nobody measured a small tier: `stepdown eval {one.task}` comes first."
    if one.gap.value <= 0:
        said = f"{one.best} keeps the floor on average, and {one.gap.n} rows do not settle it"
        return "unknown", f"{said}: label more rows before you pay for a training."
    return _paid(one)


def _from_rows(one: Figures) -> tuple[Verdict, str] | None:
    few = one.fewest_of_label
    if one.n_train == 0:
        return "label", "There is nothing to learn from: label rows first."
    if one.gap.high is not None and one.gap.high <= 0:
        return (
            "passes",
            f"{one.best} keeps the floor already: certify it, nothing is to be trained.",
        )
    if few is not None and few < FEWEST_OF_LABEL:
        return (
            "label",
            f"A label has only {few} rows: label at least {FEWEST_OF_LABEL} of each first.",
        )
    return None


def _from_here(one: Figures) -> tuple[Verdict, str] | None:
    """Return the verdict where a training on this machine is to come first."""
    if one.untrained:
        said = f"{', '.join(one.untrained)} waits for its first training, here and without a bill"
        return "local", f"{said}: `stepdown train {one.task}`."
    if one.headless:
        said = "Answers are labels and no tier is a head: that is trained here and without a bill"
        return "local", f"{said}: `stepdown train {one.task} --add-tier`."
    return None


def _paid(one: Figures) -> tuple[Verdict, str]:
    """Return the verdict on a training that costs money."""
    short = f"{one.best} is {one.gap.value:.3f} short of the floor"
    if one.saved_usd is not None and one.saved_usd <= 0:
        return "never", f"{short}, and it costs no less than the ceiling: nothing would be saved."
    calls, months = one.break_even_calls, one.break_even_months
    if calls is None:
        return "unknown", f"{short}; whether a training pays is unknown: {_first_unknown(one)}."
    if months is None:
        return (
            "unknown",
            f"{short}; a training pays after {calls:,.0f} calls, your volume is unknown.",
        )
    said = f"{short}; if a training closes that, it pays after {calls:,.0f} calls"
    if months <= 12:  # a year: hosted models have ended sooner than that after their release
        return "pays", f"{said}, in {months:.1f} months at today's volume."
    return (
        "costs",
        f"{said}, which is {months:.0f} months at today's volume: hardly before it ages.",
    )


def _first_unknown(one: Figures) -> str:
    return next(iter(_unknown(one)), "no price is known")


def _unknown(one: Figures) -> list[str]:
    said = {
        "how many calls a month (a ledger, or --calls-per-month)": one.calls_month,
        "what the ceiling costs a call": one.ceiling_usd.value,
        "what the best small tier costs a call": one.best_usd.value,
        "what a training costs (--fixed-usd)": one.fixed_usd,
        "the floor": one.floor,
        "how familiar fresh rows are (no head is trained)": one.familiarity,
    }
    return [name for name, value in said.items() if value is None]
