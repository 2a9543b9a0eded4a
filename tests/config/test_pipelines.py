"""Pipelines in `stepdown.toml`: a mere list, a table with a promise, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepdown.config.project import Project, load_project
from stepdown.errors import ConfigError

TASK = """\
[tasks.{name}]
kind = "draft"
tiers = ["little", "big"]
"""
GOOD = (
    """\
[project]
name = "desk"
[tiers.little]
model = "llama:smollm2-135m-instruct"
[tiers.big]
model = "openai:big"
"""
    + "".join(TASK.format(name=name) for name in ("intent", "draft", "polish"))
    + """\
[pipelines.support]
steps = ["intent", "draft", "polish"]
score = "mean"
promise = { max_loss = 0.03, delta = 0.05 }
takes = { polish = "draft", draft = "{text} is about {intent}" }
"""
)


def loaded(folder: Path, text: str) -> Project:
    (folder / "stepdown.toml").write_text(text, encoding="utf-8")
    return load_project(folder)


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_table_promises_for_each_message(tmp_path: Path) -> None:
    project = loaded(tmp_path, GOOD)
    keys = project.promised["support"]
    assert (keys.score, keys.promise.limit(), keys.promise.delta) == ("mean", 0.03, 0.05)
    assert keys.takes["draft"] == "{text} is about {intent}"
    assert project.pipelines == {"support": ("intent", "draft", "polish")}


def test_a_mere_list_promises_nothing(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[pipelines")] + '[pipelines]\nsupport = ["intent", "draft"]\n'
    project = loaded(tmp_path, text)
    assert (project.pipelines, project.promised) == ({"support": ("intent", "draft")}, {})


def test_a_table_without_a_promise_allows_two_points(tmp_path: Path) -> None:
    keys = loaded(tmp_path, GOOD.replace("promise = { max_loss = 0.03, delta = 0.05 }\n", ""))
    assert keys.promised["support"].promise.limit() == 0.02
    assert keys.promised["support"].promise.delta == 0.1


@pytest.mark.parametrize(
    ("line", "instead", "said", "hint"),
    [
        ('steps = ["intent"', 'steps = ["intnt"', "pipelines.support: no task 'intnt'", "`intent`"),
        ('polish = "draft"', 'polsh = "draft"', "takes.polsh: no step 'polsh'", "`polish`"),
        ('polish = "draft"', 'polish = "drat"', "takes.polish: no step 'drat'", "`draft`"),
        ('polish = "draft"', 'polish = "{text} {drat}"', "takes.polish: no step 'drat'", "`draft`"),
        ('polish = "draft"', 'polish = "{text}"', "takes.polish: it names no step", "`{draft}`"),
        ('polish = "draft"', 'intent = "draft"', "'draft' does not come before 'intent'", "order"),
        ('polish = "draft"', 'polish = "polish"', "'polish' does not come before", "earlier"),
        ("max_loss = 0.03", "floor = 0.9", "cannot promise `floor`", "`max_loss`"),
        ("delta = 0.05", "recall = { x = 0.9 }", "cannot promise `recall`", "`max_loss`"),
        ("delta = 0.05", "max_cost_usd = 1.0", "cannot promise `max_cost_usd`", "`max_loss`"),
        ("delta = 0.05", 'over = "project"', "cannot promise `over`", "`max_loss`"),
        ("delta = 0.05", "delta = 0.9", "delta must lie between 0 and 0.5", "docs"),
        ('score = "mean"', 'score = "best"', "best", "docs"),
        ("score =", "scor =", "unknown key `pipelines.support.scor`", "`score`"),
        ("delta = 0.05", "dlta = 0.05", "unknown key `pipelines.support.promise.dlta`", "`delta`"),
        ('steps = ["intent", "draft", "polish"]\n', "", "missing required field `steps`", "docs"),
        ('steps = ["intent", "draft", "polish"]', "steps = []", "steps: there is none", "one task"),
        ('"draft", "polish"]', '"draft", "intent"]', "'intent' is twice in 'support'", "once"),
        ("[pipelines.support]", "[pipelines.draft]", "a task has the name 'draft' too", "Rename"),
        ("[tasks.polish]", '[tasks.polish]\ninputs = "x.jsonl:y"', "has `inputs` of its", "Remove"),
        ("[tasks.draft]", "[tasks.draft]\nthresholds = { little = 0.5 }", "thresholds", "Remove"),
    ],
)
def test_a_pipeline_that_could_not_be_certified_is_refused(
    tmp_path: Path, line: str, instead: str, said: str, hint: str
) -> None:
    assert GOOD.count(line) == 1
    error = refusal(tmp_path, GOOD.replace(line, instead))
    assert said in error.message
    assert hint in error.hint


EMBED = """
[tiers.vectors]
model = "encoder:static-minilm-256"

[tasks.find]
kind = "embed"
tiers = ["vectors"]
scorer = { name = "recall_at_k", corpus = "documents.jsonl" }
"""


def test_a_vector_is_no_step_of_a_promised_pipeline(tmp_path: Path) -> None:
    text = GOOD.replace('"polish"]', '"polish", "find"]', 1)
    error = refusal(tmp_path, text + EMBED)
    assert "the step 'find' is an embed task" in error.message
    assert "mere list" in error.hint


def test_a_task_has_one_promised_pipeline(tmp_path: Path) -> None:
    error = refusal(tmp_path, GOOD + '[pipelines.other]\nsteps = ["draft"]\n')
    assert "the task 'draft' is in 'support' and 'other'" in error.message


def test_a_task_may_be_in_many_lists_beside_one_promise(tmp_path: Path) -> None:
    project = loaded(tmp_path, GOOD + '[pipelines]\none = ["draft"]\ntwo = ["draft"]\n')
    assert set(project.pipelines) == {"support", "one", "two"}


def test_a_changed_step_makes_the_lock_of_every_step_stale(tmp_path: Path) -> None:
    changed = GOOD.replace("[tasks.polish]\n", '[tasks.polish]\nscorer = "exact"\n')
    fed = GOOD.replace('polish = "draft"', 'polish = "{text}: {draft}"')
    before, *others = (loaded(tmp_path, text) for text in (GOOD, changed, fed))
    was = before.settings_digest(before.task("intent"))
    assert all(now.settings_digest(now.task("intent")) != was for now in others)


def test_steps_of_a_mere_list_are_locked_each_by_itself(tmp_path: Path) -> None:
    listed = GOOD[: GOOD.index("[pipelines")]
    changed = listed.replace("[tasks.polish]\n", '[tasks.polish]\nscorer = "exact"\n')
    before, after = (loaded(tmp_path, text) for text in (listed, changed))
    assert before.settings_digest(before.task("intent")) == after.settings_digest(
        after.task("intent")
    )
