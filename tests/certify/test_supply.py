"""Signals made where a policy reads them: rows that cannot be read are unknown, alone."""

import numpy as np

from stepdown.certify.supply import Sources, raw_signals, supplied, with_triage
from stepdown.core.derived import Linear
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Action, Clause, Policy, Row
from stepdown.core.replay_array import Panel, panel

TIERS = ("small", "big")


class Letters:
    """An encoder of a few letters: enough to tell `aaa` from `bbb`."""

    name = "letters"
    digest = "sha256:letters"
    dim = 3

    def embed(self, texts: list[str]) -> np.ndarray:
        counts = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32)
        length = np.linalg.norm(counts, axis=1, keepdims=True)
        return counts / np.where(length == 0, 1, length)


def rows(n: int = 200, *, without: int | None = None) -> Panel:
    """The small tier is right on `a`, wrong on `b`; one row may lack its prompt."""
    found = []
    for i in range(n):
        easy = (i * 7) % 10 < 5
        prompt = None if i == without else ("a" if easy else "b") * 5 + "c" * (i % 3)
        for tier in TIERS:
            score = float(easy or tier == "big")
            found.append(Outcome(query_id=f"q{i}", tier=tier, score=score, prompt=prompt))
    return panel(found)


def test_a_row_without_its_prompt_is_unknown_and_changes_no_other() -> None:
    _, triage = with_triage(rows(), TIERS, Letters(), 7)
    assert triage is not None
    sources = Sources(7, triage, Letters())
    whole, holed = (supplied(rows(without=w), ["triage.small"], sources) for w in (None, 3))
    there = np.arange(200) != 3
    assert np.isnan(holed.signals["triage.small"][3])
    assert np.allclose(
        holed.signals["triage.small"][there], whole.signals["triage.small"][there], atol=1e-12
    )


def test_triage_tells_easy_from_hard_rows_that_its_fit_did_not_see() -> None:
    table, _ = with_triage(rows(), TIERS, Letters(), 7)
    foreseen, right = table.signals["triage.small"], table.score["small"]
    assert foreseen[right == 1].mean() > foreseen[right == 0].mean() + 0.5


def test_nothing_is_foretold_from_few_rows_or_of_one_tier() -> None:
    assert with_triage(rows(20), TIERS, Letters(), 7)[1] is None
    assert with_triage(rows(), ("big",), Letters(), 7)[1] is None


def test_draws_belong_to_the_query_and_the_seed() -> None:
    one, two = (supplied(rows(50), ["draw"], Sources(seed)).signals["draw"] for seed in (1, 2))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, supplied(rows(50), ["draw"], Sources(1)).signals["draw"])


def test_a_signal_that_the_table_holds_is_not_made_again() -> None:
    table = rows(50).with_signal("draw", np.zeros(50))
    assert not supplied(table, ["draw"], Sources(1)).signals["draw"].any()


def test_the_raw_signals_of_a_policy_are_those_under_its_formulas() -> None:
    keep = Clause("sum", 0.5, Action("accept", "small"))
    policy = Policy(
        tiers=TIERS,
        rows=(
            Row(called=(), otherwise=Action("call", "small")),
            Row(called=("small",), when=(keep,), otherwise=Action("call", "big")),
            Row(called=TIERS, otherwise=Action("accept", "big")),
        ),
    )
    derived = {"sum": Linear(("small.a", "triage.small"), (1.0, 1.0), (0.0, 0.0))}
    assert raw_signals([(policy, derived)]) == {"small.a", "triage.small"}
