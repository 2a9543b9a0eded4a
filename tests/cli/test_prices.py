"""`stepdown prices`, as a user types it."""

from __future__ import annotations

from pathlib import Path

from tiny_project import TOML, envelope, stepdown


def test_a_model_shows_its_price_source_and_ways(tmp_path: Path) -> None:
    done = stepdown("prices", "gpt-5.1", "--day", "2026-11-20", "--project", str(tmp_path))
    assert done.exit_code == 0, done.output
    for said in ("$1.25", "$10.00", "$0.625", "batch", "genai-prices", "openai/gpt-5.1"):
        assert said in done.output.replace("$10 ", "$10.00 "), (said, done.output)


def test_a_part_of_a_name_lists_what_holds_it(tmp_path: Path) -> None:
    done = stepdown("prices", "opus-4-5", "--project", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "claude-opus-4-5" in done.output


def test_a_name_that_nobody_knows_ends_with_the_nearest(tmp_path: Path) -> None:
    done = stepdown("prices", "gpt-5.1x", "--project", str(tmp_path))
    assert done.exit_code == 2
    assert "gpt-5.1" in done.output
    assert stepdown("prices", "gpt-5.1", "--day", "soon").exit_code == 2


def test_an_own_price_is_shown_as_such(tmp_path: Path) -> None:
    own = '\n[prices]\n"openai/gpt-5.1" = { multiplier = 0.5, source = "deal 9" }\n'
    (tmp_path / "stepdown.toml").write_text(TOML + own, encoding="utf-8")
    done = stepdown("prices", "openai/gpt-5.1", "--project", str(tmp_path), "--json")
    (model,) = envelope(done)["data"]["models"]
    rate = model["ways"][0]["rates"]["rates"][0]
    assert (rate["basis"], rate["input"]) == ("your_rate", 0.625)
    assert rate["source"].startswith("deal 9: 0.5 x genai-prices")


def test_a_typo_under_prices_names_the_nearest_key(tmp_path: Path) -> None:
    own = '\n[prices]\n"openai/gpt-5.1" = { multiplyer = 0.5 }\n'
    (tmp_path / "stepdown.toml").write_text(TOML + own, encoding="utf-8")
    done = stepdown("prices", "gpt-5.1", "--project", str(tmp_path))
    assert done.exit_code == 2
    assert "multiplier" in done.output
