"""`stepdown audit --write`, as a user types it: a log in, a project out on which eval runs at once.

The log is SYNTHETIC, made here by rule.
"""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_project import LABELS, SAYS, THINGS, stepdown

from stepdown.config.project import load_project
from stepdown.core.request import Message

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("refund", "track")
]


def line(number: int, step: str, system: str, user: str, said: Any, **more: Any) -> dict[str, Any]:
    message = said if isinstance(said, dict) else {"role": "assistant", "content": said}
    asked = {
        "model": "gpt-5.1",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
        "metadata": {"step": step, "message_id": f"m{number}"},
        **more,
    }
    answered = {
        "id": f"{step}{number}",
        "object": "chat.completion",
        "created": 1_793_000_000 + 60 * number,
        "model": "gpt-5.1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 8},
    }
    return {"request": asked, "response": answered}


def calls(n: int = 120) -> list[dict[str, Any]]:
    rng, made = random.Random(5), []
    for number in range(n):
        label = LABELS[number % 4]
        things = " ".join(rng.sample(THINGS, 6))
        text = f"{things} {SAYS[label]} order A{rng.randint(1000, 9999)}"
        day, who = f"2026-10-{rng.randint(1, 28):02}", rng.choice(["Ann", "Bo", "Cy"])
        system = f"You label mails for {who}. Today is {day}. Answer with JSON only, please."
        user = f"Customer: {who}\nMessage: {text}\nLabel:"
        made.append(line(number, "intent", system, user, json.dumps({"intent": label})))
        fields = {"order": text.rsplit(maxsplit=1)[-1], "things": text.split()[:2], "note": None}
        fenced = f"```json\n{json.dumps(fields)}\n```"
        made.append(line(number, "fields", "Extract.", f"<mail>{text}</mail>", fenced))
        call = {"name": "track" if number % 2 else "refund", "arguments": "{}"}
        called = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        }
        made.append(line(number, "act", "Choose.", text, called, tools=TOOLS))
        reply = f"Dear {who}, sorry about the {' '.join(rng.sample(THINGS, 9))}."
        made.append(line(number, "reply", "Write a kind reply.", text, reply))
    return made


def write_log(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log.jsonl", calls())


def test_a_log_becomes_a_project_on_which_eval_runs_without_a_key(
    log: Path, tmp_path: Path
) -> None:
    root = tmp_path / "made"
    done = stepdown("audit", str(log), "--write", "--project", str(root))
    assert done.exit_code == 0, done.output
    assert "+[tasks.intent]" in done.output
    project = load_project(root)
    kinds = {name: task.kind for name, task in project.tasks.items()}
    assert kinds["intent"] == "classify"
    assert kinds["act"] == "tool_call"
    assert set(project.tasks) == {"intent", "fields", "act", "reply"}
    assert sorted(project.tasks["intent"].labels) == sorted(LABELS)
    assert project.tasks["fields"].contract.output == "```json\n{answer}\n```"
    properties = project.tasks["fields"].json_schema["properties"]
    assert properties["things"] == {"type": "array", "items": {"type": "string"}}
    assert all(task.reference_is == "ceiling" for task in project.tasks.values())
    ran = stepdown("eval", "--all", "--project", str(root))
    assert ran.exit_code == 0, ran.output


def test_a_request_of_next_month_matches_the_contract_and_another_does_not(
    log: Path, tmp_path: Path
) -> None:
    root = tmp_path / "made"
    stepdown("audit", str(log), "--write", "--project", str(root))
    contract = load_project(root).tasks["intent"].contract
    system = "You label mails for Zoe. Today is 2027-01-31. Answer with JSON only, please."
    user = "Customer: Zoe\nMessage: where is Message: my parcel\nLabel:"
    asked = (Message("system", system), Message("user", user))
    assert contract.take_input(asked) == "where is Message: my parcel"
    assert contract.take_input((Message("system", system), Message("user", "hello"))) is None
    assert contract.take_input((Message("system", "Translate."), Message("user", user))) is None


def test_a_dry_run_shows_the_change_and_writes_nothing(log: Path, tmp_path: Path) -> None:
    root = tmp_path / "made"
    done = stepdown("audit", str(log), "--dry-run", "--project", str(root))
    assert done.exit_code == 0, done.output
    assert "+[tasks.intent]" in done.output
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_file_that_people_wrote_keeps_every_line(log: Path, tmp_path: Path) -> None:
    root = tmp_path / "made"
    root.mkdir()
    mine = (
        '# Ours.\n[project]\nname = "desk"   # keep\n\n'
        '[tiers.big]\nmodel = "openai:gpt-5.1"\n\n'
        '[tasks.intent]   # by hand\nkind = "draft"\ntiers = ["big"]\n'
    )
    (root / "stepdown.toml").write_text(mine, encoding="utf-8")
    done = stepdown("audit", str(log), "--write", "--project", str(root))
    assert done.exit_code == 0, done.output
    text = (root / "stepdown.toml").read_text(encoding="utf-8")
    assert text.startswith(mine)
    assert tomllib.loads(text)["tasks"]["intent"]["kind"] == "draft"
    assert "Stands in stepdown.toml already" in " ".join(done.output.split())
    again = stepdown("audit", str(log), "--write", "--project", str(root))
    assert again.exit_code == 2
    assert (root / "stepdown.toml").read_text(encoding="utf-8") == text


def test_calls_without_content_are_written_as_a_comment_with_the_reason(tmp_path: Path) -> None:
    bare = [line(n, "cheap", "", "", "") for n in range(40)]
    for row in bare:
        row["request"].pop("messages")
        row["response"].pop("choices")
    log = write_log(tmp_path / "log.jsonl", [*calls(60), *bare])
    root = tmp_path / "made"
    done = stepdown("audit", str(log), "--write", "--project", str(root))
    assert done.exit_code == 0, done.output
    text = (root / "stepdown.toml").read_text(encoding="utf-8")
    assert "# Not written: the log holds no content of its 40 calls" in text
    assert "# [tasks.cheap]" in text
    assert "cheap" not in load_project(root).tasks


def test_masked_sets_hold_no_addresses(tmp_path: Path) -> None:
    rows = calls(60)
    for number, row in enumerate(rows):
        said = row["request"]["messages"][-1]
        told = f" {THINGS[number % 30]}{number}@example.org "
        said["content"] = said["content"].replace(" and ", told, 1).replace(" the ", told, 1)
    log = write_log(tmp_path / "log.jsonl", rows)
    root = tmp_path / "made"
    done = stepdown("audit", str(log), "--write", "--mask", "--project", str(root))
    assert done.exit_code == 0, done.output
    texts = [path.read_text(encoding="utf-8") for path in (root / "data").iterdir()]
    assert not any("@example.org" in text for text in texts)
    assert any("<email>" in text for text in texts)


@pytest.mark.slow
def test_the_whole_loop_runs_from_a_log(log: Path, tmp_path: Path) -> None:
    root = tmp_path / "made"
    for verb in (
        ["audit", str(log), "--write"],
        ["eval", "--all"],
        ["train"],
        ["certify"],
    ):
        done = stepdown(*verb, "--project", str(root))
        # 1: nothing cheaper is certain yet on so few rows, which is an answer and no failure.
        assert done.exit_code in ((0, 1) if verb == ["certify"] else (0,)), (verb, done.output)
    assert (root / "stepdown.lock").is_file()
