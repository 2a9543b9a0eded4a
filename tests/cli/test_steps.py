"""`stepdown steps`: names that are given once and hold for the next log too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_project import envelope, stepdown


def log(path: Path, month: int, n: int = 40) -> Path:
    """Return a log of two steps that nobody named, and one that the log names."""
    rows = []
    for i in range(n):
        day = f"2026-{month:02}-{i % 28 + 1:02}"
        for system, step, model in (
            (
                f"You judge how urgent a message is. Today is {day}. Say high or low.",
                None,
                "gpt-5.1",
            ),
            ("Translate what follows into French, word for word please.", None, "gpt-5.1"),
            ("Write a kind reply.", "draft", "gpt-5.1" if i % 2 else "gpt-5-mini"),
        ):
            asked: dict[str, Any] = {
                "model": model,
                "messages": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": f"message {i} of {month}"},
                ],
            }
            if step:
                asked["metadata"] = {"step": step}
            said = {
                "id": f"c{i}",
                "object": "chat.completion",
                "created": 1_793_000_000 + i,
                "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "high"}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 1},
            }
            rows.append({"request": asked, "response": said})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def names(logged: Path, root: Path) -> dict[str, int]:
    done = stepdown("steps", str(logged), "--project", str(root), "--json")
    assert done.exit_code == 0, done.output
    return {one["name"]: one["calls"] for one in envelope(done)["data"]["steps"]}


def urgent(logged: Path, root: Path) -> str:
    done = stepdown("steps", str(logged), "--project", str(root), "--json")
    steps = envelope(done)["data"]["steps"]
    return next(one["name"] for one in steps if "urgent" in one["template"])


def test_a_name_that_was_given_holds_for_the_log_of_next_month(tmp_path: Path) -> None:
    october, november = log(tmp_path / "10.jsonl", 10), log(tmp_path / "11.jsonl", 11)
    old = urgent(october, tmp_path)
    done = stepdown("steps", "name", old, "urgency", str(october), "--project", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "{*}" in (tmp_path / "steps.toml").read_text(encoding="utf-8")
    assert names(november, tmp_path)["urgency"] == 40
    audited = stepdown("audit", str(november), "--project", str(tmp_path), "--json")
    assert "urgency" in [step["name"] for step in envelope(audited)["data"]["steps"]]


def test_a_named_step_is_renamed_merged_split_and_forgotten(tmp_path: Path) -> None:
    logged = log(tmp_path / "10.jsonl", 10)
    where = ("--project", str(tmp_path))
    assert stepdown("steps", "name", "draft", "reply", str(logged), *where).exit_code == 0
    assert names(logged, tmp_path)["reply"] == 40
    assert stepdown("steps", "split", "reply", "--by", "model", *where).exit_code == 0
    found = names(logged, tmp_path)
    assert (found["reply-gpt-5.1"], found["reply-gpt-5-mini"]) == (20, 20)
    assert stepdown("steps", "forget", "reply", *where).exit_code == 0
    assert names(logged, tmp_path)["draft"] == 40
    old = urgent(logged, tmp_path)
    merged = stepdown("steps", "merge", "draft", old, str(logged), "--as", "both", *where)
    assert merged.exit_code == 0, merged.output
    assert names(logged, tmp_path)["both"] == 80


def test_a_step_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    logged = log(tmp_path / "10.jsonl", 10)
    done = stepdown("steps", "name", "draftt", "x", str(logged), "--project", str(tmp_path))
    assert done.exit_code == 2
    assert "Did you mean `draft`?" in done.output
    assert stepdown("steps", "split", "draft", "--by", "colour").exit_code == 2
    assert stepdown("steps", "forget", "nobody", "--project", str(tmp_path)).exit_code == 2


def test_a_step_without_a_system_prompt_is_known_by_what_its_messages_share(
    tmp_path: Path,
) -> None:
    def bare(path: Path, month: int) -> Path:
        rows = [json.loads(line) for line in log(path, month).read_text().splitlines()]
        for number, row in enumerate(rows):
            asked = row["request"]["messages"]
            if "urgent" in asked[0]["content"]:
                told = f"Is this urgent? Say high or low.\n\nMessage {number * month} for the desk"
                row["request"]["messages"] = [{"role": "user", "content": told}]
            elif "Translate" in asked[0]["content"]:
                said = f"Bonjour, voici le message numéro {number} en français pour vous."
                row["response"]["choices"][0]["message"]["content"] = said
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    october, november = bare(tmp_path / "10.jsonl", 10), bare(tmp_path / "11.jsonl", 11)
    where = ("--project", str(tmp_path))
    for number in range(2):
        old = next(one for one in names(october, tmp_path) if one.startswith("step-"))
        done = stepdown("steps", "name", old, f"named {number}", str(october), *where)
        assert done.exit_code == 0, done.output
    text = (tmp_path / "steps.toml").read_text(encoding="utf-8")
    assert "user = [" in text
    assert "Is this urgent? Say high or low." in text
    assert {n: c for n, c in names(november, tmp_path).items() if n.startswith("named")} == {
        "named 0": 40,
        "named 1": 40,
    }


def test_prompts_that_share_no_text_cannot_be_named_and_it_is_said(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in log(tmp_path / "a", 10).read_text().splitlines()][:60]
    for number, row in enumerate(rows):
        row["request"].pop("metadata", None)
        row["request"]["messages"] = [{"role": "user", "content": f"{number} w{number * 7}"}]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (only, *_) = names(path, tmp_path)
    done = stepdown("steps", "name", only, "x", str(path), "--project", str(tmp_path))
    assert done.exit_code in (0, 2)
    if only.startswith("step-"):
        assert done.exit_code == 2
        assert "share no text" in done.output
