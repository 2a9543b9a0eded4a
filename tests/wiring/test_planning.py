"""`certify plan` on the tiny project: what it says before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_project import envelope, stepdown

from stepdown.stats import planning
from stepdown.stats.power import noninferiority_power
from stepdown.stats.sequence import FIRST_SHARE

WHAT_IF = ("--kept", "0.6", "--disagree", "0.15", "--loss", "0.012", "--gain", "0.008")


def planned(folder: Path, *args: str) -> dict[str, Any]:
    done = stepdown("certify", "plan", "-p", folder, "--json", *args)
    assert done.exit_code == 0, done.output
    (one,) = envelope(done)["data"]["tasks"]
    return dict(one)


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "stepdown.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_if_needs_no_data_and_runs_no_tier(plain: Path) -> None:
    (plain / "rows.jsonl").unlink()
    (plain / "frontier.jsonl").unlink()
    one = planned(plain, *WHAT_IF)
    expected = planning.plan_max_loss(0.6, 0.15, 0.012, 0.008, 0.12, 0.2 * FIRST_SHARE)
    (forecast,) = one["forecasts"]
    assert forecast["plan"]["rows"] == expected.rows
    assert forecast["plan"]["labels"] == expected.labels
    assert one["certify_rows"] is None
    assert one["rehearsed"]["n"] == expected.rows
    assert not (plain / ".stepdown").exists()


def test_the_plan_from_tune_rows_agrees_with_the_exact_sums(pooled: Path) -> None:
    one = planned(pooled)
    forecast = one["forecasts"][-1]
    rates = forecast["rates"]
    shares = [rates[name] for name in ("kept", "disagree", "loss", "gain")]
    delta = 0.2 * FIRST_SHARE
    assert rates["n"] == 24
    assert forecast["plan"]["rows"] == planning.plan_max_loss(*shares, 0.02, delta).rows
    assert forecast["chance_today"] == pytest.approx(
        noninferiority_power(206, shares[0] * shares[2], shares[0] * shares[3], 0.02, delta)
    )
    assert (one["certify_rows"], one["pool_rows"]) == (206, 150)


def test_one_more_loss_than_was_seen_is_planned_beside_it(pooled: Path) -> None:
    forecast = planned(pooled)["forecasts"][-1]
    careful = forecast["with_one_more_loss"]
    assert careful["rows"] is None or careful["rows"] > forecast["plan"]["rows"]


def test_the_certify_rows_are_counted_and_not_looked_at(pooled: Path) -> None:
    planned(pooled)
    assert not (pooled / "stepdown.lock").exists()
    calls = "".join(path.read_text() for path in (pooled / ".stepdown/runs").rglob("*.jsonl"))
    assert calls.count('"sample_id"') == 2 * 24


@pytest.mark.parametrize(
    ("promise", "main", "plan"),
    [
        ("floor = 0.9", "floor", planning.plan_floor(0.97, 0.9, 0.085)),
        ("min_score = 0.9", "min_score", planning.plan_min_score(0.6, 0.97, 0.9, 0.085)),
        (
            "min_agreement = 0.8",
            "min_agreement",
            planning.plan_min_agreement(0.6, 0.85, 0.8, 0.085),
        ),
        (
            "max_disagreement = 0.15",
            "max_disagreement",
            planning.plan_max_disagreement(0.6, 0.15, 0.15, 0.085),
        ),
    ],
)
def test_every_promise_is_planned_by_its_own_test(
    plain: Path, promise: str, main: str, plan: planning.Plan
) -> None:
    rewrite(plain, "max_loss = 0.12, delta = 0.2", f"{promise}, delta = 0.1")
    one = planned(plain, *WHAT_IF, "--score", "0.97")
    found = one["forecasts"][0]["plan"]
    assert one["promise"] == main
    assert (found["rows"], found["labels"]) == (plan.rows, plan.labels)
    assert one["rehearsed"] is None


def test_a_delta_of_the_whole_project_is_divided_as_certify_divides_it(plain: Path) -> None:
    text = (plain / "stepdown.toml").read_text()
    second = text[text.index("[tasks.topic]") :].replace("tasks.topic", "tasks.other")
    (plain / "stepdown.toml").write_text(text + "\n" + second)
    rewrite(plain, "delta = 0.2", 'delta = 0.2, over = "project"')
    assert planned(plain, "topic", *WHAT_IF)["delta"] == pytest.approx(0.1)


def test_more_losses_than_disagreements_are_refused(plain: Path) -> None:
    done = stepdown(
        "certify", "plan", "-p", plain, "--kept", "0.6", "--disagree", "0.01", "--loss", "0.02"
    )
    assert done.exit_code == 2
    assert "--loss 0.02" in done.stderr


def test_a_rate_without_kept_is_refused_because_it_would_be_ignored(plain: Path) -> None:
    done = stepdown("certify", "plan", "-p", plain, "--loss", "0.02")
    assert done.exit_code == 2
    assert "begins with --kept" in done.stderr


def test_the_report_fits_80_columns_and_says_that_it_promises_nothing(pooled: Path) -> None:
    done = stepdown("certify", "plan", "-p", pooled)
    assert done.exit_code == 0
    assert "promises nothing" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_certify_without_plan_is_still_certify(pooled: Path) -> None:
    done = stepdown("certify", "nothing", "-p", pooled)
    assert done.exit_code == 2
    assert "nothing" in done.stderr
