"""[serve.models]: names of today that stand for tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepdown.config.project import load_project
from stepdown.errors import ConfigError

BASE = """
[project]
name = "shop"

[tiers.small]
model = "llama:smollm2-135m-instruct"

[tiers.big]
model = "openai:gpt-4o"

[tasks.sort]
kind = "classify"
tiers = ["small", "big"]
labels = ["a", "b"]

[tasks.private]
kind = "draft"
tiers = ["small"]
boundary = "embedded"

[serve.models."gpt-4o"]
"""


def load(tmp_path: Path, said: str, name: str = "gpt-4o") -> object:
    text = BASE.replace('"gpt-4o"]\n', f'"{name}"]\n')
    (tmp_path / "stepdown.toml").write_text(text + said)
    return load_project(tmp_path)


def test_a_name_may_stand_for_some_tasks_or_all(tmp_path: Path) -> None:
    load(tmp_path, 'tasks = ["sort"]\notherwise = "big"\n')
    load(tmp_path, 'otherwise = "small"\n')


@pytest.mark.parametrize(
    ("said", "name", "told"),
    [
        ("", "gpt-4o", "otherwise"),
        ('otherwise = "bigg"', "gpt-4o", "Did you mean `big`"),
        ('otherwise = "big"\ntasks = ["sorts"]', "gpt-4o", "Did you mean `sort`"),
        ('otherwise = "big"', "gpt-4o", "data stay inside 'embedded'"),
        ('otherwise = "small"', "sort", "has a meaning already"),
        ('otherwise = "small"', "tier:x", "has a meaning already"),
        ('otherwise = "small"\ntask = ["sort"]', "gpt-4o", "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_names_it(
    tmp_path: Path, said: str, name: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, said, name)
    assert told in str(caught.value)


def test_what_matches_no_task_is_kept_as_the_most_careful_of_them_says(tmp_path: Path) -> None:
    project = load(tmp_path, 'tasks = ["sort"]\notherwise = "big"\n')
    assert project.keeping["gpt-4o"].store == "metadata"  # type: ignore[attr-defined]
    text = (tmp_path / "stepdown.toml").read_text()
    (tmp_path / "stepdown.toml").write_text(
        text.replace('labels = ["a", "b"]', 'labels = ["a", "b"]\nstore = "none"')
    )
    assert load_project(tmp_path).keeping["gpt-4o"].store == "none"
