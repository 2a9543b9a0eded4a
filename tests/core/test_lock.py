"""The lock reads back what it wrote, through real TOML, and refuses what it does not know."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import formulas, policies, policies_with

from stepdown.core.confidence import Calibrator
from stepdown.core.derived import Derived, Lead, Linear
from stepdown.core.lock import (
    Estimate,
    Guarantee,
    Lock,
    LockedTask,
    LockedTier,
    Look,
    lock_from_plain,
    lock_to_plain,
)
from stepdown.core.policy import Action, Clause, Policy, Row, cascade
from stepdown.wiring.lockfile import read_lock, write_lock

UNKNOWN = Estimate(None, n=0, unit="s", source="certify rows", unknown=12)
GUARANTEE = Guarantee(
    state="certified",
    level=0.02,
    delta=0.1,
    bound=0.018,
    loss=Estimate(0.004, -0.001, 0.01, 500, "score", "Tango"),
    assumptions=("rows are independent",),
    data={"train": "sha256:0", "tune": "sha256:1"},
    looks=(Look("sha256:2", "2026-11-22", 0.1, "sha256:3"),),
    seed=2**62,
    review_by="2027-02-20",
)


def lock_of(policy: Policy) -> Lock:
    task = LockedTask(
        policy=policy,
        contract="sha256:4",
        settings="sha256:5",
        guarantee=GUARANTEE,
        tiers={"a": LockedTier("head:x", "sha256:6", "embedded", "hardware", recorded=True)},
        confidence={"a": Calibrator("margin", "platt", 1.5, -0.25)},
        expected={"latency_s": UNKNOWN, "score": Estimate(0.9, 0.8, 0.95, 50, "score")},
        kept={"a": 0.75, "a>b": 0.25},
    )
    return Lock(version=1, generator="stepdown 0", project="shop", tasks={"intent": task})


def lock_with(policy: Policy, derived: dict[str, Derived]) -> Lock:
    lock = lock_of(policy)
    task = msgspec.structs.replace(lock.tasks["intent"], signals=derived)
    return msgspec.structs.replace(lock, tasks={"intent": task})


def through_toml(lock: Lock) -> Lock:
    return lock_from_plain(tomllib.loads(tomli_w.dumps(lock_to_plain(lock))))


@given(policies())
def test_every_policy_survives_the_way_through_toml(policy: Policy) -> None:
    lock = lock_of(policy)
    again = through_toml(lock)
    assert again == lock
    assert again.digest == lock.digest


@settings(max_examples=60, deadline=None)
@given(policies_with(formulas()))
def test_derived_signals_survive_the_way_through_toml(
    made: tuple[Policy, dict[str, Derived]],
) -> None:
    lock = lock_with(*made)
    again = through_toml(lock)
    assert again == lock
    assert again.digest == lock.digest


def test_derived_signals_survive_the_file_and_its_seal(tmp_path: Path) -> None:
    sure = Linear(("a.confidence", "a=b"), (1 / 3, -0.0), (0.1, 1e-300), 0.7, "logistic")
    race = Lead("sure", ("triage.a",), (0.0, 1e-9))
    policy = reading("race", ("a", "b"))
    lock = lock_with(policy, {"sure": sure, "race": race})
    write_lock(tmp_path / "stepdown.lock", lock)
    again = read_lock(tmp_path / "stepdown.lock")
    assert again == lock
    assert again.tasks["intent"].signals == {"sure": sure, "race": race}


def reading(signal: str, called: tuple[str, ...]) -> Policy:
    """A policy over a and b that reads one signal in one state."""
    when = (Clause(signal, 0.5, Action("abstain")),)
    rows = (
        Row(called=(), otherwise=Action("call", "a")),
        Row(called=("a",), otherwise=Action("call", "b")),
        Row(called=("a", "b"), otherwise=Action("accept", "b")),
    )
    return Policy(
        tiers=("a", "b"),
        rows=tuple(
            msgspec.structs.replace(row, when=when) if row.called == called else row for row in rows
        ),
    )


def test_a_lock_with_a_signal_that_is_read_too_early_is_refused() -> None:
    whole = lock_to_plain(lock_with(reading("s", ("a", "b")), {"s": Linear(("a=b",), (1,), (0,))}))
    whole["tasks"]["intent"]["policy"]["rows"][1]["when"] = [
        {"signal": "s", "at_least": 0.5, "then": "abstain", "reason": "confident"}
    ]
    with pytest.raises(ValueError, match=r"\['a'\] reads 's', which rests on 'a=b', too early"):
        lock_from_plain(whole)


@given(st.floats(0, 1), st.floats(-5, 5))
def test_numbers_survive_to_the_last_bit(threshold: float, level: float) -> None:
    policy = cascade(("a", "b"), (threshold + level,))
    assert through_toml(lock_of(policy)).tasks["intent"].policy == policy


def test_a_figure_that_is_unknown_stays_unknown() -> None:
    again = through_toml(lock_of(cascade(("a", "b"), (0.5,))))
    assert again.tasks["intent"].expected["latency_s"] == UNKNOWN


def test_a_changed_threshold_changes_the_digest() -> None:
    first, second = (lock_of(cascade(("a", "b"), (level,))) for level in (0.5, 0.51))
    assert first.digest != second.digest


def plain() -> dict[str, Any]:
    return lock_to_plain(lock_of(cascade(("a", "b"), (0.5,))))


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(version: Any) -> None:
    with pytest.raises(ValueError, match="this program reads 1"):
        lock_from_plain({**plain(), "version": version})


PLACES: dict[str, tuple[Any, ...]] = {
    "lock": (),
    "task": ("tasks", "intent"),
    "policy": ("tasks", "intent", "policy"),
    "row": ("tasks", "intent", "policy", "rows", 0),
    "guarantee": ("tasks", "intent", "guarantee"),
    "look": ("tasks", "intent", "guarantee", "looks", 0),
    "tier": ("tasks", "intent", "tiers", "a"),
    "confidence": ("tasks", "intent", "confidence", "a"),
    "figure": ("tasks", "intent", "expected", "score"),
}


@pytest.mark.parametrize("name", PLACES)
def test_an_unknown_key_is_refused_in_the(name: str) -> None:
    whole = plain()
    place: Any = whole
    for step in PLACES[name]:
        place = place[step]
    place["sometimes"] = 1
    with pytest.raises(ValueError, match="sometimes"):
        lock_from_plain(whole)


def test_a_table_that_is_not_sound_is_refused() -> None:
    whole = plain()
    whole["tasks"]["intent"]["policy"]["rows"].pop()
    with pytest.raises(ValueError, match="no row for"):
        lock_from_plain(whole)
