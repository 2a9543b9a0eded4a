"""`stepdown train export` and `train import` on the tiny project (synthetic rows)."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hosted_peer import serving
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl, write_project

from stepdown.wiring.workspace import Workspace


def exported(folder: Path, name: str = "openai", *args: object) -> tuple[Path, dict[str, Any]]:
    done = stepdown("train", "export", "topic", "-f", name, *args, "-p", folder, "--json")
    assert done.exit_code == 0, done.output
    data = envelope(done)["data"]
    return Path(data["folder"]), data["card"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_files_hold_train_rows_alone_and_no_group_on_both_sides(plain: Path) -> None:
    folder, card = exported(plain)
    train, validation = lines(folder / "train.jsonl"), lines(folder / "validation.jsonl")
    assert card["files"] == {"train.jsonl": len(train), "validation.jsonl": len(validation)}
    workspace = Workspace.open(plain)
    task = workspace.project.task("topic")
    held = {row.input for part in ("tune", "certify") for row in workspace.part(task, part)}
    texts = [one["messages"][-2]["content"].removeprefix("Message: ") for one in train + validation]
    assert not held & set(texts)
    assert len(texts) == len(set(texts)) == card["data"]["n"]
    assert card["data"]["overlap"] == 0


def test_the_answer_has_the_shape_that_the_contract_asks_for(plain: Path) -> None:
    folder, card = exported(plain)
    answers = {one["messages"][-1]["content"] for one in lines(folder / "train.jsonl")}
    assert answers <= {json.dumps({"topic": row["topic"]}) for row in rows()}
    assert card["answers"] == "in the shape of the task's contract"


def test_a_tiers_own_prompt_is_used_and_comes_back_with_the_tier(tmp_path: Path) -> None:
    prompt = (
        '\n[tasks.topic.prompts.frontier]\nsystem = "One word of: {labels}"\nuser = "{input}"\n'
    )
    folder = write_project(tmp_path / "p", TOML + prompt)
    out, card = exported(folder, "trl", "--tier", "frontier")
    first = lines(out / "train.jsonl")[0]
    assert first["prompt"][0]["content"].startswith("One word of: billing")
    assert first["completion"][0]["content"] in {row["topic"] for row in rows()}
    args = ("train", "import", "openai:ft:big:acme::1", "-t", "topic", "--card", out)
    done = stepdown(*args, "--name", "tuned", "--usd-in", 1, "--usd-out", 2, "-p", folder)
    assert done.exit_code == 0, done.output
    said = tomllib.loads((folder / "stepdown.toml").read_text(encoding="utf-8"))
    assert said["tasks"]["topic"]["tiers"] == ["expert", "tuned", "frontier"]
    assert said["tasks"]["topic"]["prompts"]["tuned"] == {
        "user": "{input}", "system": "One word of: {labels}",
    }  # fmt: skip
    assert said["tiers"]["tuned"]["price"]["output_usd_per_mtok"] == 2.0
    assert card["prompt"]["system"] == "One word of: {labels}"


def test_what_it_costs_is_unknown_until_somebody_says_a_price(plain: Path) -> None:
    _, card = exported(plain, "openai", "-o", plain / "a")
    assert card["cost"]["usd"] is None
    _, card = exported(plain, "openai", "-o", plain / "b", "--usd-per-mtok", "25", "--epochs", "2")
    assert card["cost"]["usd"] == pytest.approx(card["cost"]["tokens"] * 25 / 1e6)
    args = ("anthropic-batch", "-o", plain / "c", "--model", "claude-opus-5-5")
    _, card = exported(plain, *args)
    assert card["cost"]["usd"] > 0
    assert "batch" in card["cost"]["basis"]
    _, card = exported(plain, "anthropic-batch", "-o", plain / "d", "--model", "claude-none")
    assert card["cost"]["usd"] is None


def test_a_batch_holds_every_train_row_once_as_a_request(plain: Path) -> None:
    folder, card = exported(plain, "anthropic-batch", "--model", "claude-opus-5-5")
    found = lines(folder / "train.jsonl")
    assert len({one["custom_id"] for one in found}) == len(found) == card["data"]["n"]
    assert all(one["params"]["messages"][-1]["role"] == "user" for one in found)
    assert not (folder / "validation.jsonl").exists()


def test_masking_hides_personal_data_in_every_text(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "p")
    told = [{**row, "text": row["text"] + " Write to ann@example.com."} for row in rows()]
    write_jsonl(folder / "rows.jsonl", told)
    out, card = exported(folder, "trl", "--mask")
    assert b"ann@example.com" not in (out / "train.jsonl").read_bytes()
    assert card["data"]["masked"] == card["data"]["n"]


def test_what_the_receiver_would_refuse_is_not_written(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "p")
    write_jsonl(folder / "rows.jsonl", rows()[:16])
    done = stepdown("train", "export", "topic", "-f", "openai", "-p", folder)
    assert done.exit_code == 2
    assert "at least 10 are asked for" in done.stderr
    assert not (folder / "exports").exists()


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("topic", "-f", "csv"), "'csv' is unknown"),
        (("topc", "-f", "trl"), "no task 'topc'"),
        (("topic", "-f", "trl", "--tier", "mid"), "no tier 'mid'"),
        (("topic", "-f", "anthropic-batch"), "needs --model"),
    ],
)
def test_what_cannot_be_exported_is_said(plain: Path, args: tuple[str, ...], hint: str) -> None:
    done = stepdown("train", "export", *args, "-p", plain)
    assert done.exit_code == 2
    assert hint in done.stderr


def test_an_export_is_never_written_over(plain: Path) -> None:
    exported(plain)
    done = stepdown("train", "export", "topic", "-f", "openai", "-p", plain)
    assert done.exit_code == 2
    assert "holds an export already" in done.stderr


def test_a_served_model_is_asked_for_and_measured(certified: Path) -> None:
    with serving() as peer:
        peer.models = [{"id": "base"}, {"id": "topic-adapter", "parent": "base"}]
        args = ("train", "import", "openai:topic-adapter", "-t", "topic", "--base-url", peer.url)
        done = stepdown(*args, "--eval", "-p", certified, "--json")
        assert done.exit_code == 0, done.output
        data = envelope(done)["data"]
        assert data["imported"]["tier"] == "topic-adapter"
        assert data["summary"]["tiers"][0]["score"]["value"] == 1.0
        wrong = ("train", "import", "openai:other", "-t", "topic", "--base-url", peer.url)
        done = stepdown(*wrong, "-p", certified)
    assert done.exit_code == 2
    assert "lists no model 'other'" in done.stderr
    assert "topic-adapter" in done.stderr


def test_a_server_that_is_silent_is_told_of_and_the_tier_is_written(certified: Path) -> None:
    args = ("train", "import", "openai:x", "-t", "topic", "--base-url", "http://127.0.0.1:9/v1")
    done = stepdown(*args, "-p", certified)
    assert done.exit_code == 0
    assert "could not be asked" in done.stderr


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("plain-name",), "names no adapter"),
        (("openai:x", "--name", "expert"), "already"),
        (("openai:x", "--card", "nowhere"), "is no card of an export"),
    ],
)
def test_what_cannot_be_imported_leaves_the_file_alone(
    certified: Path, args: tuple[str, ...], hint: str
) -> None:
    before = (certified / "stepdown.toml").read_bytes()
    done = stepdown("train", "import", *args, "-t", "topic", "-p", certified)
    assert done.exit_code == 2
    assert hint in done.stderr
    assert (certified / "stepdown.toml").read_bytes() == before


def test_the_card_of_another_task_is_refused(plain: Path) -> None:
    folder, _ = exported(plain)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, "task": "other"}), encoding="utf-8")
    done = stepdown("train", "import", "openai:x", "-t", "topic", "--card", folder, "-p", plain)
    assert done.exit_code == 2
    assert "of the task 'other'" in done.stderr
