"""The Python API: the locked policies as a library, sync and async, with the ledger behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_project import TOML, rows

from stepdown import Stepdown
from stepdown.errors import ConfigError, InputError, LockError, Unavailable
from stepdown.wiring.workspace import Workspace


def test_a_text_is_answered_and_its_trace_is_in_the_ledger(certified: Path) -> None:
    with Stepdown.load(certified / "stepdown.lock") as stepdown:
        reply = stepdown.run("topic", rows()[3]["text"], request_id="mine", message_id="r3")
    assert reply.text == '{"topic": "praise"}'
    with Workspace.open(certified).kept_ledger() as ledger:
        trace = ledger.trace("mine")
    assert trace is not None
    assert trace == reply.trace
    assert (trace.message_id, trace.input, trace.answer) == ("r3", rows()[3]["text"], "praise")


async def test_the_async_form_answers_the_same(certified: Path) -> None:
    async with Stepdown.load(certified / "stepdown.lock") as stepdown:
        reply = await stepdown.arun("topic", rows()[3]["text"], request_id="mine")
    assert reply.text == '{"topic": "praise"}'
    assert reply.trace.guarantee == "certified"
    with Workspace.open(certified).kept_ledger() as ledger:
        assert ledger.trace("mine") == reply.trace


async def test_the_sync_form_inside_an_event_loop_is_refused_in_a_sentence(certified: Path) -> None:
    async with Stepdown.load(certified / "stepdown.lock") as stepdown:
        with pytest.raises(InputError, match=r"await arun"):
            stepdown.run("topic", "hello")
        with pytest.raises(InputError, match=r"await aclose"):
            stepdown.close()


def test_the_state_of_every_guarantee_can_be_asked(certified: Path) -> None:
    with Stepdown.load(certified / "stepdown.lock") as stepdown:
        state = stepdown.status()["tasks"]["topic"]
    assert state["guarantee"] == "certified"
    assert state["tiers"][-1] in ("expert", "frontier")


def test_an_unknown_task_is_an_input_error(certified: Path) -> None:
    with (
        Stepdown.load(certified / "stepdown.lock") as stepdown,
        pytest.raises(InputError, match="'topc'"),
    ):
        stepdown.run("topc", "hello")


def test_a_stale_lock_is_refused_and_the_ledger_is_let_go(certified: Path) -> None:
    edited = TOML.replace("Message: {input}", "Text: {input}")
    (certified / "stepdown.toml").write_text(edited, encoding="utf-8")
    with pytest.raises(LockError, match="its contract"):
        Stepdown.load(certified / "stepdown.lock")


def test_a_missing_lock_and_a_missing_project_are_told_apart(
    certified: Path, tmp_path: Path
) -> None:
    (certified / "stepdown.lock").unlink()
    with pytest.raises(LockError, match=r"no stepdown\.lock"):
        Stepdown.load(certified / "stepdown.lock")
    with pytest.raises(ConfigError, match=r"no stepdown\.toml"):
        Stepdown.load(tmp_path / "nowhere" / "stepdown.lock")


def test_metadata_only_keeps_no_text(plain: Path) -> None:
    from tiny_project import stepdown as verb

    text = TOML.replace('store = "full"', 'store = "metadata"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    verb("train", "-p", plain)
    verb("certify", "-p", plain)
    with Stepdown.load(plain / "stepdown.lock") as stepdown:
        assert stepdown.run("topic", rows()[3]["text"], request_id="x").text
    kept = b"".join(p.read_bytes() for p in (plain / ".stepdown" / "ledger").rglob("*.sqlite*"))
    assert b"lovely service" not in kept


def test_what_no_tier_can_answer_is_unavailable_and_traced(plain: Path) -> None:
    from tiny_project import stepdown as verb

    text = TOML.replace('["expert", "frontier"]', '["frontier"]')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    assert verb("certify", "-p", plain).exit_code == 1
    with (
        Stepdown.load(plain / "stepdown.lock") as stepdown,
        pytest.raises(Unavailable, match="recording"),
    ):
        stepdown.run("topic", "words that nobody recorded", request_id="lost")
    with Workspace.open(plain).kept_ledger() as ledger:
        trace = ledger.trace("lost")
    assert trace is not None
    assert trace.answered_by is None
    assert trace.attempts[0].failure == "unavailable"


def test_a_lock_edited_by_hand_is_refused(certified: Path) -> None:
    lock = certified / "stepdown.lock"
    text = lock.read_text()
    assert 'state = "certified"' in text
    lock.write_text(text.replace('state = "certified"', 'state = "declared"', 1))
    with pytest.raises(LockError, match="changed by hand"):
        Stepdown.load(lock)
