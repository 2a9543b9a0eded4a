"""A project at work: splits, prices, locks and the registry."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tiny_project import TOML, rows, stepdown

from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError, LockError
from stepdown.wiring import certifying, eval_run
from stepdown.wiring.environment import Environment
from stepdown.wiring.evaluating import samples_in
from stepdown.wiring.lockfile import check_task, read_lock, write_lock
from stepdown.wiring.registry import Artifact, Registry
from stepdown.wiring.workspace import PARTS, Workspace


def opened(folder: Path) -> tuple[Workspace, Task]:
    workspace = Workspace.open(folder)
    return workspace, workspace.project.task("topic")


def test_the_parts_share_no_row_and_hold_all_of_them(plain: Path) -> None:
    workspace, task = opened(plain)
    parts = [{s.id for s in workspace.part(task, part)} for part in PARTS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 160


def test_near_duplicates_stay_in_one_part(plain: Path) -> None:
    twins = [{**row, "id": row["id"] + "-twin", "text": row["text"] + " "} for row in rows()]
    with (plain / "rows.jsonl").open("ab") as file:
        file.writelines(msgspec.json.encode(twin) + b"\n" for twin in twins)
    workspace, task = opened(plain)
    for part in PARTS:
        ids = {s.id for s in workspace.part(task, part)}
        assert {i.removesuffix("-twin") for i in ids} == {i for i in ids if "twin" not in i}


def test_all_rows_need_no_split_so_one_group_is_enough_for_them(plain: Path) -> None:
    lines = [{**row, "text": "one and the same"} for row in rows()]
    (plain / "rows.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    workspace, task = opened(plain)
    found = samples_in(workspace, task, PARTS)
    assert len(found) == len(lines)
    assert len({sample.group for sample in found}) == 1
    with pytest.raises(DataError, match="they cannot fill the part"):
        samples_in(workspace, task, ("tune",))


def test_references_of_their_own_limit_a_task_to_their_rows(plain: Path) -> None:
    lines = [{"id": row["id"], "topic": "praise"} for row in rows()[:10]]
    (plain / "gold.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    text = TOML.replace('store = "full"', 'references = "gold.jsonl"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    workspace, task = opened(plain)
    assert {s.reference for s in workspace.samples(task)} == {"praise"}
    assert len(workspace.samples(task)) == 10


def test_a_reference_line_without_its_answer_is_named(plain: Path) -> None:
    (plain / "gold.jsonl").write_text('{"id": "r1", "topic": "praise"}\n{"id": "r2"}\n')
    text = TOML.replace('store = "full"', 'references = "gold.jsonl"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    workspace, task = opened(plain)
    with pytest.raises(DataError, match=r"gold\.jsonl, line 2: needs 'id' and 'topic'"):
        workspace.samples(task)


def test_inputs_of_their_own_replace_the_text(plain: Path) -> None:
    lines = [{"id": row["id"], "short": f"short {row['id']}"} for row in rows()]
    (plain / "short.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    text = TOML.replace('store = "full"', 'inputs = "short.jsonl:short"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    workspace, task = opened(plain)
    assert workspace.samples(task)[0].input == "short r0"


def test_a_tier_priced_as_a_listed_model_has_its_list_price(plain: Path) -> None:
    made_up = 'price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }'
    text = TOML.replace(made_up, 'priced_as = "openai/gpt-4o-mini"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    workspace, _ = opened(plain)
    assert workspace.tiers["frontier"].price.basis == "list"
    assert workspace.unpriced() == ()


def test_a_model_that_nobody_lists_is_refused_by_name(plain: Path) -> None:
    made_up = 'price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }'
    text = TOML.replace(made_up, 'priced_as = "openai/no-such-model"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    workspace, _ = opened(plain)
    with pytest.raises(ConfigError, match="openai/no-such-model"):
        workspace.unpriced()


def test_an_interrupted_eval_asks_nothing_twice(plain: Path) -> None:
    workspace, task = opened(plain)
    first = asyncio.run(eval_run.evaluate(workspace, task, how=eval_run.How(limit=10)))
    second = asyncio.run(eval_run.evaluate(workspace, task))
    workspace.runs.close()
    assert (first.runs[0].called, first.runs[0].reused) == (10, 0)
    assert (second.runs[0].called, second.runs[0].reused) == (14, 10)


def test_the_lock_is_read_back_as_it_was_written(certified: Path, tmp_path: Path) -> None:
    lock = read_lock(certified / "stepdown.lock")
    write_lock(tmp_path / "again.lock", lock)
    assert read_lock(tmp_path / "again.lock") == lock
    assert (tmp_path / "again.lock").read_bytes() == (certified / "stepdown.lock").read_bytes()


def test_check_task_names_what_differs(certified: Path) -> None:
    lock = read_lock(certified / "stepdown.lock")
    locked = lock.tasks["topic"]
    digests = {name: tier.digest for name, tier in locked.tiers.items()}
    check_task(lock, "topic", locked.settings, locked.contract, digests)
    with pytest.raises(LockError, match=r"'expert' was .*, is missing"):
        check_task(lock, "topic", locked.settings, locked.contract, {})
    with pytest.raises(LockError, match="its contract"):
        check_task(lock, "topic", locked.settings, "other", digests)
    with pytest.raises(LockError, match="its settings"):
        check_task(lock, "topic", "other", locked.contract, digests)
    with pytest.raises(LockError, match="holds no task 'nope'"):
        check_task(lock, "nope", locked.settings, locked.contract, digests)


def test_certifying_one_task_keeps_the_others_of_the_lock(certified: Path) -> None:
    text = TOML + TOML[TOML.index("[tasks.topic]") :].replace("tasks.topic", "tasks.second")
    text = text.replace("[tasks.second]", '[tasks.second]\nreference = "topic"')
    (certified / "stepdown.toml").write_text(
        text.replace('["expert", "frontier"]', '["frontier"]').replace(
            '["frontier"]', '["expert", "frontier"]', 1
        ),
        encoding="utf-8",
    )
    before = read_lock(certified / "stepdown.lock").tasks["topic"]
    (certified / "frontier.jsonl").write_bytes(
        b"\n".join(
            msgspec.json.encode({"id": r["id"], "topic": r["topic"], "second": r["topic"]})
            for r in rows()
        )
    )
    workspace = Workspace.open(certified)
    task = workspace.project.task("second")
    gathered = asyncio.run(certifying.gather(workspace, task))
    certifying.write(workspace, [certifying.certify(workspace, task, gathered)])
    workspace.runs.close()
    lock = read_lock(certified / "stepdown.lock")
    assert list(lock.tasks) == ["topic", "second"]
    assert lock.tasks["topic"] == before


def test_a_guarantee_falls_due_and_then_the_ceiling_answers(certified: Path) -> None:
    from stepdown.core.call import Call
    from stepdown.serve.service import Service
    from stepdown.wiring.runner import open_service

    workspace, task = opened(certified)
    lock = workspace.lock()
    kept = []
    service = open_service(workspace, kept.append)
    late = Service(lock, service._steps, kept.append, today=lambda: "2999-01-01")
    call = Call(id="late", model="topic", messages=())
    reply = asyncio.run(late.run("topic", rows()[3]["text"], call))
    assert reply.trace.answered_by == task.ceiling
    assert reply.trace.outside_guarantee == "withdrawn"
    assert late.status()["tasks"]["topic"]["guarantee"] == "withdrawn"


def artifact(digest: str, tier: str = "expert") -> Artifact:
    return Artifact(
        task="topic", tier=tier, file=f"{digest}.bin", digest=digest, recipe="head",
        data_digest="d", date="2026-11-22",
    )  # fmt: skip


def test_the_registry_retires_what_is_replaced_and_keeps_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    assert registry.promoted("topic", "expert") is None
    for one in (artifact("a"), artifact("b"), artifact("c", "encoder")):
        registry.add(one)
    found = registry.promoted("topic", "expert")
    assert found is not None
    assert found.digest == "b"
    assert [(a.digest, a.state) for a in registry.all()] == [
        ("a", "retired"), ("b", "promoted"), ("c", "promoted"),
    ]  # fmt: skip
    registry.add(artifact("a"))
    assert [a.digest for a in registry.all()] == ["b", "c", "a"]


def test_the_environment_names_the_secret_that_is_missing_and_never_shows_one() -> None:
    here = Environment(
        {"A_KEY": "hidden", "STEPDOWN_HOME": "/x"}, datetime(2026, 11, 22, tzinfo=UTC)
    )
    assert here.secret("A_KEY", "This") == "hidden"
    assert here.cache == Path("/x")
    with pytest.raises(ConfigError, match="This needs the environment variable B_KEY") as caught:
        here.secret("B_KEY", "This")
    assert "hidden" not in str(caught.value)


def test_references_of_their_own_are_called_what_they_are(plain: Path) -> None:
    lines = [{"id": row["id"], "topic": row["topic"]} for row in rows()[:40]]
    (plain / "gold.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    text = TOML.replace('store = "full"', 'references = "gold.jsonl"\nreference_is = "ceiling"')
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    shown = " ".join(stepdown("eval", "-p", plain, "--rows", "all").output.split())
    assert "References: gold.jsonl, 40 rows." in shown
    assert "logged answers of the ceiling" in shown
    assert "patterns" not in shown
