"""How `train advise` is shown: a sentence for each task, then the figures that led to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins

from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.train.advising import Advice, Verdict

TONES: dict[Verdict, Any] = {"passes": "good", "local": "good", "pays": "good", "never": "bad"}


def document(found: Sequence[Advice]) -> Document:
    """Return the report."""
    return Document(
        title="Train advise",
        sections=tuple(_section(one) for one in found),
        footer=(
            "Nothing was asked and nothing paid: answers are those that earlier evals kept. The "
            "gap is what a perfect training could close; whether it does, an eval says."
        ),
    )


def _section(one: Advice) -> Section:
    figures = one.figures
    rows: tuple[tuple[Cell, ...], ...] = (
        ("rows to train on", Claim(figures.n_train, "count")),
        ("rows of the rarest label", _count(figures.fewest_of_label)),
        ("answers", "one of a closed set" if figures.closed else figures.kind),
        ("tokens of an answer, mean", Claim(figures.answer_tokens, "tokens")),
        ("words that the encoder cuts in 3 or more", Claim(figures.rare_words, "share")),
        ("familiarity of fresh rows, median", Claim(figures.familiarity, "score")),
        ("floor", Claim(figures.floor, "score")),
        (f"best small tier: {figures.best or 'none measured'}", figures.best_score),
        ("short of the floor (below 0: it passes)", figures.gap),
        ("calls a month", Claim(figures.calls_month, "count")),
        ("$/1k calls, ceiling", figures.ceiling_usd),
        ("$/1k calls, best small tier", figures.best_usd),
        ("a training costs", Claim(figures.fixed_usd, "usd")),
        ("calls until it is paid for", Claim(figures.break_even_calls, "count")),
        ("months until then", Claim(figures.break_even_months)),
    )
    table = Table(
        title="Figures used",
        columns=(Column("figure"), Column("value", numeric=True)),
        rows=rows,
        notes=tuple(f"unknown: {said}" for said in one.unknown),
    )
    return Section(figures.task, (Prose(one.sentence, TONES.get(one.verdict, "warn")), table))


def _count(value: int | None) -> Claim | None:
    return None if value is None else Claim(value, "count")


def as_data(one: Advice) -> dict[str, Any]:
    """Return an advice as plain JSON, with what follows from its figures."""
    figures = one.figures
    return {
        **to_builtins(one),
        "saved_usd": figures.saved_usd,
        "break_even_calls": figures.break_even_calls,
        "break_even_months": figures.break_even_months,
    }
