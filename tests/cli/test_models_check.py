"""`stepdown models check` on the tiny project (synthetic rows) with hosted tiers on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hosted_peer import serving
from tiny_project import TOML, envelope, stepdown, write_project

TIER = """\
[tiers.frontier]
model = "recorded:frontier.jsonl"
recording = "made-up answers for tests"
place = "vendor"
"""


def project(folder: Path, tier: str) -> Path:
    assert TIER in TOML
    return write_project(folder, TOML.replace(TIER, f"[tiers.frontier]\n{tier}\n"))


def checked(folder: Path, *args: object) -> tuple[int, dict[str, Any]]:
    done = stepdown("models", "check", "-p", folder, "--json", *args)
    return done.exit_code, envelope(done)["data"]


def of_kind(data: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in data["findings"] if one["kind"] == kind]


def test_an_announced_end_is_found_offline_with_its_source(tmp_path: Path) -> None:
    folder = project(tmp_path, 'model = "anthropic:claude-sonnet-4-20250514"')
    code, data = checked(folder, "--offline")
    found = of_kind(data, "ends")[0]
    assert (code, found["must"], found["by"]) == (1, True, "2026-06-15")
    assert "claude-sonnet-4-6" in found["what"]
    assert found["source"].startswith("https://platform.claude.com")
    assert any("provider's list (offline)" in said for said in data["not_asked"])


def test_a_fine_tuned_model_is_told_of_its_base(tmp_path: Path) -> None:
    folder = project(tmp_path, 'model = "openai:ft:gpt-4-0613:acme::abc"')
    found = of_kind(checked(folder, "--offline")[1], "ends")[0]
    assert "(base of ft:gpt-4-0613:acme::abc)" in found["what"]


def test_a_newer_version_may_be_tried_and_forces_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path, 'model = "anthropic:claude-opus-4-6"')
    code, data = checked(folder, "--offline")
    found = of_kind(data, "newer")[0]
    assert (code, found["must"]) == (0, False)
    assert "claude-opus-" in found["what"]
    assert "models try" in found["what"]


def test_a_file_adds_what_azure_says(tmp_path: Path) -> None:
    tier = (
        'model = "azure:ours"\nbase_url = "https://x.openai.azure.com"\npriced_as = "azure/gpt-4o"'
    )
    folder = project(tmp_path / "p", tier)
    path = tmp_path / "azure.toml"
    path.write_text(
        '[[deprecations]]\nprovider = "azure"\nmodels = ["ours"]\nshutdown = 2099-01-01\n'
        'source = "our contract"\nread = 2026-11-01\n', encoding="utf-8",
    )  # fmt: skip
    code, data = checked(folder, "--offline", "--from", path)
    found = of_kind(data, "ends")[0]
    assert (code, found["must"], found["by"]) == (0, False, "2099-01-01")
    assert "our contract" in found["source"]
    code, data = checked(folder, "--offline", "--from", path, "--within", 99_999)
    assert code == 1


def test_azure_without_a_file_says_what_could_not_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k" * 20)
    folder = project(tmp_path, 'model = "azure:ours"\nbase_url = "https://x.openai.azure.com"')
    code, data = checked(folder, "--no-canaries")
    assert code == 0
    assert any("azure has no list that is read here" in said for said in data["not_asked"])


class TestAgainstAServer:
    """A server of one's own that speaks the OpenAI wire."""

    def test_a_listed_model_is_fine_and_one_that_is_gone_must_change(self, tmp_path: Path) -> None:
        with serving() as peer:
            peer.models = [{"id": "big"}, {"id": "other", "shutdown_date": None}]
            folder = project(tmp_path, f'model = "openai:big"\nbase_url = "{peer.url}"')
            code, data = checked(folder, "--no-canaries")
            assert (code, of_kind(data, "gone")) == (0, [])
            assert "frontier: its provider lists 2 models" in data["asked"]
            peer.models = [{"id": "other"}]
            code, data = checked(folder, "--no-canaries")
            assert (code, of_kind(data, "gone")[0]["must"]) == (1, True)

    def test_the_servers_own_end_date_counts(self, tmp_path: Path) -> None:
        with serving() as peer:
            peer.models = [{"id": "big", "shutdown_date": "2026-01-01"}]
            folder = project(tmp_path, f'model = "openai:big"\nbase_url = "{peer.url}"')
            code, data = checked(folder, "--no-canaries")
            assert code == 1
            assert "ended" in of_kind(data, "ends")[0]["what"]

    def test_a_server_that_is_down_is_said_and_changes_nothing(self, tmp_path: Path) -> None:
        folder = project(tmp_path, 'model = "openai:big"\nbase_url = "http://127.0.0.1:9/v1"')
        code, data = checked(folder, "--no-canaries")
        assert code == 0
        assert any("could not be asked for its models" in said for said in data["not_asked"])

    def test_canaries_that_answer_differently_must_change(self, tmp_path: Path) -> None:
        with serving() as peer:
            peer.models = [{"id": "big"}]
            folder = project(tmp_path, f'model = "openai:big"\nbase_url = "{peer.url}"')
            assert stepdown("train", "-p", folder).exit_code == 0
            assert stepdown("certify", "-p", folder).exit_code == 0
            stepdown("eval", "check", "--pin", "--tiers", "frontier", "-p", folder)
            assert checked(folder)[0] == 0
            peer.wrong = 10
            code, data = checked(folder)
            assert code == 1
            assert "canaries are answered otherwise" in of_kind(data, "changed")[0]["what"]


def test_a_key_that_is_not_set_is_said_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = project(tmp_path, 'model = "openai:gpt-5.4-mini"')
    data = checked(folder, "--no-canaries")[1]
    assert any("OPENAI_API_KEY" in said for said in data["not_asked"])


def test_a_damaged_file_and_a_promotion_since_are_found(certified: Path) -> None:
    lines = (certified / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    (certified / "rows.jsonl").write_text("\n".join(lines[:-20]), encoding="utf-8")
    assert stepdown("train", "-p", certified, "--yes").exit_code == 0
    code, data = checked(certified, "--offline")
    assert (code, len(of_kind(data, "promoted"))) == (0, 1)
    assert "stepdown certify topic" in of_kind(data, "promoted")[0]["what"]
    registry = json.loads((certified / "models" / "registry.json").read_text())["artifacts"]
    retired = next(a for a in registry if a["state"] == "retired")
    (certified / "models" / retired["file"]).write_bytes(b"cut")
    code, data = checked(certified, "--offline")
    assert (code, of_kind(data, "changed")[0]["tier"]) == (1, "expert")


def test_without_a_lock_it_says_what_it_could_not_hold_anything_against(plain: Path) -> None:
    code, data = checked(plain, "--offline")
    assert code == 0
    assert any("There is no stepdown.lock" in said for said in data["not_asked"])


def test_the_report_says_what_must_change_first(tmp_path: Path) -> None:
    folder = project(tmp_path, 'model = "anthropic:claude-opus-4-0"')
    text = stepdown("models", "check", "--offline", "-p", folder).output
    assert "must change" in text
    assert "Not asked" in text
