"""`stepdown train advise` on the tiny project (synthetic rows): no key, no call, unknowns named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hosted_peer import serving
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl, write_project


def advised(folder: Path, *args: object) -> dict[str, Any]:
    done = stepdown("train", "advise", "-p", folder, "--json", *args)
    assert done.exit_code == 0, done.output
    return dict(envelope(done)["data"]["tasks"][0])


def test_an_expert_that_waits_for_its_training_comes_first(plain: Path) -> None:
    found = advised(plain)
    assert found["verdict"] == "local"
    assert "stepdown train topic" in found["sentence"]


def test_a_trained_expert_has_a_score_a_gap_and_costs(certified: Path) -> None:
    found = advised(certified, "--calls-per-month", 1000, "--fixed-usd", 10)
    figures = found["figures"]
    assert figures["best"] == "expert"
    assert figures["best_score"]["n"] == figures["gap"]["n"] == 24
    assert figures["fewest_of_label"] == 14
    assert 0 <= figures["rare_words"] < 0.5
    assert figures["familiarity"] is not None
    saved = (figures["ceiling_usd"]["value"] - figures["best_usd"]["value"]) / 1000
    assert found["saved_usd"] == pytest.approx(saved)
    assert found["break_even_calls"] == pytest.approx(10 / saved)
    assert found["break_even_months"] == pytest.approx(10 / saved / 1000)


def test_jargon_shows_in_the_share_of_words_that_are_cut(tmp_path: Path) -> None:
    plain = write_project(tmp_path / "a")
    jargon = write_project(tmp_path / "b")
    told = [{**row, "text": "qzxvkt wrtplkz " + row["text"]} for row in rows()]
    write_jsonl(jargon / "rows.jsonl", told)
    assert advised(jargon)["figures"]["rare_words"] > advised(plain)["figures"]["rare_words"] + 0.05


def test_hosted_tiers_are_read_from_what_was_kept_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    recorded = 'model = "recorded:frontier.jsonl"\nrecording = "made-up answers for tests"\n'
    with serving() as peer:
        hosted = f'model = "openai:big"\nbase_url = "{peer.url}"\n'
        folder = write_project(tmp_path / "p", TOML.replace(recorded, hosted))
        assert stepdown("train", "-p", folder).exit_code == 0
        before = advised(folder)["figures"]
        assert peer.calls == 0
        assert (before["floor"], before["gap"]["value"]) == (None, None)
        assert stepdown("eval", "-p", folder).exit_code == 0
        calls = peer.calls
        after = advised(folder)["figures"]
        assert peer.calls == calls
        assert after["floor"] is not None


def test_the_report_names_what_is_unknown(certified: Path) -> None:
    text = " ".join(stepdown("train", "advise", "topic", "-p", certified).output.split())
    assert "unknown: how many calls a month" in text
    assert "Nothing was asked and nothing paid" in text


def test_a_task_that_is_not_there_is_named(plain: Path) -> None:
    done = stepdown("train", "advise", "topc", "-p", plain)
    assert done.exit_code == 2
    assert "no task 'topc'" in done.stderr
