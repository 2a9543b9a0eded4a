"""One task, assessed: what rings, what is taken back, what is said."""

from __future__ import annotations

from msgspec.structs import replace
from review_cases import FAMILIAR, asked, audits, calls, locked, seen_of

from stepdown.core.lock import Watched
from stepdown.core.policy import Action, Clause, Policy, Row, cascade
from stepdown.core.withdrawal import raised
from stepdown.review.assessing import assess
from stepdown.review.seen import Audit, Day, Said
from stepdown.review.status import Alarm, TaskStatus
from stepdown.review.withdrawing import Acts

CHAIN = cascade(("tiny", "small", "big"), (0.8, 0.8))


def alarm(found: TaskStatus, kind: str) -> Alarm:
    return next(one for one in found.alarms if one.kind == kind)


def test_a_promise_that_is_kept_rings_nothing_and_is_estimated() -> None:
    found = assess(asked(locked()), seen_of(audits(0.03, 20)))
    assert (found.state, found.withdrawal) == ("certified", None)
    assert not any(one.rings for one in found.alarms)
    assert found.measured.value is not None
    assert found.measured.low is not None
    assert found.measured.high is not None
    assert found.measured.low <= 0.03 <= found.measured.high
    assert found.measured.high < 0.06
    assert found.days_left == 30


def test_a_broken_promise_is_taken_back_with_its_day_and_examples() -> None:
    records = [*audits(0.03, 20), *audits(0.2, 6, first=20, seed=3)]
    found = assess(asked(locked()), seen_of(records))
    assert found.state == "withdrawn"
    assert found.withdrawal is not None
    assert found.withdrawal.kind == "loss"
    assert "6.0% is allowed" in found.withdrawal.reason
    rung = alarm(found, "loss")
    assert rung.first_day is not None
    assert "2026-09-21" <= rung.first_day <= "2026-09-24"
    assert rung.since == "2026-09-21"
    assert len(found.examples) == 10
    assert all(one.loss == 1.0 for one in found.examples)
    assert found.examples[0].confidence == max(o.confidence or 0 for o in found.examples)


def test_a_second_look_says_the_same_and_a_new_certificate_ends_it() -> None:
    task = locked()
    seen = seen_of([*audits(0.03, 20), *audits(0.2, 6, first=20)])
    first = assess(asked(task), seen)
    later = "2026-11-25T12:00:00.000+00:00"
    again = assess(asked(task, standing=first.withdrawal, now=later), seen)
    assert again.withdrawal == first.withdrawal
    renewed = locked(level=0.07)
    clean = assess(asked(renewed, standing=first.withdrawal), seen_of(audits(0.01, 3)))
    assert (clean.state, clean.withdrawal) == ("certified", None)


def test_what_was_taken_back_stays_back_when_its_records_are_gone() -> None:
    task = locked()
    first = assess(asked(task), seen_of(audits(0.3, 6)))
    later = assess(asked(task, standing=first.withdrawal), seen_of([]))
    assert later.state == "withdrawn"


def test_a_warning_changes_nothing_that_is_served_and_may_become_a_withdrawal() -> None:
    task = locked(watched=Watched(n=400, tier="small", signals={"familiarity": FAMILIAR}))
    odd = calls(0.5, 6)
    warned = assess(asked(task, acts=Acts(signs="warn")), seen_of(audits(0.01, 6), odd))
    assert warned.state == "certified"
    assert warned.withdrawal is not None
    assert (warned.withdrawal.acts, warned.withdrawal.kind) == ("warned", "familiarity")
    both = seen_of(audits(0.3, 6), odd)
    worse = assess(asked(task, acts=Acts(signs="warn"), standing=warned.withdrawal), both)
    assert worse.withdrawal is not None
    assert (worse.state, worse.withdrawal.kind) == ("withdrawn", "loss")


def test_a_warning_becomes_a_withdrawal_when_stepdown_toml_says_so() -> None:
    task, seen = locked(), seen_of(audits(0.3, 6))
    warned = assess(asked(task, acts=Acts(loss="warn")), seen).withdrawal
    assert warned is not None
    assert warned.acts == "warned"
    again = assess(asked(task, acts=Acts(loss="warn"), standing=warned), seen).withdrawal
    assert again == warned
    later = assess(asked(task, standing=warned), seen)
    assert later.state == "withdrawn"


def test_inputs_unlike_those_that_were_certified_ring_without_a_label() -> None:
    task = locked(watched=Watched(n=400, tier="small", signals={"familiarity": FAMILIAR}))
    quiet = assess(asked(task), seen_of([], calls(0.1, 30)))
    assert not alarm(quiet, "familiarity").rings
    assert quiet.unfamiliar is not None
    assert 0.05 < quiet.unfamiliar < 0.15
    loud = assess(asked(task), seen_of([], [*calls(0.1, 10), *calls(0.5, 5, first=10, seed=5)]))
    rung = alarm(loud, "familiarity")
    assert rung.rings
    assert rung.since == "2026-09-11"
    assert loud.state == "withdrawn"
    assert "below 0.2" in rung.what


def test_a_promise_about_right_answers_allows_what_the_certify_rows_showed() -> None:
    """Two models may differ on 20% of rows where 2% of score is lost: that is no alarm."""
    watched = Watched(n=400, by_ceiling=100, compared=300, differed=80)
    task = locked("max_loss", 0.02, reference="gold", watched=watched)
    same = assess(asked(task), seen_of(audits(0.2, 20)))
    assert not alarm(same, "loss").rings
    assert same.measured.allowed is not None
    assert 0.2 < same.measured.allowed < 0.3
    more = assess(asked(task), seen_of(audits(0.45, 20)))
    assert alarm(more, "loss").rings


