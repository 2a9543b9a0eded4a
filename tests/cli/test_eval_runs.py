"""`eval compare` and `eval show` on runs of the tiny project (synthetic rows)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_project import (
    TOML,
    copy_of,
    envelope,
    recorded,
    rows,
    stepdown,
    write_jsonl,
    write_project,
)

ONE = TOML.replace('tiers = ["expert", "frontier"]', 'tiers = ["old", "frontier"]').replace(
    "[tasks.topic]\n",
    '[tiers.old]\nmodel = "recorded:old.jsonl"\nprice = { input_usd_per_mtok = 1.0, '
    'output_usd_per_mtok = 1.0, source = "made up" }\n\n[tasks.topic]\n',
    1,
)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two runs: of 40 rows, then of all."""
    folder = write_project(tmp_path_factory.mktemp("runs") / "tiny", ONE)
    wrong = [{**row, "topic": "praise"} if n % 10 == 3 else row for n, row in enumerate(rows())]
    wrong[5]["topic"] = "no label at all"
    write_jsonl(folder / "old.jsonl", wrong)
    assert stepdown("eval", "-p", folder, "--rows", "all", "--limit", "40").exit_code == 0
    assert stepdown("eval", "-p", folder, "--rows", "all").exit_code == 0
    return folder


@pytest.fixture
def runs(once: Path, tmp_path: Path) -> Path:
    return copy_of(once, tmp_path / "tiny")


def compare(folder: Path, *args: str) -> dict[str, Any]:
    done = stepdown("eval", "compare", *args, "-p", folder, "--json")
    assert done.exit_code == 0, done.output
    return dict(envelope(done)["data"])


def test_two_tiers_of_one_run_are_compared_sample_by_sample(runs: Path) -> None:
    (pair,) = compare(runs, "topic/old", "topic/frontier")["pairs"]
    answers = {row["id"]: row["topic"] for row in recorded()}
    truth = {row["id"]: row["topic"] for row in rows()}
    fell = {change["after"]["id"] for change in pair["worse"]}
    assert fell == {key for key in truth if answers[key] != truth[key]}
    assert len(pair["better"]) == 9
    assert pair["better"][0]["before"]["reference"] in truth.values()
    assert pair["said_otherwise"] == 0


def test_two_runs_are_compared_on_the_samples_that_both_have(runs: Path) -> None:
    found = compare(runs, "latest~1", "latest")
    assert [(p["common"], p["only_a"], p["only_b"]) for p in found["pairs"]] == [(40, 0, 120)] * 2
    assert all(p["difference"]["value"] == 0 for p in found["pairs"])
    text = stepdown("eval", "compare", "latest~1", "latest", "-p", runs).stdout
    assert "Not compared: 0 only in a, 120 only in b." in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_can_be_named_by_the_beginning_of_its_digest(runs: Path) -> None:
    digest = compare(runs, "latest", "latest")["a"].removeprefix("sha256:")
    found = compare(runs, digest[:8], f"{digest[:8]}/old")
    assert len(found["pairs"]) == 1


def test_runs_of_two_scorers_are_scored_again_without_a_model(runs: Path) -> None:
    text = ONE.replace('kind = "classify"', 'kind = "classify"\nscorer = "exact"')
    (runs / "stepdown.toml").write_text(text, encoding="utf-8")
    assert stepdown("eval", "-p", runs, "--rows", "all").exit_code == 0
    (runs / "old.jsonl").unlink()
    (runs / "frontier.jsonl").unlink()
    found = compare(runs, "latest~1", "latest")
    assert found["scorer"].startswith("exact/")
    (note,) = found["notes"]
    assert note.startswith(f"Scored again by {found['scorer']} (the runs had label/1 and exact/")
    assert note.endswith("no model was called.")
    assert all(pair["difference"]["value"] == 0 for pair in found["pairs"])


