"""How a tier is called: limits, keys from files, and that none of it touches a lock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stepdown.config.project import Project, load_project
from stepdown.errors import ConfigError
from stepdown.wiring.environment import Environment
from stepdown.wiring.hosted import hosted_model, secret_of, wire_settings

BARE = """
[project]
name = "x"

[tiers.big]
model = "{model}"
{more}

[tasks.t]
kind = "draft"
tiers = ["big"]
"""
NOBODY = Environment({}, datetime(2026, 11, 28, tzinfo=UTC))


def project(folder: Path, more: str = "", model: str = "openai:m") -> Project:
    (folder / "stepdown.toml").write_text(BARE.format(more=more, model=model))
    return load_project(folder)


def test_limits_reach_the_wire(tmp_path: Path) -> None:
    said = "timeout_s = 7\nlimits = { first_byte_s = 2, idle_s = 3, retries = 0, concurrency = 5 }"
    found = wire_settings(project(tmp_path, said).tiers["big"])
    assert (found.timeout_s, found.first_byte_s, found.silence_s) == (7, 2, 3)
    assert (found.retries, found.connections) == (0, 5)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("retrys = 1", "Did you mean `retries`"),
        ("retries = -1", "retries must be 0 or more, got -1"),
        ("concurrency = 0", "concurrency must be above 0, got 0"),
        ("idle_s = 0", "idle_s must be above 0, got 0"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, limits: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        project(tmp_path, f"limits = {{ {limits} }}")


def test_how_a_tier_is_called_changes_no_lock_and_where_it_is_does(tmp_path: Path) -> None:
    def digest(more: str) -> str:
        found = project(tmp_path, more)
        return found.settings_digest(found.tasks["t"])

    plain = digest("")
    assert digest("limits = { retries = 0, concurrency = 3 }") == plain
    assert digest('api_key_file = "key"') == plain
    assert digest('api_version = "2024-10-21"') != plain
    assert digest('base_url = "http://127.0.0.1:1/v1"') != plain


def test_a_key_from_a_file_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    tier = project(tmp_path, 'api_key_file = "key"').tiers["big"]
    with pytest.raises(ConfigError, match="cannot be read"):
        secret_of(tier, NOBODY, tmp_path, "OPENAI_API_KEY")
    (tmp_path / "key").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        secret_of(tier, NOBODY, tmp_path, "OPENAI_API_KEY")
    (tmp_path / "key").write_text("sk-from-a-file\n")
    value, origin = secret_of(tier, NOBODY, tmp_path, "OPENAI_API_KEY")
    assert (value, origin) == ("sk-from-a-file", "the file key")


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("azure:d", "", "needs the address of its resource"),
        ("azure:d", 'base_url = "https://x.openai.azure.com"', "AZURE_OPENAI_API_KEY"),
        ("bedrock:m", "", "needs a region"),
        ("openai:m", "", "OPENAI_API_KEY"),
    ],
)
def test_what_an_upstream_needs_and_has_not_is_said(
    tmp_path: Path, model: str, more: str, said: str
) -> None:
    tier = project(tmp_path, more, model).tiers["big"]
    with pytest.raises(ConfigError, match=said):
        hosted_model(tier, NOBODY, tmp_path)


@pytest.mark.parametrize("model", ["azure:d", "bedrock:m", "any-llm:p/m"])
def test_a_vendors_tier_is_at_the_vendor_whatever_its_address(tmp_path: Path, model: str) -> None:
    tier = project(tmp_path, 'base_url = "https://x.example"', model).tiers["big"]
    assert tier.place == "vendor"
