"""Exposure: shares, nested buckets, the words that people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepdown.core.exposure import (
    ALL,
    TODAY,
    Exposure,
    arm_of,
    read_exposure,
    seed_of,
    shadowed,
)

SHARES = st.floats(0, 0.999)


@given(st.text(), SHARES, SHARES)
def test_widening_keeps_those_who_are_in(key: str, one: float, other: float) -> None:
    small, large = sorted([one, other])
    if arm_of(Exposure(share=small), 7, key) == "policy":
        assert arm_of(Exposure(share=large), 7, key) == "policy"


def test_a_share_gets_its_share_and_a_session_always_the_same_arm() -> None:
    exposure = Exposure(share=0.2)
    arms = [arm_of(exposure, 11, f"s{n}") for n in range(5000)]
    # Binomial(5000, 0.2): 5 standard deviations are 141.
    assert abs(arms.count("policy") - 1000) < 141
    assert arms == [arm_of(exposure, 11, f"s{n}") for n in range(5000)]


def test_two_tasks_do_not_share_their_buckets() -> None:
    exposure = Exposure(share=0.5)
    pairs = [
        (
            arm_of(exposure, seed_of("shop", "intent"), str(n)),
            arm_of(exposure, seed_of("shop", "draft"), str(n)),
        )
        for n in range(2000)
    ]
    both = sum(pair == ("policy", "policy") for pair in pairs)
    assert abs(both - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_at_the_whole_there_are_no_arms_and_at_nothing_all_are_todays() -> None:
    assert arm_of(ALL, 1, "x") is None
    assert {arm_of(TODAY, 1, str(n)) for n in range(100)} == {"today"}


def test_the_shadow_is_drawn_apart_from_the_arm() -> None:
    half = Exposure(share=0.5, shadow=0.5)
    today = [str(n) for n in range(4000) if arm_of(half, 3, str(n)) == "today"]
    seen = sum(shadowed(half, 3, name) for name in today)
    assert abs(seen - len(today) / 2) < 5 * (len(today) / 4) ** 0.5


@pytest.mark.parametrize(
    ("written", "mode", "share", "shadow"),
    [
        ("all", "all", 1.0, 0.0),
        ("1", "all", 1.0, 0.0),
        ("0.05", "share", 0.05, 0.3),
        ("5%", "share", 0.05, 0.3),
        ("shadow", "shadow", 0.0, 0.3),
        ("today", "today", 0.0, 0.0),
    ],
)
def test_what_people_write(written: str, mode: str, share: float, shadow: float) -> None:
    found = read_exposure(written, shadow=0.3)
    assert (found.mode, found.share, found.shadow) == (mode, share, shadow)


@pytest.mark.parametrize("written", ["", "5", "-0.1", "nan", "a lot", "%"])
def test_what_is_no_share_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="a share from 0 to 1"):
        read_exposure(written, shadow=0.0)
