"""Whether fine-tuning pays: each verdict, from figures (SYNTHETIC, made for the rule)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stepdown.core.report import Claim
from stepdown.train.advising import FEWEST_OF_LABEL, Figures, advise

SHORT = Claim(0.05, "score", 0.02, 0.08, 0.95, 200)
FIGURES = Figures(
    task="intent", kind="classify", n_train=400, fewest_of_label=40, answer_tokens=2.0,
    closed=True, rare_words=0.02, familiarity=0.5, floor=0.9, best="small",
    best_score=Claim(0.85, "score", 0.8, 0.9, 0.95, 200), gap=SHORT, calls_month=100_000.0,
    ceiling_usd=Claim(2.0, "usd"), best_usd=Claim(0.5, "usd"), fixed_usd=300.0,
)  # fmt: skip


def test_what_pays_is_said_with_calls_and_months() -> None:
    found = advise(FIGURES)
    assert found.verdict == "pays"
    assert found.figures.break_even_calls == pytest.approx(200_000)
    assert found.figures.break_even_months == pytest.approx(2.0)
    assert "after 200,000 calls, in 2.0 months" in found.sentence
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({"n_train": 0}, "label", "label rows first"),
        ({"fewest_of_label": FEWEST_OF_LABEL - 1}, "label", "only 7 rows"),
        ({"gap": Claim(-0.03, "score", -0.05, 0.0, 0.95, 200)}, "passes", "keeps the floor"),
        ({"untrained": ("expert",)}, "local", "stepdown train intent"),
        ({"headless": True}, "local", "--add-tier"),
        ({"gap": Claim(None, "score", n=0)}, "unknown", "stepdown eval intent"),
        ({"best_usd": Claim(3.0, "usd")}, "never", "nothing would be saved"),
        ({"fixed_usd": None}, "unknown", "--fixed-usd"),
        ({"calls_month": None}, "unknown", "your volume is unknown"),
        ({"calls_month": 1_000.0}, "costs", "200 months"),
    ],
)
def test_each_verdict_has_its_reason(change: dict[str, object], verdict: str, says: str) -> None:
    found = advise(replace(FIGURES, **change))
    assert found.verdict == verdict
    assert says in found.sentence


def test_what_is_unknown_is_named_and_never_nought() -> None:
    bare = replace(
        FIGURES, calls_month=None, fixed_usd=None, ceiling_usd=Claim(None, "usd"), floor=None,
        familiarity=None,
    )  # fmt: skip
    found = advise(bare)
    assert len(found.unknown) == 5
    assert found.figures.saved_usd is None
    assert found.figures.break_even_calls is None


def test_a_gap_that_may_be_none_is_no_pass() -> None:
    unsure = replace(FIGURES, gap=Claim(-0.01, "score", -0.04, 0.02, 0.95, 200))
    found = advise(unsure)
    assert found.verdict == "unknown"
    assert "do not settle it" in found.sentence
