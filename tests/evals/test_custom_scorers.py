"""Any function scores: by dotted path or as an entry point; what it raises fails its sample."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from eval_fakes import DRAFT_TASK, PER_TOKEN, SMALL, FakeModel, MemoryStore, samples
from msgspec.structs import replace

from stepdown.errors import ConfigError
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import Scorer, custom, scorer_for, scorer_of

SOURCE = """
def near(answer, reference, sample, within=0):
    return abs(len(answer) - len(reference)) <= within

def told(answer, reference, sample):
    return {"value": 0.5, "detail": sample["id"], "failure": None}

def broken(answer, reference, sample):
    raise KeyError("total")

def outside(answer, reference, sample):
    return 2

async def later(answer, reference, sample):
    return 1

number = 3
"""
SAMPLE = Sample(id="s1", input="x", reference="abc")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "shop_scorers.py"
    path.write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    yield path
    sys.modules.pop("shop_scorers", None)


def score(name: str, answer: str, **told: Any) -> Any:
    task = replace(DRAFT_TASK, scorer=f"shop_scorers:{name}", scoring=told)
    return scorer_of(task).score(task, SAMPLE, answer)


def test_a_function_gets_answer_reference_sample_and_what_the_task_tells_it(package: Path) -> None:
    assert score("near", "xyz").value == 1
    assert score("near", "wxyz").value == 0
    assert score("near", "wxyz", within=1).value == 1
    assert (score("told", "x").value, score("told", "x").detail) == (0.5, "s1")


def test_what_a_function_raises_fails_the_sample_and_is_named(package: Path) -> None:
    found = score("broken", "x")
    assert (found.value, found.failure) == (0.0, "scorer_error")
    assert found.detail == "shop_scorers:broken raised KeyError: 'total'"
    assert score("outside", "x").failure == "scorer_error"
    assert score("near", "x", unknown=1).failure == "scorer_error"


def test_a_changed_source_and_another_option_are_another_scorer(package: Path) -> None:
    task = replace(DRAFT_TASK, scorer="shop_scorers:near")
    before = scorer_of(task).id
    assert scorer_of(replace(task, scoring={"within": 1})).id != before
    package.write_text(SOURCE + "\n# changed\n", encoding="utf-8")
    assert scorer_of(task).id != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop_scorers:missing", "no plain function"),
        ("shop_scorers:later", "no plain function"),
        ("shop_scorers:number", "no plain function"),
        ("no_such_package:f", "cannot be imported"),
    ],
)
def test_what_cannot_score_is_refused_before_anything_is_called(
    package: Path, name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        scorer_for(name)


def test_an_entry_point_offers_a_scorer_by_its_name(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint(name="nearby", value="shop_scorers:near", group=custom.GROUP)
    monkeypatch.setattr(
        custom, "entry_points", lambda **asked: [point] * (asked["name"] == "nearby")
    )
    found = scorer_for("nearby")
    assert isinstance(found, Scorer)
    assert "entry point" in found.source
    with pytest.raises(ConfigError, match="There is no scorer"):
        scorer_for("nearbyy")


async def test_a_run_goes_on_over_a_scorer_that_raises(package: Path) -> None:
    from stepdown.evals.harness import run

    task = replace(DRAFT_TASK, scorer="shop_scorers:broken")
    model, store = FakeModel(lambda request: "an answer"), MemoryStore()
    done = await run(task, samples(3), SMALL, model, PER_TOKEN, store)
    assert [one.failure for one in done.outcomes] == ["scorer_error"] * 3
    assert [one.score for one in done.outcomes] == [0.0] * 3