def test_runs_of_two_scorers_whose_task_is_gone_are_refused(runs: Path) -> None:
    text = ONE.replace('kind = "classify"', 'kind = "classify"\nscorer = "exact"')
    (runs / "stepdown.toml").write_text(text, encoding="utf-8")
    stepdown("eval", "-p", runs, "--rows", "all")
    kept = runs / ".stepdown" / "runs" / "topic" / "frontier.jsonl"
    kept.unlink()
    done = stepdown("eval", "compare", "latest~1", "latest", "-p", runs)
    assert done.exit_code == 2
    assert "no longer kept, so it cannot be scored again" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("latest~7", "latest"), "There is no run 'latest~7': 2 runs are kept"),
        (("topc/old", "latest"), "There is no run 'topc/old'"),
        (("topic/oldd", "latest"), "has no tier 'oldd'"),
        (("latest", "latest", "--tier", "x"), "no tier 'x' in common"),
        (("ffffffff", "latest"), "There is no run 'ffffffff'"),
    ],
)
def test_a_run_that_is_not_there_is_named_with_those_that_are(
    runs: Path, args: tuple[str, ...], said: str
) -> None:
    done = stepdown("eval", "compare", *args, "-p", runs)
    assert done.exit_code == 2
    assert said in done.stderr


def test_before_any_eval_it_says_what_to_run(tmp_path: Path) -> None:
    write_project(tmp_path, ONE)
    for args in (("compare", "latest", "latest~1"), ("show",)):
        done = stepdown("eval", *args, "-p", tmp_path)
        assert done.exit_code == 2
        assert "Run `stepdown eval` first." in done.stderr


def show(folder: Path, *args: str) -> dict[str, Any]:
    done = stepdown("eval", "show", *args, "-p", folder, "--json")
    assert done.exit_code == 0, done.output
    return dict(envelope(done)["data"])


def test_failures_are_shown_beside_their_references(runs: Path) -> None:
    found = show(runs, "topic/old", "--failures", "--limit", "500")
    assert found["kinds"] == {"full score": 151, "less": 8, "invalid_output": 1}
    bad = next(one for one in found["answers"] if one["id"] == "r5")
    assert bad["answer"] == '{"topic": "no label at all"}', "as it came, for it cannot be read"
    assert bad["failure"] == "invalid_output"
    text = stepdown("eval", "show", "topic/old", "--failures", "-p", runs).stdout
    assert "reference: delivery\nanswer: praise\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_one_label_and_one_sample_can_be_asked_for(runs: Path) -> None:
    found = show(runs, "--tier", "old", "--label", "billing", "--limit", "3")
    assert {one["label"] for one in found["answers"]} == {"billing"}
    assert (len(found["answers"]), found["matching"]) == (3, 40)
    both = show(runs, "--sample", "r7")
    assert [one["tier"] for one in both["answers"]] == ["old", "frontier"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--label", "biling"), "Did you mean 'billing'?"),
        (("--sample", "r9999"), "no sample 'r9999'"),
        (("--tier", "oldd"), "It has: old, frontier"),
    ],
)
def test_what_is_not_in_the_run_is_said(runs: Path, args: tuple[str, ...], said: str) -> None:
    done = stepdown("eval", "show", *args, "-p", runs)
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_page_holds_the_answers_and_says_what_it_left_out(runs: Path) -> None:
    page = runs / "out" / "page.html"
    done = stepdown("eval", "show", "--html", page, "--limit", "10", "-p", runs)
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 10
    assert "310 more answers were left out" in text
    assert "310 more answers" in done.stderr


def test_a_run_can_be_read_when_its_data_are_gone(runs: Path) -> None:
    (runs / "rows.jsonl").unlink()
    assert show(runs, "--tier", "old")["n"] == 160


def test_a_broken_run_is_named_with_its_file_and_line(runs: Path) -> None:
    (folder,) = [f for f in (runs / ".stepdown/runs/topic").glob("run-*")
                 if json.loads((f / "head.json").read_text("utf-8"))["n"] == 40]  # fmt: skip
    lines = (folder / "old.jsonl").read_text("utf-8").splitlines()
    (folder / "old.jsonl").write_text("\n".join([*lines[:2], "{torn", *lines[3:]]), "utf-8")
    done = stepdown("eval", "show", "latest~1", "-p", runs)
    assert done.exit_code == 2
    assert "old.jsonl, line 3: not a row of a run" in done.stderr


@pytest.mark.parametrize("verb", ["plan", "import", "compare", "show", "check"])
def test_each_verb_beside_eval_says_what_it_does_within_80_columns(verb: str) -> None:
    done = stepdown("eval", verb, "--help")
    assert done.exit_code == 0
    assert f"stepdown eval {verb}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"eval {verb}" in stepdown("--help").stdout
