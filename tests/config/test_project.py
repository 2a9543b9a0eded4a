"""Every bad `stepdown.toml` gives one clear ConfigError; every good one loads."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from stepdown.config.project import load_project
from stepdown.errors import ConfigError

GOOD = """\
[project]
name = "small"
baseline = "big"
[data]
path = "rows.jsonl"
shares = { train = 0.5, tune = 0.2, certify = 0.3 }
[tiers.little]
model = "head:static-minilm-256"
price = { usd_per_hour = 0.1 }
[tiers.big]
model = "recorded:frontier.jsonl"
place = "vendor"
[tasks.topic]
kind = "classify"
labels = ["a", "b"]
tiers = ["little", "big"]
promise = { max_loss = 0.05, delta = 0.1 }
[tasks.topic.contract]
user = "Message: {input}"
[tasks.topic.prompts.little]
user = "{input}"
[pipelines]
desk = ["topic"]
[serve]
port = 9000
[audit]
logs = ["today.jsonl"]
"""


def refusal(folder: Path, text: str) -> ConfigError:
    (folder / "stepdown.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_project(folder)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_good_file_loads_with_its_values(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_text(GOOD, encoding="utf-8")
    project = load_project(tmp_path)
    assert project.baseline == "big"
    assert project.tasks["topic"].ceiling == "big"
    assert project.tasks["topic"].scorer == "label"
    assert project.tiers["little"].price.basis == "hardware"
    assert project.tiers["big"].price.basis == "unknown"
    assert project.serve.port == 9000
    assert project.pipelines == {"desk": ("topic",)}


def test_a_folder_and_its_file_name_the_same_project(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_text(GOOD, encoding="utf-8")
    assert load_project(tmp_path) == load_project(tmp_path / "stepdown.toml")


@pytest.mark.parametrize(
    ("line", "instead", "key", "nearest"),
    [
        ("[serve]", "[srve]", "srve", "serve"),
        ('baseline = "big"', 'basline = "big"', "project.basline", "baseline"),
        ('path = "rows.jsonl"', 'pth = "rows.jsonl"', "data.pth", "path"),
        ("usd_per_hour", "usd_per_hours", "tiers.little.price.usd_per_hours", "usd_per_hour"),
        ('model = "recorded', 'modell = "recorded', "tiers.big.modell", "model"),
        ("labels =", "label =", "tasks.topic.label", "labels"),
        ("max_loss", "maxloss", "tasks.topic.promise.maxloss", "max_loss"),
        ("user = \"Message", "usr = \"Message", "tasks.topic.contract.usr", "user"),
        ('user = "{input}"', 'user = "{input}"\nsytem = "x"', "tasks.topic.prompts.little.sytem",
         "system"),
        ("port = 9000", "prt = 9000", "serve.prt", "port"),
        ("logs =", "log =", "audit.log", "logs"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, line: str, instead: str, key: str, nearest: str
) -> None:
    error = refusal(tmp_path, GOOD.replace(line, instead, 1))
    assert f"`{key}`" in error.message
    assert error.hint == f"Did you mean `{nearest}`?"


def test_an_unknown_key_unlike_any_other_lists_what_is_known(tmp_path: Path) -> None:
    error = refusal(tmp_path, GOOD + "zzzzzz = 1\n")
    assert "audit.zzzzzz" in error.message
    assert error.hint == "Known keys: columns, customer_facing, high_stakes, logs."


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("port = 9000", 'port = "9000"', r"Expected `int`, got `str`.*serve\.port"),
        ("port = 9000", "port = 70000", r"<= 65535.*serve\.port"),
        ("usd_per_hour = 0.1", "usd_per_hour = -1.0", r">= 0.*tiers\.little\.price\.usd_per_hour"),
        ('labels = ["a", "b"]', 'labels = "a"', r"Expected `array`, got `str`.*labels"),
        ('kind = "classify"', 'kind = "clasify"', r"clasify.*kind"),
        (
            "max_loss = 0.05",
            "max_loss = 5.0",
            r"max_loss must .* 1, got 5\.0.*`tasks\.topic\.promise`",
        ),
        ("delta = 0.1", "delta = 0.9", r"delta must lie between 0 and 0\.5, got 0\.9"),
        ("Message: {input}", "Message", r"`user` must hold \{input\} exactly once"),
        ('place = "vendor"', 'place = "moon"', r"moon.*tiers\.big\.place"),
        ('model = "recorded:frontier.jsonl"', "timeout_s = 1", r"missing.*`model`.*`tiers\.big`"),
        ('model = "recorded:frontier.jsonl"', 'model = "x:y"\ntimeout_s = 0', r"> 0.*timeout_s"),
        ('baseline = "big"', "review_days = 0", r">= 1.*review_days"),
        ("[tiers.big]", "[tiers.big]\nprice = 3", r"Expected `object.*tiers\.big\.price"),
        ('tiers = ["little"', 'thresholds = { little = 2.0 }\ntiers = ["little"', r"<= 1"),
    ],
)
def test_a_wrong_type_or_value_names_its_place(
    tmp_path: Path, line: str, instead: str, said: str
) -> None:
    error = refusal(tmp_path, GOOD.replace(line, instead, 1))
    assert re.search(said, error.message), error.message


@pytest.mark.parametrize(
    ("line", "instead", "said", "hint"),
    [
        ('"little", "big"]', '"litle", "big"]', "tasks.topic: no tier 'litle'", "`little`"),
        ("prompts.little", "prompts.litle", "tasks.topic: no tier 'litle'", "`little`"),
        ('["topic"]', '["topik"]', "pipelines.desk: no task 'topik'", "`topic`"),
        ('baseline = "big"', 'baseline = "bigg"', "project.baseline: no tier 'bigg'", "`big`"),
        ('"recorded:frontier.jsonl"', '"frontier"', "'frontier' names no adapter", "ADAPTER:WHAT"),
        ('labels = ["a", "b"]', "", "needs at least two different `labels`", ""),
        ('labels = ["a", "b"]', 'labels = ["a", "a"]', "`labels` names 'a' twice", ""),
        ('labels = ["a", "b"]', 'labels = ["a", "b", "a"]', "`labels` names 'a' twice", ""),
        ('kind = "classify"', 'kind = "classify"\nboundary = "self_hosted"', "outside", "boundary"),
        ('kind = "classify"', 'kind = "extract"', "kind 'extract' needs `fields`", ""),
        ('["little", "big"]', "[]", "must name at least one tier", ""),
        ('["little", "big"]', '["big", "big"]', "none twice", ""),
        ('kind = "classify"', 'kind = "classify"\nscorer = "lable"', "no scorer 'lable'", "label"),
        ('kind = "classify"', 'kind = "classify"\ninputs = "x.jsonl"', "FILE:FIELD", ""),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, line: str, instead: str, said: str, hint: str
) -> None:
    error = refusal(tmp_path, GOOD.replace(line, instead, 1))
    assert said in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    "shares",
    [
        "{ train = 0.5, tune = 0.5 }",
        "{ train = 0.5, tune = 0.2, certify = 0.4 }",
        "{ train = 1.5, tune = -0.8, certify = 0.3 }",
        "{ train = 0.7, tune = 0.0, certify = 0.3 }",
        "{ train = nan, tune = 0.2, certify = 0.3 }",
        "{ train = 0.5, tune = 0.2, certify = 0.2, test = 0.1 }",
        "{}",
    ],
)
def test_shares_that_do_not_divide_the_rows_are_refused(tmp_path: Path, shares: str) -> None:
    text = re.sub(r"shares = .*", f"shares = {shares}", GOOD)
    assert "data.shares" in refusal(tmp_path, text).message


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    error = refusal(tmp_path, GOOD + "[serve\n")
    assert "not valid TOML" in error.message
    assert "line" in error.message


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_bytes(b'[project]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_project(tmp_path)


@pytest.mark.parametrize("where", [".", "no-such-folder"])
def test_a_missing_file_is_named_and_init_is_offered(tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path / where)
    assert "There is no stepdown.toml" in caught.value.message
    assert "stepdown init" in caught.value.hint


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_project(tmp_path)


def test_a_task_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no task 'topc'\. Did you mean `topic`\?"):
        load_project(tmp_path).task("topc")


def test_the_settings_digest_follows_what_decides_answers_and_not_the_price(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "stepdown.toml").write_text(text, encoding="utf-8")
        project = load_project(tmp_path)
        return project.settings_digest(project.task("topic"))

    before = digest(GOOD)
    assert digest(GOOD.replace("usd_per_hour = 0.1", "usd_per_hour = 9.0")) == before
    assert digest(GOOD.replace('["a", "b"]', '["a", "c"]')) != before
    assert digest(GOOD.replace('user = "{input}"', 'user = "say {input}"')) != before


def test_the_starter_file_of_init_loads(tmp_path: Path) -> None:
    text = (files("stepdown.cli") / "starter.toml").read_text(encoding="utf-8")
    (tmp_path / "stepdown.toml").write_text(text, encoding="utf-8")
    project = load_project(tmp_path)
    assert list(project.tasks) == ["topic"]
    assert project.tasks["topic"].ceiling == "frontier"


def test_the_bundled_demo_project_loads() -> None:
    project = load_project(Path(str(files("stepdown.demo"))) / "project")
    assert project.pipelines["support"] == tuple(project.tasks)
    assert project.baseline == "frontier"
