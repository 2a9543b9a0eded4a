"""One timer for many deadlines: each call is cut off at its own, and only there."""

from __future__ import annotations

import asyncio

import pytest

from stepdown.adapters.models.wire.deadlines import Deadlines


async def for_ever(deadlines: Deadlines, seconds: float) -> float:
    """Return how long the work lasted that would never end."""
    began = deadlines.loop.time()
    with pytest.raises(TimeoutError), deadlines.at(began + seconds):
        await asyncio.Event().wait()
    return deadlines.loop.time() - began


async def test_a_call_is_cut_off_at_its_deadline() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    assert await for_ever(deadlines, 0.02) >= 0.015


async def test_a_nearer_deadline_does_not_wait_for_one_further_off() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    far = asyncio.create_task(for_ever(deadlines, 0.3))
    await asyncio.sleep(0)
    near = await for_ever(deadlines, 0.02)
    assert near < await far


async def test_every_one_of_many_calls_is_cut_off_in_its_turn() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    waits = (0.03, 0.01, 0.02, 0.01)
    lasted = await asyncio.gather(*(for_ever(deadlines, wait) for wait in waits))
    assert all(took >= wait - 0.005 for took, wait in zip(lasted, waits, strict=True))


async def test_work_that_ends_in_time_is_left_alone_afterwards() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    with deadlines.at(deadlines.loop.time() + 0.01):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)


async def test_a_deadline_that_has_passed_cuts_off_the_first_wait() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    assert await for_ever(deadlines, -1.0) < 1.0


async def test_who_cancels_the_work_from_outside_is_obeyed() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())

    async def work() -> None:
        with deadlines.at(deadlines.loop.time() + 60):
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_an_error_of_the_work_comes_out_as_it_is() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    with pytest.raises(ValueError, match="mine"), deadlines.at(deadlines.loop.time() + 60):
        raise ValueError("mine")
