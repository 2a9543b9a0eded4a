"""`stepdown verify` and `models verify` on the tiny project (synthetic rows)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hosted_peer import serving
from tiny_project import TOML, envelope, stepdown, write_project

from stepdown.core.suite import Suite
from stepdown.wiring.machine import this_machine
from stepdown.wiring.registry import Registry


def suite_path(folder: Path) -> Path:
    return next((folder / "models" / "suites").glob("topic-expert-*.json"))


def edit(folder: Path, change: Any) -> None:
    """Change the suite as somebody, or another machine, would have written it."""
    path = suite_path(folder)
    plain = json.loads(path.read_text(encoding="utf-8"))
    change(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")


def verdicts(*args: object) -> tuple[int, dict[str, Any]]:
    done = stepdown("verify", *args, "--json")
    return done.exit_code, {v["tier"]: v for v in envelope(done)["data"]["verdicts"]}


def test_training_and_certifying_pin_and_nothing_differs(certified: Path) -> None:
    code, found = verdicts("-p", certified)
    assert code == 0
    played = found["expert"]["played"]
    assert (played["rule"], played["asked"], played["differ"]) == ("exact", 20, 0)
    assert (found["frontier"]["by"], found["frontier"]["state"]) == ("digest", "same")
    artifact = Registry(certified / "models").promoted("topic", "expert")
    assert artifact is not None
    assert artifact.suite == f"suites/{suite_path(certified).name}"


def test_the_first_sample_that_differs_is_named_with_what_was_expected(certified: Path) -> None:
    def other(plain: dict[str, Any]) -> None:
        row = plain["rows"][3]
        row["answer"] = "praise" if row["answer"] != "praise" else "billing"

    edit(certified, other)
    row = json.loads(suite_path(certified).read_text())["rows"][3]
    done = stepdown("verify", "-p", certified)
    assert done.exit_code == 1
    assert "First difference: topic, expert" in done.output
    assert row["sample"] in done.output
    verdict = verdicts("-p", certified)[1]["expert"]
    assert verdict["why"] == "1 of 20 pinned inputs are answered otherwise"
    found = verdict["played"]["first"]
    assert found["expected"].startswith(row["answer"])
    assert not found["got"].startswith(row["answer"])


def test_on_another_type_of_cpu_small_moves_are_allowed_and_said(certified: Path) -> None:
    def elsewhere(plain: dict[str, Any]) -> None:
        plain["machine"]["vectors"] = ["neon"]
        for row in plain["rows"]:
            row["probs"] = {k: max(0.0, v - 0.0005) for k, v in row["probs"].items()}

    edit(certified, elsewhere)
    done = stepdown("verify", "-p", certified)
    assert done.exit_code == 0, done.output
    assert "Another type of CPU" in done.output
    assert "within 0.001" in done.output

    def home(plain: dict[str, Any]) -> None:
        plain["machine"]["vectors"] = list(this_machine().vectors)

    edit(certified, home)
    assert stepdown("verify", "-p", certified).exit_code == 1


def test_a_file_that_was_changed_is_a_change(certified: Path) -> None:
    artifact = Registry(certified / "models").promoted("topic", "expert")
    assert artifact is not None
    (certified / "models" / artifact.file).write_bytes(b"not what was trained")
    code, found = verdicts("-p", certified)
    assert code == 1
    assert "expected sha256:" in found["expert"]["why"]


def test_a_recording_that_changed_is_a_change(certified: Path) -> None:
    with (certified / "frontier.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "r1", "topic": "praise"}\n')
    code, found = verdicts("-p", certified)
    assert (code, found["frontier"]["state"]) == (1, "changed")


def test_without_a_suite_it_says_how_to_pin_and_pins(certified: Path) -> None:
    suite_path(certified).unlink()
    done = stepdown("verify", "-p", certified)
    assert done.exit_code == 2
    assert "stepdown verify --pin" in " ".join(done.output.split())
    pinned = envelope(stepdown("verify", "--pin", "--inputs", "5", "-p", certified, "--json"))
    assert [(one["tier"], one["inputs"]) for one in pinned["data"]["pinned"]] == [("expert", 5)]
    assert verdicts("-p", certified)[1]["expert"]["played"]["asked"] == 5
    again = stepdown("verify", "--pin", "-p", certified)
    assert "Nothing to pin" in again.output


def test_texts_are_kept_only_with_consent_and_rows_that_are_gone_are_counted(
    tmp_path: Path,
) -> None:
    folder = write_project(tmp_path / "tiny", TOML.replace('store = "full"', 'store = "metadata"'))
    assert stepdown("train", "-p", folder).exit_code == 0
    assert stepdown("certify", "-p", folder).exit_code == 0
    path = suite_path(folder)
    assert b"parcel" not in path.read_bytes()
    assert verdicts("-p", folder)[1]["expert"]["played"]["asked"] == 20
    gone = {row["sample"] for row in json.loads(path.read_text())["rows"][:7]}
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    left = [line for line in lines if json.loads(line)["id"] not in gone]
    (folder / "rows.jsonl").write_text("\n".join(left), encoding="utf-8")
    code, found = verdicts("-p", folder)
    assert code == 0
    assert (found["expert"]["played"]["asked"], found["expert"]["played"]["left_out"]) == (13, 7)
    assert "7 pinned rows are gone" in stepdown("verify", "-p", folder).output


def test_with_consent_it_needs_no_data_months_later(certified: Path) -> None:
    lines = (certified / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    (certified / "rows.jsonl").write_text("\n".join(lines[:4]), encoding="utf-8")
    found = verdicts("-p", certified)[1]
    assert (found["expert"]["played"]["asked"], found["expert"]["state"]) == (20, "same")


def test_what_is_promoted_since_does_not_hide_what_is_locked(certified: Path) -> None:
    lines = (certified / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    (certified / "rows.jsonl").write_text("\n".join(lines[:-20]), encoding="utf-8")
    assert stepdown("train", "-p", certified, "--yes").exit_code == 0
    code, found = verdicts("-p", certified)
    assert (code, found["expert"]["state"]) == (0, "same")


@pytest.mark.parametrize("text", ["{", '{"version": 9}', "[]", '{"version": 1, "task": "topic"}'])
def test_a_broken_suite_is_named(certified: Path, text: str) -> None:
    suite_path(certified).write_text(text, encoding="utf-8")
    done = stepdown("verify", "-p", certified)
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr


def test_a_suite_of_another_version_or_tier_is_refused(certified: Path) -> None:
    edit(certified, lambda plain: plain.update(version=2))
    assert "version 2" in stepdown("verify", "-p", certified).stderr
    edit(certified, lambda plain: plain.update(version=1, tier="other"))
    assert "is of topic other" in stepdown("verify", "-p", certified).stderr


def test_without_a_lock_it_says_so(plain: Path) -> None:
    done = stepdown("verify", "-p", plain)
    assert done.exit_code == 2
    assert "stepdown.lock" in done.stderr


HOSTED = TOML.replace(
    'model = "recorded:frontier.jsonl"\nrecording = "made-up answers for tests"\n',
    'model = "openai:big"\nbase_url = "{url}"\n',
)


def test_hosted_tiers_are_checked_by_their_canaries(tmp_path: Path) -> None:
    with serving() as peer:
        folder = write_project(tmp_path / "tiny", HOSTED.replace("{url}", peer.url))
        assert stepdown("train", "-p", folder).exit_code == 0
        assert stepdown("certify", "-p", folder).exit_code == 0
        code, found = verdicts("-p", folder)
        assert (code, found["frontier"]["state"]) == (0, "unchecked")
        assert "eval check --pin" in found["frontier"]["why"]
        stepdown("eval", "check", "--pin", "--tiers", "frontier", "-p", folder)
        assert verdicts("-p", folder)[1]["frontier"]["state"] == "same"
        peer.wrong = 10
        code, found = verdicts("-p", folder)
        assert (code, found["frontier"]["state"]) == (1, "changed")
        assert "canaries are answered otherwise" in found["frontier"]["why"]
        calls = peer.calls
        code, found = verdicts("-p", folder, "--offline")
        assert (code, found["frontier"]["state"], peer.calls) == (0, "unchecked", calls)


def test_models_verify_checks_files_and_answers_of_every_artifact(certified: Path) -> None:
    assert stepdown("models", "verify", "-p", certified).exit_code == 0
    artifact = Registry(certified / "models").all()[0]
    edit(certified, lambda plain: plain["rows"][0].update(answer="praise" * 2))
    done = stepdown("models", "verify", artifact.short, "-p", certified)
    assert done.exit_code == 1
    (certified / "models" / artifact.file).write_bytes(b"cut")
    done = stepdown("models", "verify", "topic", "-p", certified)
    assert done.exit_code == 1
    assert "has digest" in " ".join(done.output.split())


def test_models_verify_accepts_edits_only_of_sound_files(certified: Path) -> None:
    path = certified / "models" / "registry.json"
    path.write_text(path.read_text().replace('"n": 24', '"n": 25'), encoding="utf-8")
    assert "changed by hand" in stepdown("models", "list", "-p", certified).stderr
    assert stepdown("models", "verify", "--accept-edits", "-p", certified).exit_code == 0
    assert stepdown("models", "list", "-p", certified).exit_code == 0


def test_the_suite_file_is_what_its_shape_says(certified: Path) -> None:
    import msgspec

    suite = msgspec.json.decode(suite_path(certified).read_bytes(), type=Suite)
    assert suite.machine == this_machine()
    assert all(row.request is not None for row in suite.rows)  # store = "full"
