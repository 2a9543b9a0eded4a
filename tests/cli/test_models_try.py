"""`stepdown models try`: a new model beside the old one (synthetic rows, loopback servers)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hosted_peer import serving
from tiny_project import TOML, envelope, recorded, stepdown, write_jsonl, write_project

from stepdown.wiring.registry import Registry


def tried(folder: Path, *args: object, code: int = 0) -> dict[str, Any]:
    done = stepdown("models", "try", *args, "-t", "topic", "-p", folder, "--json")
    assert done.exit_code == code, done.output
    return dict(envelope(done)["data"])


def frozen(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "stepdown.toml").read_bytes(), (folder / "stepdown.lock").read_bytes()


def test_a_new_model_stands_beside_the_old_one_and_nothing_is_touched(certified: Path) -> None:
    before = frozen(certified)
    with serving() as peer:
        peer.wrong = 5
        found = tried(certified, "openai:big", "--base-url", peer.url)["tried"]
    assert (found["new"]["name"], found["old"]["name"]) == ("big", "expert")
    assert found["difference"]["value"] == pytest.approx(
        found["new"]["score"]["value"] - found["old"]["score"]["value"]
    )
    assert found["difference"]["high"] < 0
    assert found["new"]["cost_usd"]["value"] is None  # nobody said a price
    assert found["after"]["state"] in ("certified", "ceiling")
    assert frozen(certified) == before
    assert not list(certified.glob(".stepdown.toml*"))


def test_the_report_says_so_in_words(certified: Path) -> None:
    with serving() as peer:
        peer.wrong = 5
        args = ("models", "try", "openai:big", "-t", "topic", "--base-url", peer.url)
        text = stepdown(*args, "-p", certified).output
    assert "The new one is worse" in text
    assert "Nothing was written" in text
    assert "A rehearsal" in text


def test_add_writes_the_tier_and_keeps_every_comment(certified: Path) -> None:
    path = certified / "stepdown.toml"
    path.write_text("# ours\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with serving() as peer:
        args = ("openai:big", "--base-url", peer.url, "--against", "frontier", "--name", "mid")
        assert tried(certified, *args, "--add")["added"] is True
        text = path.read_text(encoding="utf-8")
        plain = tomllib.loads(text)
        assert text.startswith("# ours\n")
        assert plain["tasks"]["topic"]["tiers"] == ["expert", "mid", "frontier"]
        assert plain["tiers"]["mid"] == {"model": "openai:big", "base_url": peer.url}
        calls = peer.calls
        again = tried(certified, "mid", "--against", "expert")["tried"]
        assert again["new"]["name"] == "mid"
        assert peer.calls == calls  # its answers were kept


def test_a_tier_of_the_file_can_be_tried_for_a_task_that_lacks_it(tmp_path: Path) -> None:
    more = '[tiers.other]\nmodel = "recorded:other.jsonl"\nplace = "vendor"\n\n[tasks.topic]'
    folder = write_project(tmp_path / "p", TOML.replace("[tasks.topic]", more, 1))
    write_jsonl(folder / "other.jsonl", recorded())
    assert stepdown("train", "-p", folder).exit_code == 0
    found = tried(folder, "other", "--against", "frontier", "--as-ceiling", "--add")
    assert found["tried"]["difference"]["value"] == 0.0
    plain = tomllib.loads((folder / "stepdown.toml").read_text(encoding="utf-8"))
    assert plain["tasks"]["topic"]["tiers"] == ["expert", "frontier", "other"]


def test_a_candidate_is_tried_in_the_place_of_what_is_promoted(certified: Path) -> None:
    lines = (certified / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    whole = "\n".join(lines)
    (certified / "rows.jsonl").write_text("\n".join(lines[:-20]), encoding="utf-8")
    assert stepdown("train", "-p", certified).exit_code == 0  # nobody at a terminal: a candidate
    (certified / "rows.jsonl").write_text(whole, encoding="utf-8")
    candidate = Registry(certified / "models").all()[-1]
    assert candidate.state == "candidate"
    found = tried(certified, candidate.short)["tried"]
    assert (found["new"]["name"], found["old"]["name"], found["tier"]) == ("expert", "expert", None)
    assert Registry(certified / "models").find(candidate.short).state == "candidate"


def test_without_the_rehearsal_no_policy_is_searched(certified: Path) -> None:
    with serving() as peer:
        args = ("openai:big", "--base-url", peer.url, "--no-rehearsal", "--limit", "8")
        found = tried(certified, *args)["tried"]
    assert (found["before"], found["after"], found["n"]) == (None, None, 8)


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("nope:big",), "unknown adapter 'nope'"),
        (("fffff",), "begins with 'fffff'"),
        (("openai:big", "--base-url", "http://127.0.0.1:9", "--against", "mid"), "'mid' is no"),
        (("openai:big", "--base-url", "http://127.0.0.1:9", "--name", "expert"), "'expert'"),
        (("openai:big", "--base-url", "http://127.0.0.1:9", "--name", "a=b"), "holds '='"),
    ],
)
def test_what_cannot_be_tried_is_said(certified: Path, args: tuple[str, ...], hint: str) -> None:
    before = frozen(certified)
    done = stepdown("models", "try", *args, "-t", "topic", "-p", certified)
    assert done.exit_code == 2
    assert hint in done.stderr
    assert frozen(certified) == before


def test_what_is_outside_the_boundary_is_never_asked(tmp_path: Path) -> None:
    toml = TOML.replace('store = "full"', 'boundary = "self_hosted"')
    toml = toml.replace('place = "vendor"\n', 'place = "self_hosted"\n')
    folder = write_project(tmp_path / "p", toml)
    assert stepdown("train", "-p", folder).exit_code == 0
    done = stepdown("models", "try", "openai:big", "-t", "topic", "-p", folder)
    assert done.exit_code == 2
    assert "outside the boundary" in done.stderr
