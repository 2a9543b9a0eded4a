"""`stepdown eval check`, as a team runs it in CI: a hosted ceiling that the tests start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hosted_peer import Peer, serving
from tiny_project import TOML, copy_of, envelope, stepdown, write_jsonl, write_project

KEY = "CI_TEST_KEY"


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def once(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project with a hosted ceiling, trained and certified."""
    hosted = f'openai:big"\nbase_url = "{peer.url}"\napi_key_env = "{KEY}'
    toml = TOML.replace("recorded:frontier.jsonl", hosted)
    folder = write_project(tmp_path_factory.mktemp("check") / "tiny", toml)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "sk-test-check-0001")
        assert stepdown("train", "-p", folder).exit_code == 0
        done = stepdown("certify", "-p", folder)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def locked(once: Path, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY, "sk-test-check-0001")
    peer.wrong, peer.down, peer.model, peer.calls = 0, False, "big-2026-10-01", 0
    return copy_of(once, tmp_path / "tiny")


def check(folder: Path, *args: str) -> tuple[int, dict[str, Any]]:
    done = stepdown("eval", "check", "-p", folder, *args, "--json")
    return done.exit_code, envelope(done)["data"]


def ends(found: dict[str, Any]) -> list[str]:
    return [case["ended"] for case in found["cases"]]


def test_what_was_just_certified_passes_without_a_call(locked: Path, peer: Peer) -> None:
    code, found = check(locked)
    assert (code, ends(found), found["passed"]) == (0, ["passed"], True)
    assert found["tasks"][0]["rows"] == 56
    assert peer.calls == 0


def test_offline_needs_neither_key_nor_network(
    locked: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY)
    peer.down = True
    code, found = check(locked, "--offline")
    assert (code, ends(found)) == (0, ["passed"])
    assert peer.calls == 0
    assert check(locked)[0] == 2, "online the key is needed"


def test_offline_without_kept_answers_says_what_to_do(locked: Path, peer: Peer) -> None:
    kept = locked / ".stepdown" / "runs"
    shutil.rmtree(kept)
    done = stepdown("eval", "check", "-p", locked, "--offline")
    assert done.exit_code == 2
    assert "keep .stepdown/runs" in " ".join(done.stdout.split())
    assert peer.calls == 0
    assert not list(kept.rglob("frontier.jsonl")), "an answer that was not given is not kept"


def test_rows_without_a_kept_answer_are_left_out_and_counted(locked: Path) -> None:
    path = locked / ".stepdown" / "runs" / "topic" / "frontier.jsonl"
    lines = path.read_text("utf-8").splitlines()
    certify = {json.loads(line)["sample_id"] for line in lines[-30:]}
    path.write_text("\n".join(lines[:-30]) + "\n", "utf-8")
    code, found = check(locked, "--offline")
    assert code == 0
    assert (found["tasks"][0]["rows"], found["tasks"][0]["left_out"]) == (26, len(certify))


def test_a_task_that_falls_ends_with_1(locked: Path) -> None:
    """The kept answers of the expert are replaced by wrong ones."""
    kept = locked / ".stepdown/runs/topic/expert.jsonl"
    calls = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    for call in calls:
        call["completion"]["text"] = "praise"
    write_jsonl(kept, calls)
    done = stepdown("eval", "check", "-p", locked)
    assert done.exit_code == 1, done.output
    assert "✗ falls" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_open_promise_falls_only_when_it_is_strict(locked: Path) -> None:
    code, found = check(locked, "--rows", "tune", "--strict")
    assert [case["message"].split(":")[0] for case in found["cases"]] == ["open"]
    assert code == 1
    assert check(locked, "--rows", "tune")[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Message: {input}", "Text: {input}", "its contract"),
        ("max_loss = 0.12", "max_loss = 0.11", "settings"),
        ("openai:big", "openai:bigger", "the tier 'frontier'"),
    ],
)  # fmt: skip
def test_a_lock_that_is_stale_must_be_fixed(locked: Path, old: str, new: str, said: str) -> None:
    text = (locked / "stepdown.toml").read_text("utf-8")
    (locked / "stepdown.toml").write_text(text.replace(old, new), "utf-8")
    code, found = check(locked)
    assert code == 2
    assert said in found["cases"][0]["message"]


