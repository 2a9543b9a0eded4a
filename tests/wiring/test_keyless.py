"""Offline nothing hosted is asked, whoever would ask: a step, a judge or a search by vectors."""

from __future__ import annotations

from pathlib import Path

from embed_project import embed_server, write_embed
from judged_project import graded, judge_server, write_judged
from tiny_project import envelope, stepdown


def test_offline_a_judge_is_not_asked_and_its_missing_verdicts_are_named(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        assert stepdown("certify", "-p", folder).exit_code in (0, 1)
        before = len(asked)
        assert stepdown("eval", "check", "--offline", "-p", folder).exit_code == 0
        (folder / ".stepdown/runs/draft/judge%3Ahelpful.jsonl").unlink()
        done = stepdown("eval", "check", "--offline", "-p", folder, "--json")
        assert done.exit_code == 2
        assert "None of its answers has a kept verdict of the judge" in done.stdout
        assert len(asked) == before


def test_a_plan_reads_a_judge_s_scores_from_the_newest_run(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        stepdown("eval", "-p", folder)
        before = len(asked)
        (task,) = envelope(stepdown("eval", "plan", "-p", folder, "--json"))["data"]["tasks"]
        (candidate,) = task["candidates"]
        assert candidate["basis"] == "kept"
        assert 0.8 < candidate["rates"]["score"] < 1.0
        assert candidate["rates"]["ceiling"] == 1.0
        assert len(asked) == before


def test_runs_of_a_judge_are_compared_but_not_scored_again(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base)
        stepdown("eval", "-p", folder)
    pair = ("draft/frontier", "draft/small")
    assert stepdown("eval", "compare", *pair, "-p", folder).exit_code == 0
    done = stepdown("eval", "compare", *pair, "--rescore", "-p", folder)
    assert done.exit_code == 2
    assert "would have to be judged again" in done.stderr


def test_embed_tasks_are_planned_shown_and_checked_without_a_call(tmp_path: Path) -> None:
    with embed_server() as (base, asked):
        folder = write_embed(tmp_path / "e", base)
        stepdown("eval", "-p", folder)
        assert stepdown("certify", "-p", folder).exit_code in (0, 1)
        before = len(asked)
        (task,) = envelope(stepdown("eval", "plan", "-p", folder, "--json"))["data"]["tasks"]
        assert task["candidates"][0]["rates"]["ceiling"] == 1.0
        shown = stepdown("eval", "show", "find/static", "--limit", "1", "-p", folder)
        assert "answer: a vector of" in shown.stdout
        checked = stepdown("eval", "check", "--offline", "-p", folder)
        assert checked.exit_code == 0
        assert "-0.0000" not in checked.output
        assert len(asked) == before
