"""`certify --outcomes` on a table by itself: no project, its own split, a lock to replay."""

import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tiny_project import envelope, stepdown, write_project

from stepdown.adapters.tables.outcome_files import write_outcomes
from stepdown.core.outcome import Outcome
from stepdown.wiring.lockfile import read_lock
from stepdown.wiring.outcome_tables import digest_of_file

N = 500


def outcomes(n: int = N, *, scored: bool = True, prompts: bool = True) -> list[Outcome]:
    """A small tier that is right when it is sure, SYNTHETIC, and a big one that is always right."""
    chance = random.Random(7)
    found = []
    for i in range(n):
        sure = chance.random()
        right = chance.random() < (0.995 if sure > 0.4 else 0.4)
        said = {"small": "yes" if right else f"no {i}", "big": "yes"}
        found += [
            Outcome(
                query_id=f"q{i}",
                tier=tier,
                score=float(answer == "yes") if scored else None,
                cost_usd={"small": 0.001, "big": 0.1}[tier],
                signals={"margin": sure} if tier == "small" else {},
                answer=answer,
                prompt=" ".join(chance.choices(WORDS, k=12)) if prompts and tier == "big" else None,
            )
            for tier, answer in said.items()
        ]
    return found


WORDS = [f"{a}{b}" for a in "bcdfgh" for b in ("at", "en", "ip", "ox", "um")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a table; it is the present folder."""
    monkeypatch.chdir(tmp_path)
    write_outcomes(tmp_path / "mine.parquet", outcomes())
    return tmp_path


def run(*args: object) -> Any:
    return stepdown("certify", "--outcomes", "mine.parquet", *args)


def test_a_table_is_certified_in_an_empty_folder_and_its_lock_is_replayed(here: Path) -> None:
    done = stepdown("certify", "--outcomes", "mine.parquet", "--max-loss", 0.06, "--json")
    assert done.exit_code == 0, done.output
    assert envelope(done)["data"]["tasks"][0]["guarantee"]["state"] == "certified"
    lock = read_lock(here / "stepdown.lock")
    locked = lock.tasks["mine"]
    assert lock.project == "outcomes:mine"
    assert locked.policy.tiers == ("small", "big")
    assert locked.tiers["small"].digest == digest_of_file(here / "mine.parquet")
    assert "0.4 to tune and 0.6 to certify, seed" in locked.guarantee.split
    assert locked.guarantee.n_tune + locked.guarantee.n_certify == N
    again = stepdown("replay", "--lock", "stepdown.lock", "--outcomes", "mine.parquet", "--json")
    assert again.exit_code == 0, again.output


def test_the_same_table_gives_the_same_lock_and_another_promise_is_another_look(
    here: Path,
) -> None:
    run("--max-loss", 0.06)
    first = (here / "stepdown.lock").read_bytes()
    run("--max-loss", 0.06)
    assert (here / "stepdown.lock").read_bytes() == first
    refused = run("--max-loss", 0.05)
    assert refused.exit_code == 2
    assert "already looked at" in refused.output
    run("--max-loss", 0.05, "--relook")
    assert len(read_lock(here / "stepdown.lock").tasks["mine"].guarantee.looks) == 2


def test_tiers_and_ceiling_may_be_named_and_shares_chosen(here: Path) -> None:
    run("better", "--tiers", "big,small", "--shares", "0.5,0.5", "--lock", "other.lock")
    locked = read_lock(here / "other.lock").tasks["better"]
    assert locked.policy.ceiling == "small"
    assert locked.guarantee.n_tune == N // 2
    run("--ceiling", "small", "--lock", "third.lock")
    assert read_lock(here / "third.lock").tasks["mine"].policy.ceiling == "small"
    assert not (here / "stepdown.lock").exists()


def test_without_scores_agreement_with_the_named_ceiling_is_promised(here: Path) -> None:
    write_outcomes(here / "mine.parquet", outcomes(scored=False))
    refused = run()
    assert refused.exit_code == 2
    assert "Name it with --ceiling" in refused.output
    run("--ceiling", "big", "--max-disagreement", 0.1)
    stated = read_lock(here / "stepdown.lock").tasks["mine"].guarantee
    assert (stated.promise, stated.reference) == ("max_disagreement", "ceiling")


def test_near_duplicate_prompts_and_groups_stay_on_one_side(here: Path) -> None:
    table = outcomes(prompts=False)
    said = [
        Outcome(
            query_id=o.query_id,
            tier=o.tier,
            score=o.score,
            group=f"g{int(o.query_id[1:]) // 5}",
        )
        for o in table
    ]
    write_outcomes(here / "mine.parquet", said)
    run()
    stated = read_lock(here / "stepdown.lock").tasks["mine"].guarantee
    assert f"{N // 5} groups of {N} samples" in stated.split


def test_queries_without_a_prompt_are_not_taken_for_duplicates(here: Path) -> None:
    write_outcomes(here / "mine.parquet", outcomes(prompts=False))
    run("--max-loss", 0.06)
    stated = read_lock(here / "stepdown.lock").tasks["mine"].guarantee
    assert f"{N} groups of {N} samples" in stated.split


def test_a_lock_of_something_else_is_not_touched(here: Path) -> None:
    run("--max-loss", 0.06)
    before = (here / "stepdown.lock").read_bytes()
    write_outcomes(here / "other.csv", outcomes(200))
    done = stepdown("certify", "--outcomes", "other.csv")
    assert done.exit_code == 2
    assert "was made from the table 'mine'" in done.output
    (here / "stepdown.lock").write_text("nonsense = 1")
    assert stepdown("certify", "--outcomes", "mine.parquet").exit_code == 2
    assert (here / "stepdown.lock").read_text() == "nonsense = 1"
    (here / "stepdown.lock").write_bytes(before)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--tiers", "smal,big"), "Did you mean `small`?"),
        (("--tiers", "small,small"), "names a tier twice"),
        (("--ceiling", "frontier"), "has no tier 'frontier'"),
        (("--max-loss", 1.5), "max_loss must lie between 0 and 1"),
        (("--max-loss", 0.1, "--floor", 0.5), "not both"),
        (("--shares", "0.5"), "two numbers"),
        (("--shares", "a,b"), "'a' is not a share"),
        (("--shares", "0.5,0.6"), "add up to 1"),
        (("one", "two"), "is one task"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    here: Path, args: tuple[object, ...], said: str
) -> None:
    done = stepdown("certify", *args, "--outcomes", "mine.parquet")
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not (here / "stepdown.lock").exists()


def test_an_empty_table_is_refused(here: Path) -> None:
    (here / "none.csv").write_text("query_id,tier,score\n")
    done = stepdown("certify", "--outcomes", "none.csv")
    assert done.exit_code == 2
    assert "holds no outcome" in done.output


@pytest.mark.parametrize("verb", [("serve",), ("ask", "mine", "hello")])
def test_the_lock_of_a_table_cannot_be_served(here: Path, verb: tuple[str, ...]) -> None:
    run("--max-loss", 0.06)
    done = stepdown(*verb)
    assert done.exit_code == 2
    assert "names no model that could be called, so it cannot be served" in done.output


def test_in_a_project_rows_of_the_data_use_its_split_and_a_mix_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "project")
    monkeypatch.chdir(project)
    known = [Outcome(query_id=f"r{i}", tier=t, score=1.0) for i in range(160) for t in ("x", "y")]
    mixed = [*known, Outcome(query_id="strange", tier="x", score=1.0)]
    write_outcomes(project / "mixed.csv", mixed)
    done = stepdown("certify", "--outcomes", "mixed.csv")
    assert done.exit_code == 2
    text = " ".join(done.output.split())
    assert "1 of the 161 queries of mixed.csv belong to no row of the data" in text
    assert "pass --lock FILE" in text
    write_outcomes(project / "known.csv", known)
    done = stepdown("certify", "--outcomes", "known.csv", "--max-loss", 0.1)
    assert "--max-loss are for a table by itself" in " ".join(done.output.split())
    done = stepdown("certify", "--max-loss", 0.1)
    assert "need --outcomes FILE" in done.output
    done = stepdown("certify", "--outcomes", "mixed.csv", "--lock", "alone.lock")
    assert done.exit_code in (0, 1), done.output
    assert read_lock(project / "alone.lock").project == "outcomes:mixed"
    strange = [Outcome(query_id=f"s{o.query_id}", tier=o.tier, score=o.score) for o in known]
    write_outcomes(project / "strange.csv", strange)
    done = stepdown("certify", "--outcomes", "strange.csv")
    assert done.exit_code in (0, 1), done.output
    assert "outcomes:strange" in (project / "stepdown.lock").read_text()


def test_of_tiers_that_score_the_same_the_dearer_is_the_ceiling(here: Path) -> None:
    same = [msgspec.structs.replace(row, score=1.0) for row in outcomes()]
    write_outcomes(here / "mine.parquet", same)
    run()
    assert read_lock(here / "stepdown.lock").tasks["mine"].policy.ceiling == "big"
    swapped = [
        msgspec.structs.replace(row, cost_usd={0.001: 0.1, 0.1: 0.001}[row.cost_usd or 0.0])
        for row in same
    ]
    write_outcomes(here / "mine.parquet", swapped)
    run("--lock", "other.lock")
    assert read_lock(here / "other.lock").tasks["mine"].policy.ceiling == "small"


@pytest.mark.parametrize("name", ["../mine", "a/b", ".hidden"])
def test_a_task_is_not_named_so_that_its_files_land_elsewhere(here: Path, name: str) -> None:
    done = run(name, "--max-loss", 0.06)
    assert done.exit_code == 2
    assert "is no name for a task" in done.output
    assert not (here / "stepdown.lock").exists()


def test_rows_that_are_all_alike_are_refused_with_the_reason(here: Path) -> None:
    alike = "tell me again where my order number seven is and when it comes"
    same = [msgspec.structs.replace(row, prompt=alike) for row in outcomes(60)]
    write_outcomes(here / "mine.parquet", same)
    done = run()
    assert done.exit_code == 2
    assert "60 rows fall into 1 group(s) of near-duplicates" in done.output


def test_answers_that_cannot_be_used_are_counted_in_the_report(here: Path) -> None:
    broken = [
        msgspec.structs.replace(row, failure="invalid_output", score=0.0)
        if row.tier == "small" and int(row.query_id[1:]) % 5 == 0
        else row
        for row in outcomes()
    ]
    write_outcomes(here / "mine.parquet", broken)
    said = " ".join(run("--max-loss", 0.06).output.split())
    found = re.search(r"(\d+) of 300 answers of 'small' on certify rows could not be used", said)
    assert found
    assert 30 < int(found[1]) < 90


def test_a_broken_file_ends_in_one_full_stop(here: Path) -> None:
    whole = (here / "mine.parquet").read_bytes()
    (here / "mine.parquet").write_bytes(whole[:-200])
    done = run()
    assert done.exit_code == 2
    assert "broken Parquet" in done.output
    assert ".." not in done.output
