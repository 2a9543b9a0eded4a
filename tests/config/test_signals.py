"""Bought signals and polishing: a bad key gives one clear error, a good one loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepdown.config.project import Project, load_project
from stepdown.core.bought import Bought
from stepdown.errors import ConfigError

GOOD = """\
[project]
name = "desk"
[tiers.expert]
model = "head:static-minilm-256"
[tiers.small]
model = "llama:smollm2-135m-instruct"
[tiers.big]
model = "openai:some-model"
[signals.sure]
kind = "vote"
tier = "small"
samples = 3
temperature = 0.5
[signals.checked]
kind = "judge"
tier = "big"
of = "small"
[tasks.topic]
kind = "classify"
labels = ["a", "b"]
tiers = ["expert", "small", "big"]
signals = ["sure"]
[tasks.reply]
kind = "draft"
tiers = ["small", "big"]
signals = ["checked"]
"""


def load(folder: Path, text: str) -> Project:
    (folder / "stepdown.toml").write_text(text, encoding="utf-8")
    return load_project(folder)


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_task_holds_the_signals_that_it_may_buy(tmp_path: Path) -> None:
    project = load(tmp_path, GOOD)
    sure = Bought(kind="vote", tier="small", samples=3, temperature=0.5)
    assert project.tasks["topic"].signals == {"sure": sure}
    assert project.tasks["reply"].signals["checked"].about == "small"


def test_a_changed_signal_changes_the_settings_that_a_lock_rests_on(tmp_path: Path) -> None:
    one = load(tmp_path, GOOD)
    other = load(tmp_path, GOOD.replace("samples = 3", "samples = 5"))
    digests = [p.settings_digest(p.tasks["topic"]) for p in (one, other)]
    assert digests[0] != digests[1]
    assert one.settings_digest(one.tasks["reply"]) == other.settings_digest(other.tasks["reply"])


@pytest.mark.parametrize(
    ("line", "instead", "said", "hint"),
    [
        ('tier = "small"', 'tier = "smal"', "signals.sure: no tier 'smal'", "`small`"),
        ('of = "small"', 'of = "smal"', "signals.checked: no tier 'smal'", "`small`"),
        ('of = "small"', "", "a judge needs `of`", "docs/configuration.md"),
        ("samples = 3", "sample = 3", "unknown key `signals.sure.sample`", "`samples`"),
        ("samples = 3", "samples = 0", "1 or more", "docs/configuration.md"),
        ('kind = "vote"', 'kind = "poll"', "poll", "docs/configuration.md"),
        ('["sure"]', '["sur"]', "tasks.topic.signals: no signal 'sur'", "`sure`"),
        ("[signals.sure]", "[signals.draw]", "cannot have this name", "letters"),
        ("[signals.sure]", '[signals."a=b"]', "cannot have this name", "letters"),
        ("[signals.sure]", "[signals.big]", "cannot have this name", "letters"),
        ('tier = "small"', 'tier = "expert"', "gives one answer", "language model"),
        ('["expert", "small", "big"]', '["expert", "big"]', "needs the tier 'small'", "`tiers`"),
        ('["checked"]', '["sure"]', "two free texts are hardly ever the same", "judge"),
    ],
)
def test_a_signal_that_cannot_be_bought_is_refused(
    tmp_path: Path, line: str, instead: str, said: str, hint: str
) -> None:
    error = refusal(tmp_path, GOOD.replace(line, instead, 1))
    assert said in error.message
    assert hint in error.hint


def test_a_signal_outside_the_boundary_is_refused_with_its_tier(tmp_path: Path) -> None:
    error = refusal(tmp_path, GOOD + 'boundary = "embedded"\n')
    assert "'big'" in error.message
    assert "boundary" in error.message


@pytest.mark.parametrize(
    ("keys", "finish"),
    [
        ("", "never"),
        ("customer_facing = true", "when_unsure"),
        ('customer_facing = true\nfinish = "never"', "never"),
        ('finish = "always"', "always"),
    ],
)
def test_what_customers_see_is_polished_when_unsure_unless_said_otherwise(
    tmp_path: Path, keys: str, finish: str
) -> None:
    task = load(tmp_path, f"{GOOD}{keys}\n").tasks["reply"]
    assert (task.finish, task.polish_below, task.polish_by) == (finish, 0.7, "")


def test_labels_that_customers_see_are_not_polished(tmp_path: Path) -> None:
    text = GOOD.replace('labels = ["a", "b"]', 'labels = ["a", "b"]\ncustomer_facing = true')
    assert load(tmp_path, text).tasks["topic"].finish == "never"


@pytest.mark.parametrize(
    ("keys", "said", "hint"),
    [
        ('polish_by = "bgi"', "'bgi' is not one of the task's tiers", "`big`"),
        ("polish_below = 1.5", "<= 1", "docs/configuration.md"),
        ('finish = "sometimes"', "sometimes", "docs/configuration.md"),
    ],
)
def test_a_polish_that_cannot_be_is_refused(
    tmp_path: Path, keys: str, said: str, hint: str
) -> None:
    error = refusal(tmp_path, f"{GOOD}{keys}\n")
    assert said in error.message
    assert hint in error.hint


def test_only_free_text_is_polished(tmp_path: Path) -> None:
    text = GOOD.replace('labels = ["a", "b"]', 'labels = ["a", "b"]\nfinish = "always"')
    error = refusal(tmp_path, text)
    assert "'classify' is not polished" in error.message
    assert "draft and summarise" in error.hint
