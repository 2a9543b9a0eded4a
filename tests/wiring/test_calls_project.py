"""Calls of functions and values under a schema, from eval to the gateway, on a made-up project."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from calls_project import TOML, TOOLS, rows, write_calls_project
from tiny_project import envelope, stepdown

from stepdown.core.asked import Asked, ToolChoice
from stepdown.core.call import Call
from stepdown.core.chat import tools_of
from stepdown.core.request import Message
from stepdown.serve.service import Service
from stepdown.wiring.eval_kinds import kinds_of
from stepdown.wiring.runner import open_service
from stepdown.wiring.workspace import Workspace

ROWS = rows()
CALLING, IDLE = ROWS[0], ROWS[2]
SENT = tools_of([{"type": "function", "function": tool} for tool in reversed(TOOLS)])


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_calls_project(tmp_path_factory.mktemp("calls"))
    assert stepdown("certify", "-p", folder).exit_code == 0
    return folder


@pytest.fixture
def service(locked: Path) -> Service:
    return open_service(Workspace.open(locked), lambda trace: None)


def call(row: dict[str, Any], **asked: Any) -> Call:
    messages = (Message(role="user", content=row["text"]),)
    return Call(id="c1", model="calls", messages=messages, asked=Asked(**asked))


def test_an_eval_reports_calls_and_fields_beside_the_score(locked: Path) -> None:
    found = envelope(stepdown("eval", "-p", locked, "--json"))["data"]["kinds"]
    small, frontier = found["calls"]
    assert small["functions"]["n"] + small["held_back"]["n"] == 96
    assert frontier["functions"]["value"] > 0.9
    assert {field["field"] for field in found["order"][0]["fields"]} == {"order", "total", "items"}
    assert found["order"][0]["valid"]["value"] < 1
    shown = stepdown("eval", "-p", locked).output
    assert "no call when none fits" in shown
    assert "Shape and content" in shown


def test_a_bare_text_is_answered_with_the_canonical_text(locked: Path) -> None:
    asked = stepdown("ask", "calls", CALLING["text"], "-p", locked)
    assert json.loads(asked.stdout) == CALLING["calls"]
    order = stepdown("ask", "order", CALLING["text"], "-p", locked)
    assert json.loads(order.stdout)["order"] == CALLING["order"]["order"]


async def test_a_caller_who_sends_the_certified_tools_gets_native_calls(service: Service) -> None:
    reply = await service.answer(call(CALLING, tools=SENT))
    assert reply.trace.outside_guarantee is None
    assert reply.trace.contract_matched
    assert (reply.text, reply.finish_reason) == ("", "tool_calls")
    (made,) = reply.tool_calls
    assert (made.name, json.loads(made.arguments)) == ("order_status", {"order": 1000})


async def test_where_nothing_is_to_be_called_the_caller_gets_no_call(service: Service) -> None:
    reply = await service.answer(call(IDLE, tools=SENT))
    assert (reply.tool_calls, reply.finish_reason, reply.text) == ((), "stop", "")


async def test_other_tools_and_a_forced_call_are_outside_the_contract(service: Service) -> None:
    other = tools_of([TOOLS[0]])
    forced = {"tools": SENT, "tool_choice": ToolChoice(mode="required")}
    for asked in ({"tools": other}, forced):
        reply = await service.answer(call(CALLING, **asked))
        assert reply.trace.outside_guarantee == "contract"
        assert reply.trace.answered_by == "frontier"


def test_tools_of_each_row_stand_in_its_request_and_its_answers(tmp_path: Path) -> None:
    toml = TOML.replace('tools = "tools.json"\n', "").replace(
        'path = "rows.jsonl"', 'path = "rows.jsonl"\ntools = "tools"'
    )
    folder = write_calls_project(tmp_path / "own", toml)
    lines = [json.dumps({**row, "tools": TOOLS}) for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = envelope(stepdown("eval", "calls", "-p", folder, "--json"))["data"]["kinds"]["calls"]
    assert found[1]["functions"]["value"] > 0.9


@pytest.mark.parametrize(
    ("said", "instead", "told"),
    [
        ('"tools.json"', '"tols.json"', "tols.json cannot be read"),
        ('tools = "tools.json"', "", "needs `tools`"),
        ('tools = "tools.json"', "tools = [{ nam = 'f' }]", "tasks.calls.tools"),
        ('schema = "order.schema.json"', 'schema = { type = "objekt" }', "no JSON Schema"),
        ('schema = "order.schema.json"', "", "needs `fields` or `schema`"),
        ('total = "money"', 'total = "mony"', "Did you mean `money`"),
        ('total = "money"', 'total = { by = "text", abs = 1 }', "`abs` and `rel` are for"),
        ('compare = {', 'scorer = "label"\ncompare = {', "is for classify"),
        ('compare = {', 'scorer = "compard"\ncompare = {', "Did you mean 'compared'"),
        ('compare = {', 'scorer = { name = "compared", x = 1 }\ncompare = {', "no option 'x'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named(tmp_path: Path, said: str, instead: str, told: str) -> None:
    folder = write_calls_project(tmp_path / "bad", TOML.replace(said, instead, 1))
    done = stepdown("eval", "-p", folder)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("calls", [{"name": "refnd", "arguments": {}}], "did you mean 'refund'"),
        ("calls", [{"name": "refund", "arguments": {"ordr": 1}}], "did you mean 'order'"),
        ("calls", {"name": "refund"}, "expected a list of calls"),
        ("order", {"order": "x", "total": 1, "items": []}, "breaks the schema"),
    ],
)
def test_a_reference_that_cannot_be_is_named_by_file_and_line(
    tmp_path: Path, key: str, value: Any, told: str
) -> None:
    folder = write_calls_project(tmp_path / "bad")
    lines = [json.dumps({**row, key: value} if n == 4 else row) for n, row in enumerate(ROWS)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = stepdown("eval", key, "-p", folder)
    assert done.exit_code == 2
    output = " ".join(done.output.split())
    assert "rows.jsonl, line 5" in output
    assert told in output


def test_a_scorer_beside_the_project_is_found_and_a_changed_one_scores_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    toml = TOML.replace("compare = {", 'scorer = "beside_calls:score"\ncompare = {')
    folder = write_calls_project(tmp_path / "own", toml)
    path = folder / "beside_calls.py"
    scores = []
    for value in (1, 0.25):
        sys.modules.pop("beside_calls", None)
        path.write_text(f"def score(*asked):\n    return {value} + 0.0\n", encoding="utf-8")
        done = stepdown("eval", "order", "-p", folder, "--json")
        scores.append(envelope(done)["data"]["tasks"][0]["tiers"][1]["score"]["value"])
    sys.modules.pop("beside_calls", None)
    assert scores[0] == pytest.approx(4 * scores[1])


@pytest.mark.parametrize(("most", "cut"), [(96, False), (95, True), (10, True)])
def test_figures_by_kind_of_a_large_run_are_of_its_start_and_say_so(
    locked: Path, most: int, cut: bool
) -> None:
    run = envelope(stepdown("eval", "calls", "-p", locked, "--json"))["data"]["runs"]["calls"]
    workspace = Workspace.open(locked)
    head = next(one for one in workspace.runs.runs("calls") if one.digest == run)
    made = kinds_of(workspace, workspace.project.task("calls"), head, most=most)
    small, _ = made.figures
    assert small.functions.n + small.held_back.n == most
    notes = [note for table in made.tables for note in table.notes]
    assert (f"Of the first {most:,} answers of each tier." in notes) == cut
