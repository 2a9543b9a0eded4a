"""`stepdown eval` and `certify` where a judge scores (SYNTHETIC rows, see judged_project.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from judged_project import PAIR, compared, graded, judge_server, write_judged
from tiny_project import envelope, stepdown


def tiers_of(data: dict[str, object]) -> dict[str, dict[str, object]]:
    return {tier["tier"]: tier for tier in data["tasks"][0]["tiers"]}  # type: ignore[index]


def test_a_judge_scores_answers_that_have_no_reference(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        done = stepdown("eval", "-p", folder, "--json")
        assert done.exit_code == 0, done.output
        tiers = tiers_of(envelope(done)["data"])
        assert tiers["frontier"]["score"]["value"] == 1.0
        assert 0.8 < tiers["small"]["score"]["value"] < 1.0
        assert {body["model"] for body in asked} == {"critic-1"}
        assert "Good answers say sorry." in asked[0]["messages"][-1]["content"]


def test_answers_that_the_judge_could_not_grade_are_counted_and_not_0(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base)
        data = envelope(stepdown("eval", "-p", folder, "--rows", "all", "--json"))["data"]
        small = tiers_of(data)["small"]
        assert small["unscored"] == 2
        shown = stepdown("eval", "-p", folder, "--rows", "all").output
        assert "the judge left answers unscored, not 0: judge_unparsable 2" in " ".join(
            shown.split()
        )


def test_no_verdict_is_paid_for_twice_and_a_changed_rubric_is(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        stepdown("eval", "-p", folder, "--rows", "all")
        first = len(asked)
        assert first > 150
        # Only the replies that could not be read are not asked again either: they were paid for.
        stepdown("eval", "-p", folder, "--rows", "all")
        assert len(asked) == first
        toml = folder / "stepdown.toml"
        toml.write_text(toml.read_text().replace("Good answers say", "The best answers say"))
        stepdown("eval", "-p", folder, "--rows", "all")
        assert len(asked) == 2 * first


def test_agreement_with_people_stands_beside_the_scores(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base)
        shown = " ".join(stepdown("eval", "-p", folder, "--rows", "all").output.split())
        assert "same grade as people" in shown
        assert "it gives people's grade on" in shown
        toml = folder / "stepdown.toml"
        toml.write_text(toml.read_text().replace('human = "people"\n', ""))
        shown = " ".join(stepdown("eval", "-p", folder, "--rows", "all").output.split())
        assert "agreement with people not measured" in shown


def test_grades_of_answers_that_people_wrote_down_are_judged_too(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        for row in rows:
            row["people"] = [{"answer": "we are sorry, so sorry", "score": 1.0}]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        shown = stepdown("eval", "-p", folder, "--rows", "all").output
        assert any("so sorry" in body["messages"][-1]["content"] for body in asked)
        assert "same grade as people" in shown


def test_grades_that_cannot_be_read_are_an_error_that_names_the_row(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base)
        text = (folder / "rows.jsonl").read_text().replace('"good"', '"splendid"', 1)
        (folder / "rows.jsonl").write_text(text)
        done = stepdown("eval", "-p", folder, "--rows", "all")
        assert done.exit_code == 2
        assert "'r0'" in done.output
        assert "splendid" in done.output


def test_a_pair_is_compared_with_the_ceiling_in_both_orders(tmp_path: Path) -> None:
    with judge_server(compared) as (base, asked):
        folder = write_judged(tmp_path / "p", base, PAIR)
        data = envelope(stepdown("eval", "-p", folder, "--rows", "all", "--json"))["data"]
        tiers = tiers_of(data)
        assert tiers["frontier"]["score"]["value"] == 0.5
        assert 0.4 < tiers["small"]["score"]["value"] < 0.5
        assert len(asked) == 200
        shown = " ".join(stepdown("eval", "-p", folder, "--rows", "all").output.split())
        assert "verdicts that turned with the order" in shown
        done = stepdown("eval", "-p", folder, "--tiers", "small")
        assert done.exit_code == 2
        assert "frontier" in done.output


def test_runs_that_a_judge_scored_are_compared_as_they_were_and_never_as_0(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base)
        assert stepdown("eval", "-p", folder).exit_code == 0
        pair = ("draft/small", "draft/frontier")
        done = stepdown("eval", "compare", *pair, "-p", folder)
        assert done.exit_code in (0, 1), done.output
        again = stepdown("eval", "compare", *pair, "-p", folder, "--rescore")
        assert again.exit_code == 2
        assert "judged again" in again.output


def test_the_money_of_an_eval_bounds_its_judge_too(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        done = stepdown("eval", "-p", folder, "--rows", "all", "--max-usd", "0.002")
        assert 0 < len(asked) < 60
        assert "judge_unavailable" in done.output


def test_certify_bets_on_the_scores_of_the_judge_and_says_whose_they_are(tmp_path: Path) -> None:
    with judge_server(graded) as (base, _):
        folder = write_judged(tmp_path / "p", base, n=300)
        done = stepdown("certify", "-p", folder)
        assert done.exit_code in (0, 1), done.output
        assert "those of the judge helpful (critic)" in " ".join(done.output.split())
        assert "betting" in (folder / "stepdown.lock").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('place = "vendor"', ""), "boundary"),
        (('tier = "critic"', 'tier = "critick"'), "Did you mean `critic`"),
        (('tier = "critic"', 'tier = "small"'), "answers no question"),
        (("grades = {", "gradez = {"), "grades"),
        (('rubric = "Good answers say sorry."', ""), "rubric_file"),
        (('scorer = "judge"', 'scorer = { name = "judge", judge = "x" }'), "no judge 'x'"),
        (('rubric = "Good answers say sorry."', 'rubric_file = "no.md"'), "no.md"),
    ],
)
def test_a_judge_that_cannot_judge_is_refused_with_a_hint(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    folder = write_judged(tmp_path / "p", "http://127.0.0.1:9")
    toml = (folder / "stepdown.toml").read_text()
    if said == "boundary":
        toml = toml.replace('kind = "draft"', 'kind = "draft"\nboundary = "embedded"')
    toml = toml.replace(*change, 1)
    (folder / "stepdown.toml").write_text(toml)
    done = stepdown("eval", "-p", folder)
    assert done.exit_code == 2
    assert said in done.output


def test_a_rubric_may_stand_in_a_file(tmp_path: Path) -> None:
    with judge_server(graded) as (base, asked):
        folder = write_judged(tmp_path / "p", base)
        toml = (folder / "stepdown.toml").read_text()
        named = toml.replace('rubric = "Good answers say sorry."', 'rubric_file = "rubric.md"')
        (folder / "stepdown.toml").write_text(named)
        (folder / "rubric.md").write_text("From the file: say sorry.")
        assert stepdown("eval", "-p", folder).exit_code == 0
        assert "From the file: say sorry." in asked[0]["messages"][-1]["content"]
