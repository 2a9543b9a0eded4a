"""Agents' trajectories replayed step by step (SYNTHETIC runs of a booking agent)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_project import envelope, stepdown

from stepdown.errors import DataError
from stepdown.evals.trajectories import steps_of

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
TOML = """\
[project]
name = "agent"
baseline = "frontier"

[data]
path = "runs.jsonl"
trajectory = "messages"
tools = "tools"
shares = { train = 0.1, tune = 0.6, certify = 0.3 }

[tiers.small]
model = "recorded:small.jsonl"
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.1 }

[tiers.frontier]
model = "recorded:frontier.jsonl"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0 }

[tasks.act]
kind = "tool_call"
tiers = ["small", "frontier"]

[tasks.say]
kind = "draft"
scorer = "token_f1_squad"
tiers = ["small", "frontier"]
"""


def run(number: int) -> dict[str, Any]:
    city = f"city{number} {'abcdefghij'[number % 10] * (number // 10 + 3)}"
    call = {"name": "find", "arguments": json.dumps({"city": city})}
    called = {"id": "c1", "type": "function", "function": call}
    return {
        "id": f"t{number}",
        "tools": TOOLS,
        "messages": [
            {"role": "system", "content": "You book hotels."},
            {"role": "user", "content": f"A room in {city}, please, for {number} nights"},
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "c1", "content": f"Hotel {city} has rooms"},
            {"role": "assistant", "content": f"Hotel {city} has rooms. Shall I book?"},
            {"role": "user", "content": f"Yes, {city} it is"},
            {"role": "assistant", "content": "Booked."},
        ],
    }


def write_runs(folder: Path, n: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stepdown.toml").write_text(TOML, encoding="utf-8")
    runs = [run(i) for i in range(n)]
    small, frontier = [], []
    for one in runs:
        calls = one["messages"][2]["tool_calls"][0]["function"]
        right = json.dumps([{"name": "find", "arguments": json.loads(calls["arguments"])}])
        talk = one["messages"][4]["content"]
        for number, (act, say) in enumerate(((right, ""), ("[]", talk), ("[]", "Booked."))):
            row = {"id": f"{one['id']}#{number + 1}", "act": act, "say": say}
            frontier.append(row)
            small.append({**row, "act": "[]", "say": "Booked."})
    for name, lines in (("runs", runs), ("small", small), ("frontier", frontier)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_each_step_is_given_the_true_history() -> None:
    steps = [
        row for _, row in steps_of([(1, run(1))], source="f", messages="messages", row_id="id")
    ]
    assert [row["id"] for row in steps] == ["t1#1", "t1#2", "t1#3"]
    assert [row["trajectory"] for row in steps] == ["t1"] * 3
    assert [len(row["history"]) for row in steps] == [1, 4, 5]
    assert steps[0]["text"].startswith("A room in")
    assert steps[1]["text"] == ""
    assert steps[0]["step"]["calls"][0]["name"] == "find"
    assert steps[2]["step"] == {"calls": [], "text": "Booked."}


def test_steps_that_call_and_steps_that_speak_are_scored_by_runs(tmp_path: Path) -> None:
    folder = write_runs(tmp_path / "p")
    done = stepdown("eval", "-p", folder, "--rows", "all", "--json")
    assert done.exit_code == 0, done.output
    act, say = envelope(done)["data"]["tasks"]
    scores = {t["tier"]: t["score"] for t in act["tiers"]}
    assert scores["frontier"]["value"] == 1.0
    assert scores["small"]["value"] == pytest.approx(2 / 3)
    assert (act["samples"], act["groups"]) == (120, 40)
    said = {t["tier"]: t["score"] for t in say["tiers"]}
    assert said["frontier"]["value"] == 1.0
    assert say["samples"] == 80
    assert said["small"]["value"] < 0.7


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, "'id' is empty"),
        ({"id": "t"}, "holds no messages"),
        ({"id": "t", "messages": "nonsense"}, "holds no messages"),
        ({"id": "t", "messages": [{"role": "narrator", "content": "x"}]}, "holds no messages"),
        ({"id": "t", "messages": [{"role": "user", "content": "x"}]}, "no step to score"),
    ],
)
def test_a_row_that_is_no_trajectory_is_named(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=f"line 3: .*{said}"):
        list(steps_of([(3, row)], source="runs.jsonl", messages="messages", row_id="id"))


def test_arguments_that_are_no_json_are_named() -> None:
    broken = run(1)
    broken["messages"][2]["tool_calls"][0]["function"]["arguments"] = "{city"
    with pytest.raises(DataError, match="arguments of 'find' are no JSON"):
        list(steps_of([(1, broken)], source="f", messages="messages", row_id="id"))
