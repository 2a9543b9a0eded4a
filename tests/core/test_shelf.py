"""The shelf of artifacts: one serves, what is replaced is kept, and one can go back."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stepdown.core.artifact import Artifact, problem_of
from stepdown.core.shelf import (
    Shelf,
    Signed,
    changed,
    problems,
    promote,
    registered,
    roll_back,
    without,
)

ANN = Signed("ann", "2026-11-29T10:00:00+00:00")


def artifact(digest: str, **said: object) -> Artifact:
    plain = Artifact(
        task="topic", tier="expert", file=f"{digest}.bin", digest=digest, recipe="head",
        data_digest="d", date="2026-11-29",
    )  # fmt: skip
    return replace(plain, **said)


def states(shelf: Shelf) -> dict[str, str]:
    return {a.digest: a.state for a in shelf.artifacts}


def test_a_candidate_changes_nothing_until_it_is_promoted() -> None:
    shelf = registered(Shelf(), artifact("a"), ANN)
    shelf = registered(shelf, artifact("b", state="candidate"), ANN)
    assert states(shelf) == {"a": "promoted", "b": "candidate"}
    found = shelf.with_digest("topic", "expert", "b")
    assert found is not None
    shelf = promote(shelf, found, ANN)
    assert states(shelf) == {"a": "retired", "b": "promoted"}
    now = shelf.promoted("topic", "expert")
    assert now is not None
    assert (now.parent, now.promoted_on) == ("a", "2026-11-29")


def test_to_go_back_is_to_the_parent_and_no_further_than_the_first() -> None:
    shelf = Shelf()
    for name in "abc":
        shelf = registered(shelf, artifact(name), ANN)
    shelf = roll_back(roll_back(shelf, "topic", "expert", ANN), "topic", "expert", ANN)
    assert states(shelf) == {"a": "promoted", "b": "retired", "c": "retired"}
    with pytest.raises(LookupError, match="a has no parent"):
        roll_back(shelf, "topic", "expert", ANN)
    with pytest.raises(LookupError, match="nothing is promoted"):
        roll_back(shelf, "topic", "encoder", ANN)


def test_a_parent_that_was_deleted_is_named() -> None:
    shelf = registered(registered(Shelf(), artifact("a"), ANN), artifact("b"), ANN)
    shelf = without(shelf, shelf.artifacts[0], ANN)
    with pytest.raises(LookupError, match="the parent a of b is not registered any more"):
        roll_back(shelf, "topic", "expert", ANN)


def test_the_history_says_who_did_what_and_what_it_took_the_place_of() -> None:
    shelf = registered(registered(Shelf(), artifact("a"), ANN), artifact("b"), ANN)
    shelf = roll_back(shelf, "topic", "expert", Signed("bob", "2026-11-30T00:00:00+00:00"))
    assert [(e.by, e.what, e.digest, e.before) for e in shelf.history] == [
        ("ann", "register", "a", ""), ("ann", "register", "b", "a"), ("bob", "rollback", "a", "b"),
    ]  # fmt: skip


def test_other_figures_leave_the_state_alone() -> None:
    shelf = registered(Shelf(), artifact("a", state="candidate"), ANN)
    told = changed(shelf, artifact("a", state="promoted", score=0.9, n=10))
    assert (states(told), told.artifacts[0].score) == ({"a": "candidate"}, 0.9)
    assert changed(told, artifact("unknown")) == told


def test_two_that_serve_one_tier_or_stand_twice_cannot_be() -> None:
    two = Shelf(artifacts=(artifact("a"), artifact("b")))
    assert problems(two) == ["topic expert: 2 artifacts are promoted, and one can be"]
    assert "stands twice" in problems(Shelf(artifacts=(artifact("a"), artifact("a"))))[0]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../other/model.bin", "a/../../b", "", "a\\b"])
def test_a_path_outside_the_folder_is_refused(path: str) -> None:
    assert "outside the folder" in problem_of(artifact("a", file=path))
    assert "outside the folder" in problem_of(artifact("a", files={path: "x"}))


def test_an_interval_upside_down_is_refused() -> None:
    assert "upside down" in problem_of(artifact("a", score_low=0.9, score_high=0.8))


ACTS = st.lists(
    st.tuples(st.sampled_from(["add", "candidate", "promote", "back"]), st.sampled_from("abcd")),
    max_size=25,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_whatever_is_done_one_at_most_serves_and_parents_end(acts: list[tuple[str, str]]) -> None:
    shelf = Shelf()
    for what, name in acts:
        shelf = _done(shelf, what, name)
        assert problems(shelf) == []
        serving = [a for a in shelf.artifacts if a.state == "promoted"]
        assert len(serving) <= 1
        for one in shelf.artifacts:
            chain = [one.digest, *(a.digest for a in shelf.ancestors(one))]
            assert len(set(chain)) == len(chain)
            assert one.parent not in chain[:1]


def _done(shelf: Shelf, what: str, name: str) -> Shelf:
    if what in ("add", "candidate"):
        state = "promoted" if what == "add" else "candidate"
        return registered(shelf, artifact(name, state=state), ANN)
    try:
        found = shelf.with_digest("topic", "expert", name)
        if what == "promote":
            return shelf if found is None else promote(shelf, found, ANN)
        return roll_back(shelf, "topic", "expert", ANN)
    except LookupError:
        return shelf


def test_a_lock_may_pin_an_artifact_by_the_model_that_it_opens_as() -> None:
    shelf = registered(Shelf(), artifact("a", answers_as="a with its runtime"), ANN)
    found = shelf.locked_as("topic", "expert", "a with its runtime")
    assert found is not None
    assert found.locked_as == "a with its runtime"
    assert shelf.locked_as("topic", "expert", "a") == found
    assert shelf.locked_as("topic", "other", "a") is None
    assert shelf.locked_as("topic", "expert", None) is None