def test_a_guarantee_that_fell_due_must_be_renewed(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from stepdown.wiring.environment import Environment

    late = Environment({KEY: "x"}, datetime(2031, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(Environment, "current", lambda: late)
    code, found = check(locked)
    assert code == 2
    assert "fell due on" in found["cases"][0]["message"]


def test_no_more_is_spent_than_allowed(locked: Path, peer: Peer) -> None:
    (locked / ".stepdown/runs/topic/frontier.jsonl").unlink()
    done = stepdown("eval", "check", "-p", locked, "--max-usd", "0.001")
    assert done.exit_code == 2
    assert "expected to cost $" in done.stderr
    assert peer.calls == 0
    assert stepdown("eval", "check", "-p", locked, "--max-usd", "1").exit_code == 0
    assert peer.calls == 56


def test_canaries_tell_when_a_hosted_model_changed(locked: Path, peer: Peer) -> None:
    pinned = stepdown("eval", "check", "--pin", "-p", locked)
    assert pinned.exit_code == 0, pinned.output
    assert peer.calls == 60, "twenty prompts, three times each"
    lines = (locked / "canaries" / "frontier.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 20
    assert "sk-test" not in "".join(lines)
    code, found = check(locked)
    assert (code, ends(found)) == (0, ["passed", "passed"])
    assert peer.calls == 80
    peer.wrong = 4
    code, found = check(locked)
    assert (code, ends(found)) == (1, ["passed", "failed"])
    (verdict,) = found["canaries"]
    assert verdict["p_value"] <= 0.01
    assert len(verdict["differ"]) >= 5


def test_another_name_of_the_served_model_is_a_change_by_itself(locked: Path, peer: Peer) -> None:
    stepdown("eval", "check", "--pin", "-p", locked)
    peer.model = "big-2026-11-20"
    done = stepdown("eval", "check", "-p", locked)
    assert done.exit_code == 1
    assert "big-2026-11-20" in " ".join(done.stdout.split())


def test_offline_canaries_are_skipped_and_a_dead_provider_must_be_fixed(
    locked: Path, peer: Peer
) -> None:
    stepdown("eval", "check", "--pin", "-p", locked)
    code, found = check(locked, "--offline")
    assert (code, ends(found)) == (0, ["passed", "skipped"])
    assert ends(check(locked, "--no-canaries")[1]) == ["passed"]
    peer.down = True
    code, found = check(locked)
    assert (code, ends(found)) == (2, ["passed", "error"])


def test_canaries_of_other_settings_and_broken_files_are_named(locked: Path) -> None:
    stepdown("eval", "check", "--pin", "--prompts", "4", "-p", locked)
    path = locked / "canaries" / "frontier.jsonl"
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == 4
    path.write_text("\n".join([*lines[:2], "{torn"]), "utf-8")
    code, found = check(locked)
    assert code == 2
    assert "line 3: not a canary" in found["cases"][-1]["message"]
    path.write_text(lines[0].replace('"tier_digest":"sha256:', '"tier_digest":"sha256:0'), "utf-8")
    assert "pinned under other settings" in check(locked)[1]["cases"][-1]["message"]


def test_a_dead_provider_pins_nothing(locked: Path, peer: Peer) -> None:
    peer.down = True
    done = stepdown("eval", "check", "--pin", "-p", locked)
    assert done.exit_code == 1
    assert not (locked / "canaries").exists()


ALLOWED = {  # junit-10.xsd of Jenkins' xunit plugin, read in November 2026
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname",
         "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}  # fmt: skip
NEEDED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}


def test_the_junit_file_has_the_shape_that_ci_servers_read(locked: Path, peer: Peer) -> None:
    stepdown("eval", "check", "--pin", "-p", locked)
    peer.wrong = 4
    file = locked / "out" / "junit.xml"
    assert stepdown("eval", "check", "-p", locked, "--junit", file).exit_code == 1
    root = ElementTree.fromstring(file.read_bytes())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, inside = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert NEEDED.get(element.tag, set()) <= set(element.attrib)
        assert {child.tag for child in element} <= inside
    assert root.attrib["tests"] == str(len(root.findall(".//testcase"))) == "2"
    assert root.attrib["failures"] == str(len(root.findall(".//failure"))) == "1"


def test_text_that_xml_cannot_hold_is_replaced() -> None:
    from stepdown.adapters.render.junit import junit
    from stepdown.core.verdict_case import VerdictCase

    bad = "a\x00\x1b[31m<&\ud800\ufffe]]>"
    case = VerdictCase(suite=bad, name=bad, ended="failed", message=bad, detail=bad)
    root = ElementTree.fromstring(junit("x", [case], "2026-11-28T00:00:00"))
    assert "<&" in (root.findall(".//failure")[0].text or "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("topc",), "no task 'topc'"),
        (("--rows", "certfy"), "--rows 'certfy' is unknown"),
        (("--pin", "--tiers", "frontie"), "No task uses the tier 'frontie'"),
    ],
)
def test_a_wrong_name_is_one_sentence(locked: Path, args: tuple[str, ...], said: str) -> None:
    done = stepdown("eval", "check", "-p", locked, *args)
    assert done.exit_code == 2
    assert said in done.stderr


def test_without_a_lock_it_says_what_to_run(plain: Path) -> None:
    done = stepdown("eval", "check", "-p", plain)
    assert done.exit_code == 2
    assert "stepdown certify" in done.stderr
