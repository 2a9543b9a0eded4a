"""A replay on other data: what was promised, what it cost, who answered, and why."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from stepdown.core.derived import Lead
from stepdown.core.lock import Beside, Guarantee, Lock, LockedTask
from stepdown.core.outcome import Outcome
from stepdown.core.policy import Policy, cascade, single
from stepdown.core.task import Promise
from stepdown.errors import DataError, LockError
from stepdown.wiring.comparing import Comparison
from stepdown.wiring.replay_report import document
from stepdown.wiring.replaying import Asked, Replay, replay_asked, replay_lock

N = 200
CASCADE = cascade(("small", "big"), (0.5,))


def row(i: int, tier: str, **keys: Any) -> Outcome:
    price = {"small": 0.001, "big": 0.01}
    return Outcome(**{"query_id": f"q{i}", "tier": tier, "cost_usd": price.get(tier), **keys})


def rows(small_right: float = 0.9, **keys: Any) -> list[Outcome]:
    """Half are kept by the small tier, which is right on `small_right` of these; big on all."""
    found = []
    for i in range(N):
        sure, right = i % 2 == 0, float((i // 2) % 10 < 10 * small_right)
        signals = {"confidence": 0.9 if sure else 0.1}
        said = {"answer": "a" if right else "b", "truth": "a", **keys}
        found.append(row(i, "small", score=right, signals=signals, latency_s=1.0, **said))
        found.append(row(i, "big", score=1.0, latency_s=3.0, **{**said, "answer": "a"}))
    return found


def lock(promise: str = "max_loss", level: float | None = 0.1, **keys: Any) -> Lock:
    stated = Guarantee(state="certified", promise=promise, level=level, delta=0.1, **keys)
    return lock_of(CASCADE, stated)


def lock_of(policy: Policy, stated: Guarantee, **keys: Any) -> Lock:
    task = LockedTask(policy=policy, contract="", settings="", guarantee=stated, tiers={}, **keys)
    return Lock(version=1, generator="t", project="p", tasks={"intent": task})


def compared(outcomes: list[Outcome], held: Lock | None = None, **keys: Any) -> Comparison:
    found = replay_asked(Asked(lock=held or lock(), compare=True, **keys), outcomes).comparison
    assert found is not None
    return found


def verdict(found: Replay) -> tuple[str, ...]:
    return tuple(one.verdict for one in found.promises)


def test_the_figures_are_those_of_the_rows() -> None:
    found = replay_lock(lock(), "intent", rows())
    assert found.kept == {"small": 0.5, "big": 0.5}
    assert found.score.value == pytest.approx(0.95)
    assert found.loss.value == pytest.approx(0.05)
    assert found.cost_usd.value == pytest.approx(0.006)
    assert found.always_ceiling_usd.value == pytest.approx(0.01)
    assert found.saved is not None
    assert found.saved.value == pytest.approx(0.4)
    assert found.latency_s.value == pytest.approx(2.5)


@pytest.mark.parametrize(("level", "said"), [(0.2, "held"), (0.05, "open"), (0.01, "contradicted")])
def test_a_loss_is_held_open_or_contradicted(level: float, said: str) -> None:
    found = replay_lock(lock(level=level), "intent", rows())
    assert verdict(found) == (said,)
    assert found.broken == (said == "contradicted")


@pytest.mark.parametrize(
    ("promise", "level", "figure"),
    [
        ("floor", 0.8, 0.95),
        ("min_score", 0.7, 0.9),
        ("min_agreement", 0.7, 0.9),
        ("max_disagreement", 0.2, 0.05),
    ],
)
def test_every_kind_of_promise_has_its_own_figure(
    promise: str, level: float, figure: float
) -> None:
    found = replay_lock(lock(promise, level), "intent", rows())
    assert found.promises[0].figure.value == pytest.approx(figure)
    assert verdict(found) == ("held",)


def test_the_cost_of_errors_is_read_from_the_project() -> None:
    held = lock("max_error_cost", 2.0)
    assert verdict(replay_lock(held, "intent", rows())) == ("open",)
    promise = Promise(max_error_cost=2.0, error_costs={"a": {"b": 10.0}})
    found = replay_asked(Asked(lock=held, promises={"intent": promise}), rows())
    assert found.promises[0].figure.value == pytest.approx(0.5)
    assert verdict(found) == ("held",)


def test_what_is_promised_beside_it_is_checked_too() -> None:
    beside = (Beside("recall:a", 0.8, True), Beside("max_latency_s", 1.0, False))
    found = replay_lock(lock(beside=beside), "intent", rows())
    assert verdict(found) == ("held", "held", "contradicted")
    assert found.promises[1].figure.value == pytest.approx(0.95)


def test_a_declared_policy_promises_nothing() -> None:
    found = replay_lock(lock("none", None), "intent", rows())
    assert found.promises == ()
    assert not found.broken


def test_escalations_are_counted_by_the_policys_own_reasons() -> None:
    outcomes = rows()
    for place in (0, 2):  # two rows of the small tier: no signal, and a broken answer
        keys: dict[str, Any] = {"signals": {}} if place else {"failure": "truncated", "score": 0.0}
        outcomes[place * 2] = msgspec.structs.replace(outcomes[place * 2], **keys)
    found = replay_lock(lock(), "intent", outcomes)
    counted = {one.reason: one.n for one in found.escalations}
    assert counted == {"low_confidence": 100, "no_confidence": 1, "truncated": 1}
    assert {one.after for one in found.escalations} == {"small"}


def test_unknown_scores_are_left_out_and_counted() -> None:
    outcomes = [
        msgspec.structs.replace(o, score=None) if o.query_id == "q0" and o.tier == "small" else o
        for o in rows()
    ]
    found = replay_lock(lock(), "intent", outcomes)
    assert (found.score.n, found.score.unknown) == (N - 1, 1)
    assert compared(outcomes).left_out == 1


def test_rows_of_a_group_widen_the_interval() -> None:
    alone = replay_lock(lock(), "intent", rows(small_right=0.5)).score
    outcomes = [
        msgspec.structs.replace(o, group=f"g{int(o.query_id[1:]) // 20}") for o in rows(0.5)
    ]
    together = replay_lock(lock(), "intent", outcomes).score
    assert together.n == alone.n
    assert together.low != alone.low


def test_unknown_costs_are_counted_and_leave_no_hull() -> None:
    outcomes = [msgspec.structs.replace(o, cost_usd=None) for o in rows()]
    found = replay_lock(lock(), "intent", outcomes)
    assert (found.cost_usd.value, found.cost_usd.unknown, found.saved) == (None, N, None)
    beside = compared(outcomes)
    assert [rule.kind for rule in beside.rules] == ["locked", "single", "single"]
    assert any("costs are unknown" in note for note in beside.notes)


def test_the_rules_are_compared_on_the_same_rows() -> None:
    rules = {rule.name: rule for rule in compared(rows()).rules}
    assert list(rules) == [
        "locked policy", "always small (smallest)", "always big (ceiling)",
        "static hull, same cost", "oracle",
    ]  # fmt: skip
    assert rules["always big (ceiling)"].score.value == 1.0
    hull = rules["static hull, same cost"]
    assert hull.cost_usd.value == pytest.approx(0.006)
    assert hull.score.value == pytest.approx(0.9 + 0.1 * 5 / 9)
    assert rules["oracle"].cost_usd.value == pytest.approx(0.9 * 0.001 + 0.1 * 0.01)
    gap = rules["oracle"].difference
    assert gap is not None
    assert gap.value == pytest.approx(0.05)


def test_a_prior_that_knows_the_segment_picks_its_best_tier() -> None:
    outcomes = []
    for o in rows():
        easy = (int(o.query_id[1:]) // 2) % 10 < 9
        outcomes.append(msgspec.structs.replace(o, segment="easy" if easy else "hard"))
    rules = {rule.name: rule for rule in compared(outcomes).rules}
    same = rules["task prior, same cost"]
    assert same.score.value == pytest.approx(1.0)


def test_a_policy_of_two_tiers_is_ranked() -> None:
    found = compared(rows(small_right=0.5)).deferral
    assert found is not None
    assert (found.weak, found.strong) == ("small", "big")
    assert found.apgr.value == pytest.approx(0.5, abs=0.02)  # this signal says nothing
    assert found.apgr.low is not None
    assert found.apgr.low <= 0.5 <= (found.apgr.high or 0)


def test_a_router_is_ranked_by_the_signal_before_the_call() -> None:
    from stepdown.core.policy import Action, Clause, Row

    entry = Row(
        called=(),
        when=(Clause("triage.big", 0.5, Action("call", "big")),),
        otherwise=Action("call", "small"),
    )
    ends = [Row(called=(t,), otherwise=Action("accept", t)) for t in ("small", "big")]
    policy = Policy(tiers=("small", "big"), rows=(entry, *ends))
    held = lock_of(policy, Guarantee(state="certified", level=0.1))
    outcomes = rows(small_right=0.5)
    outcomes += [
        Outcome(query_id=f"q{i}", tier="?triage.big", signals={"value": float((i // 2) % 10 >= 5)})
        for i in range(N)
    ]
    found = compared(outcomes, held).deferral
    assert found is not None
    assert found.cpt[1].value == pytest.approx(0.4)


def test_signals_that_no_row_holds_are_named() -> None:
    derived = {"lead": Lead(of="small.worth", over=("small.other",), less=(0.0, 0.0))}
    when = msgspec.structs.replace(CASCADE.rows[1].when[0], signal="lead", at_least=0.0)
    keeps = msgspec.structs.replace(CASCADE.rows[1], when=(when,))
    policy = msgspec.structs.replace(CASCADE, rows=(CASCADE.rows[0], keeps, CASCADE.rows[2]))
    held = lock_of(policy, Guarantee(state="certified", level=0.1), signals=derived)
    found = replay_lock(held, "intent", rows())
    assert found.unread == ("small.other", "small.worth")
    assert found.kept == {"big": 1.0}


def test_a_lock_of_other_tiers_is_refused() -> None:
    held = lock_of(cascade(("tiny", "big"), (0.5,)), Guarantee(state="certified", level=0.1))
    with pytest.raises(LockError, match="no row of the tiers tiny"):
        replay_lock(held, "intent", rows())


def test_a_tier_that_the_policy_never_calls_may_be_missing() -> None:
    policy = msgspec.structs.replace(single("small"), tiers=("small", "big"))
    held = lock_of(policy, Guarantee(state="declared", promise="none"))
    found = replay_lock(held, "intent", [o for o in rows() if o.tier == "small"])
    assert (found.loss.value, found.dropped) == (None, N)


def test_an_empty_table_and_one_without_scores_are_refused() -> None:
    with pytest.raises(DataError, match="has no row"):
        replay_lock(lock(), "intent", [])
    unscored = [msgspec.structs.replace(o, score=None) for o in rows()]
    with pytest.raises(DataError, match="No outcome has a score"):
        replay_lock(lock(), "intent", unscored)
    assert verdict(replay_lock(lock("max_disagreement", 0.2), "intent", unscored)) == ("held",)


def test_where_the_ceiling_is_the_reference_its_answers_score_the_others() -> None:
    unscored = [msgspec.structs.replace(o, score=None) for o in rows()]
    held = lock("max_disagreement", 0.2, reference="ceiling")
    found = replay_asked(Asked(lock=held, compare=True), unscored)
    assert verdict(found) == ("held",)
    assert found.score.value == pytest.approx(0.95)
    assert found.comparison is not None
    assert found.comparison.n == N


def test_the_task_may_be_left_out_where_the_lock_holds_one() -> None:
    assert replay_asked(Asked(lock=lock()), rows()).task == "intent"
    two = msgspec.structs.replace(lock(), tasks={**lock().tasks, "b": lock().tasks["intent"]})
    with pytest.raises(LockError, match="2 tasks: intent, b"):
        replay_asked(Asked(lock=two), rows())
    with pytest.raises(LockError, match="no task 'c'"):
        replay_asked(Asked(lock=two, task="c"), rows())


def test_the_report_says_the_promise_first_and_fits_the_terminal() -> None:
    from io import StringIO

    from rich.console import Console

    from stepdown.adapters.render.terminal import print_document

    out = StringIO()
    report = document(replay_asked(Asked(lock=lock(), compare=True), rows()))
    print_document(report, Console(file=out, width=80))
    assert "Held on these rows" in out.getvalue() or "Open on these rows" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_many_rows_get_normal_intervals() -> None:
    from stepdown.wiring.estimating import mean_of

    values = np.random.default_rng(1).random(40_000)
    found = mean_of(values, "usd", "t")
    half = 1.959964 * values.std() / 200
    assert found.low == pytest.approx(values.mean() - half, rel=1e-6)