def test_a_lock_without_such_counts_says_that_no_alarm_on_loss_can_ring() -> None:
    found = assess(asked(locked("max_loss", 0.02, reference="gold")), seen_of(audits(0.4, 20)))
    assert "certify again" in alarm(found, "loss").why_not
    assert found.state == "certified"


def test_a_caller_who_floods_cannot_break_a_promise() -> None:
    flood = audits(1.0, 3, 500, group="session-1")
    found = assess(asked(locked()), seen_of(flood))
    assert found.state == "certified"
    assert any("One caller sent 100%" in note for note in found.notes)


def test_a_week_without_traffic_is_said_and_changes_nothing() -> None:
    found = assess(asked(locked()), seen_of(audits(0.03, 20)))
    assert any("Nothing came for 61 days" in note for note in found.notes)


def test_a_clock_that_jumps_is_said() -> None:
    ahead = [replace(one, at="2027-05-01T10:00:00+00:00") for one in audits(1.0, 1)]
    back = audits(0.0, 1, first=0, seed=9)
    found = assess(asked(locked()), seen_of([*audits(0.03, 5, first=5), *back, *ahead]))
    assert found.state == "certified"
    assert any("dated after now" in note and "went back" in note for note in found.notes)


def test_a_budget_that_ran_out_is_left_out_and_what_is_covered_is_said() -> None:
    late = [
        Audit(
            trace_id=f"b{i}",
            at="2026-09-01T20:00:00+00:00",
            group=f"b{i}",
            propensity=0.1,
            why_not="budget",
        )
        for i in range(5)
    ]
    seen = replace(
        seen_of([*audits(0.0, 1), *late]),
        days=(Day(day="2026-09-01", requests=2000, open=1000, open_kept=800),),
    )
    found = assess(asked(locked()), seen)
    assert found.measured.covers == 0.5
    assert found.measured.n == 100
    assert found.evidence.missed == {"budget": 5}
    assert any("covers 50% of traffic" in note for note in found.notes)


def test_an_audit_tier_that_was_down_is_counted_and_never_agreement() -> None:
    down = [replace(one, loss=None, why_not="provider_error") for one in audits(0.0, 2)]
    found = assess(asked(locked()), seen_of(down))
    assert found.measured.value is None
    assert found.evidence.missed == {"provider_error": 200}
    assert alarm(found, "loss").votes == 0


def test_contradicting_labels_are_named_and_left_out() -> None:
    words = (
        Said(trace_id="d0-1", at="2026-09-01T11:00:00+00:00", by="anna", score=1.0),
        Said(trace_id="d0-1", at="2026-09-01T12:00:00+00:00", by="ben", score=0.0),
    )
    found = assess(asked(locked()), replace(seen_of(audits(0.03, 2)), said=words))
    assert found.evidence.conflicts == ("d0-1",)
    assert found.measured.n == 199


def test_a_promise_past_its_date_is_overdue() -> None:
    found = assess(asked(locked(review_by="2026-10-01")), seen_of(audits(0.01, 2)))
    assert (found.state, found.days_left) == ("overdue", -50)


def test_a_higher_threshold_is_kept_where_recent_audits_certify_it() -> None:
    """Wrong answers lie below .88 of confidence here, so a threshold above it is safe."""
    records = [*audits(0.01, 5), *audits(0.25, 3, 300, first=5)]
    found = assess(asked(locked()), seen_of(records)).withdrawal
    assert found is not None
    assert (found.acts, found.signal) == ("raised", "small.confidence")
    assert found.threshold is not None
    assert 0.85 < found.threshold < 0.95
    assert "newer audits" in found.raised_words


def test_where_no_threshold_is_safe_or_rows_are_few_the_ceiling_answers() -> None:
    few = assess(asked(locked()), seen_of(audits(0.9, 1, 60))).withdrawal
    assert few is not None
    assert (few.acts, few.threshold) == ("ceiling", None)
    assert "too few" in few.raised_words
    bad = [replace(one, confidence=0.9) for one in audits(0.25, 4, 300)]
    none = assess(asked(locked()), seen_of(bad)).withdrawal
    assert none is not None
    assert (none.acts, none.raised_words) == (
        "ceiling",
        "no higher threshold looks safe on the older audits",
    )


def test_a_policy_with_several_thresholds_is_not_raised() -> None:
    found = assess(asked(locked(policy=CHAIN)), seen_of(audits(0.3, 5, 300))).withdrawal
    assert found is not None
    assert found.acts == "ceiling"
    assert "one threshold" in found.raised_words


def test_raising_moves_only_clauses_that_accept_by_the_signal() -> None:
    policy = Policy(
        tiers=("small", "big"),
        rows=(
            Row(called=(), otherwise=Action("call", "small")),
            Row(
                called=("small",),
                when=(
                    Clause("small.confidence", 0.8, Action("accept", "small")),
                    Clause("small.margin", 0.5, Action("accept", "small")),
                ),
                otherwise=Action("call", "big"),
            ),
            Row(called=("small", "big"), otherwise=Action("accept", "big")),
        ),
    )
    found = raised(policy, "small.confidence", 0.9).by_state["small",].when
    assert [one.at_least for one in found] == [0.9, 0.5]
    assert raised(policy, "small.confidence", 0.7) == policy
