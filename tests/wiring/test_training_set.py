"""What a training set is gathered from: rows, corrections, the ceiling; and what never gets in."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from tiny_project import THINGS, TOML, rows, stepdown, write_jsonl, write_project

from stepdown.core.beside import Feedback, Shadow
from stepdown.core.trace import Attempt, Trace
from stepdown.errors import DataError
from stepdown.wiring.fresh_rows import fresh_rows
from stepdown.wiring.training_set import Gathered, Options, gather
from stepdown.wiring.workspace import Workspace

OTHER = "the zebra enclosure is far too cold for my guests at number"


def attempt(tier: str, answer: str, number: int = 0) -> Attempt:
    return Attempt(
        id=f"a{number}", trace_id="t", number=number, tier=tier, started_at="now", answer=answer
    )


def trace(name: str, **changes: Any) -> Trace:
    """A request that the ceiling answered after the expert was not sure."""
    told = {
        "task": "topic",
        "at": "2026-11-01T10:00:00",
        "attempts": (attempt("expert", "praise"), attempt("frontier", "account", 1)),
        "answered_by": "frontier",
        "reason": "last_tier",
        "latency_s": 0.1,
        "input": " ".join(Random(name).sample(THINGS, 9)),
        "answer": "account",
    }
    return Trace(id=name, **{**told, **changes})


def served(folder: Path, *traces: Trace, said: tuple[Feedback, ...] = ()) -> Workspace:
    write_project(folder)
    workspace = Workspace.open(folder)
    ledger = workspace.ledger()
    for one in traces:
        ledger.append(one)
    for word in said:
        ledger.note(word)
    ledger.close()
    return workspace


def word(trace_id: str, **said: Any) -> Feedback:
    told = {"task": "topic", "at": "2026-11-02T10:00:00", "by": "eve", **said}
    return Feedback(id=f"f{trace_id}{said.get('by', '')}", trace_id=trace_id, **told)


def gathered(workspace: Workspace, **options: Any) -> Gathered:
    return gather(workspace, workspace.project.task("topic"), Options(**options))


def reasons(found: Gathered) -> dict[str, int]:
    return {one.reason: one.n for one in found.card.refused}


def test_without_a_ledger_the_train_part_is_the_set(tmp_path: Path) -> None:
    workspace = Workspace.open(write_project(tmp_path))
    found = gathered(workspace)
    ids = {row.id for row in (*found.data.train, *found.data.validation)}
    assert ids == {row.id for row in workspace.part(workspace.project.task("topic"), "train")}
    assert found.card.sources == {"set": 80}
    assert found.card.overlap == 0
    assert sum(found.card.by_label.values()) == 80
    assert any("no ledger" in note for note in found.card.notes)


def test_an_accepted_answer_of_the_ceiling_teaches_and_its_hard_case_comes_first(
    tmp_path: Path,
) -> None:
    found = gathered(served(tmp_path, trace("t1")))
    assert found.card.sources == {"set": 80, "ceiling": 1}
    assert found.card.escalated == 1
    learned = [r for r in (*found.data.train, *found.data.validation) if r.source == "ceiling"]
    assert (learned[0].answer, learned[0].wrong, learned[0].escalated) == (
        "account",
        "praise",
        True,
    )
    assert found.traffic == ("t1",)


def test_a_correction_wins_over_the_answer(tmp_path: Path) -> None:
    small = {
        "answered_by": "expert",
        "answer": "praise",
        "attempts": (attempt("expert", "praise"),),
    }
    found = gathered(served(tmp_path, trace("t1", **small), said=(word("t1", label=" Billing "),)))
    learned = [r for r in (*found.data.train, *found.data.validation) if r.source == "feedback"]
    assert [(row.id, row.answer, row.wrong) for row in learned] == [("t1", "billing", "praise")]


@pytest.mark.parametrize(
    ("changes", "said", "why"),
    [
        ({"input": None}, (), "text was not kept"),
        ({"contract_matched": False}, (), "did not match the contract"),
        ({"answered_by": None, "answer": None}, (), "nobody answered"),
        ({"answered_by": "expert", "answer": "praise"}, (), "nobody corrected"),
        ({}, ({"score": 0.0},), "scored the answer below 1"),
        ({}, ({"label": "praise"}, {"label": "billing", "by": "bob"}), "different right answers"),
        ({"answer": "no label"}, (), "none that the task allows"),
    ],
)
def test_what_teaches_nothing_is_counted_by_its_reason(
    tmp_path: Path, changes: dict[str, Any], said: tuple[dict[str, Any], ...], why: str
) -> None:
    words = tuple(word("t1", **one) for one in said)
    found = gathered(served(tmp_path, trace("t1", **changes), said=words))
    assert found.card.sources == {"set": 80}
    assert [(why in reason, n) for reason, n in reasons(found).items()] == [(True, 1)]


@pytest.mark.parametrize("store", ["none", "metadata"])
def test_a_task_that_keeps_no_texts_learns_nothing_from_traffic(tmp_path: Path, store: str) -> None:
    served(tmp_path, trace("t1"))
    toml = TOML.replace('store = "full"', f'store = "{store}"')
    (tmp_path / "stepdown.toml").write_text(toml, encoding="utf-8")
    found = gathered(Workspace.open(tmp_path))
    assert found.card.sources == {"set": 80}
    assert any(f'store = "{store}" keeps no texts' in note for note in found.card.notes)


def held_text(folder: Path) -> str:
    workspace = Workspace.open(write_project(folder))
    return workspace.part(workspace.project.task("topic"), "certify")[0].input


def test_traffic_that_resembles_a_held_out_row_is_left_out(tmp_path: Path) -> None:
    text = held_text(tmp_path)
    found = gathered(served(tmp_path, trace("t1", input=text.upper())))
    assert found.card.sources == {"set": 80}
    assert [("eval or certify" in reason) for reason in reasons(found)] == [True]


def test_a_conversation_with_one_held_out_message_is_left_out_whole(tmp_path: Path) -> None:
    text = held_text(tmp_path)
    both = (trace("t1", input=text, session="s"), trace("t2", session="s"), trace("t3"))
    found = gathered(served(tmp_path, *both))
    assert found.traffic == ("t3",)


def test_a_conversation_does_not_stand_on_both_sides_of_the_validation(tmp_path: Path) -> None:
    many = [
        trace(f"t{n}", session=f"s{n // 3}", input=f"{OTHER} {'k' * n} {n * 7919}")
        for n in range(30)
    ]
    found = gathered(served(tmp_path, *many))
    inside = {row.group for row in found.data.train}
    assert inside.isdisjoint(row.group for row in found.data.validation)


def test_near_duplicates_of_a_training_row_are_removed_and_counted(tmp_path: Path) -> None:
    first = trace("t1")
    again = trace("t2", input=f"{first.input}!!")
    found = gathered(served(tmp_path, first, again))
    assert found.card.duplicates == 1
    assert found.traffic == ("t1",)


def test_personal_data_are_masked_where_asked(tmp_path: Path) -> None:
    text = f"{OTHER} five, write to eve.adams@example.org"
    workspace = served(tmp_path, trace("t1", input=text))
    plain = gathered(workspace)
    hidden = gathered(workspace, masked=True)
    assert any("eve.adams" in row.input for row in plain.data.train + plain.data.validation)
    assert not any("eve.adams" in row.input for row in hidden.data.train + hidden.data.validation)
    assert hidden.card.masked is not None
    assert plain.card.masked is None
    assert hidden.data.digest != plain.data.digest


def test_a_file_for_training_only_adds_rows(tmp_path: Path) -> None:
    workspace = Workspace.open(write_project(tmp_path))
    write_jsonl(tmp_path / "more.jsonl", [{"id": "x", "text": f"{OTHER} 1", "topic": "Account"}])
    found = gathered(workspace, also=tmp_path / "more.jsonl")
    assert found.card.n == 81
    assert found.card.by_label["account"] == gathered(workspace).card.by_label["account"] + 1


def test_a_file_that_overlaps_the_eval_rows_is_refused_with_the_rows(tmp_path: Path) -> None:
    text = held_text(tmp_path)
    write_jsonl(
        tmp_path / "more.jsonl",
        [
            {"id": "fine", "text": f"{OTHER} 1", "topic": "account"},
            {"id": "leaks", "text": f"{text}!", "topic": "account"},
        ],
    )
    with pytest.raises(DataError, match="overlaps the eval rows in 1 of 2 rows: leaks is like"):
        gathered(Workspace.open(tmp_path), also=tmp_path / "more.jsonl")


def test_the_set_is_the_same_every_time(tmp_path: Path) -> None:
    workspace = served(tmp_path, trace("t1"), trace("t2", input="quite another matter"))
    assert gathered(workspace).data == gathered(Workspace.open(tmp_path)).data


def test_rows_of_the_set_stay_what_they_are(tmp_path: Path) -> None:
    workspace = Workspace.open(write_project(tmp_path))
    known = {row["id"]: row for row in rows()}
    for row in gathered(workspace).data.train:
        assert (row.input, row.answer) == (known[row.id]["text"], known[row.id]["topic"])


def test_a_request_that_was_learned_from_is_no_fresh_row_of_a_review(tmp_path: Path) -> None:
    workspace = served(tmp_path, trace("t1"), trace("t2", answered_by="expert"))
    ledger = workspace.ledger()
    for name in ("t1", "t2"):
        seen = trace(name)
        ledger.note(
            Shadow(id=f"s{name}", trace_id=name, task="topic", at=seen.at, input=seen.input)
        )
    ledger.close()
    task = workspace.project.task("topic")
    before = fresh_rows(workspace, task, (), since="2026-10-01")
    assert stepdown("train", "-p", tmp_path).exit_code == 0
    after = fresh_rows(Workspace.open(tmp_path), task, (), since="2026-10-01")
    assert [row.id for row in before.plain] == ["pool:t1", "pool:t2"]
    assert [row.id for row in after.plain] == ["pool:t2"]
