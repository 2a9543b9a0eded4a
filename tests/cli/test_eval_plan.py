"""`stepdown eval plan` on the tiny project (synthetic rows): no call is made, no key needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl, write_project

SMALL = """\
[tiers.small]
model = "recorded:small.jsonl"
place = "vendor"

"""
HOSTED = TOML.replace("recorded:frontier.jsonl", "openai:gpt-nothing")
HOSTED = HOSTED.replace('tiers = ["expert", ', 'tiers = ["small", ')
HOSTED = HOSTED.replace("[tasks.topic]\n", f"{SMALL}[tasks.topic]\n", 1)


def plan(folder: Path, *args: str) -> dict[str, Any]:
    done = stepdown("eval", "plan", "-p", folder, *args, "--json")
    assert done.exit_code == 0, done.output
    (found,) = envelope(done)["data"]["tasks"]
    return dict(found)


def test_without_a_key_and_without_a_call_it_says_what_a_run_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_jsonl(write_project(tmp_path, HOSTED) / "small.jsonl", rows())
    found = plan(tmp_path)
    spending = {one["tier"]: one for one in found["spending"]}
    frontier = spending["frontier"]
    assert (frontier["calls"], frontier["kept"]) == (24, 0)
    # about 40 tokens in at $4 and 7 out at $20 a million
    assert 0.0002 < frontier["per_call"]["value"] < 0.0006
    assert frontier["now"]["value"] == pytest.approx(24 * frontier["per_call"]["value"])
    assert frontier["now"]["low"] < frontier["now"]["value"] < frontier["now"]["high"]
    assert frontier["output_from"] == "references"
    assert frontier["seconds"]["value"] is None
    assert spending["small"]["per_call"]["value"] is None, "it has no price"
    assert not (tmp_path / ".stepdown" / "runs").exists()


def test_kept_calls_are_not_paid_again_and_tell_the_rates(certified: Path) -> None:
    stepdown("eval", "-p", certified)
    found = plan(certified)
    (candidate,) = found["candidates"]
    assert (candidate["basis"], candidate["rates"]["n"]) == ("kept", 24)
    assert [(one["calls"], one["kept"]) for one in found["spending"]] == [(0, 24), (0, 24)]
    assert all(one["now"]["value"] == 0.0 for one in found["spending"])
    more = plan(certified, "--rows", "held-out")
    assert more["rows"] == 80
    assert [one["calls"] for one in more["spending"]] == [0, 0], "certify asked them"


def test_assumptions_can_be_said_and_are_called_so(plain: Path) -> None:
    stepdown("train", "-p", plain)
    stepdown("eval", "-p", plain)
    found = plan(plain, "--score", "0.9", "--ceiling", "0.92", "--discordance", "0.1")
    (candidate,) = found["candidates"]
    assert candidate["basis"] == "assumed"
    assert candidate["rates"]["minus"] == pytest.approx(0.06)
    text = stepdown("eval", "plan", "-p", plain, "--score", "0.9").stdout
    assert "assumed: nobody measured this" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_tier_that_was_not_trained_is_planned_and_named(plain: Path) -> None:
    found = plan(plain)
    assert [one["tier"] for one in found["spending"]] == ["frontier"]
    assert found["candidates"][0]["basis"] == "assumed"
    assert "Not trained or not asked for: expert" in stepdown("eval", "plan", "-p", plain).stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--discordance", "0.001", "--score", "0.8", "--ceiling", "0.9"), "--discordance 0.001"),
        (("--rows", "tunes"), "--rows 'tunes' is unknown"),
        (("--tiers", "expertt"), "has no tier 'expertt'"),
        (("topc",), "no task 'topc'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(plain: Path, args: tuple[str, ...], said: str) -> None:
    done = stepdown("eval", "plan", "-p", plain, *args)
    assert done.exit_code == 2
    assert said in done.stderr


def test_an_empty_set_is_named(plain: Path) -> None:
    (plain / "rows.jsonl").write_text("", encoding="utf-8")
    done = stepdown("eval", "plan", "-p", plain)
    assert done.exit_code == 2
    assert "rows.jsonl holds no rows" in done.stderr
