"""[serve.audit] and [review]: what may be asked, and where an alarm may be sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepdown.config.project import Project, load_project
from stepdown.errors import ConfigError

BASE = """
[project]
name = "shop"

[tiers.small]
model = "llama:smollm2-135m-instruct"

[tasks.sort]
kind = "classify"
tiers = ["small"]
labels = ["a", "b"]
"""


def load(tmp_path: Path, said: str) -> Project:
    (tmp_path / "stepdown.toml").write_text(BASE + said)
    return load_project(tmp_path)


def test_nothing_is_audited_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, "").serve.audit is None


def test_a_task_may_have_its_own_share_and_budget(tmp_path: Path) -> None:
    said = "[serve.audit]\nusd_per_month = 20\n[serve.audit.tasks.sort]\nshare = 0.2\n"
    keys = load(tmp_path, said).serve.audit
    assert keys is not None
    mine, other = keys.for_task("sort"), keys.for_task("other")
    assert (mine.share, mine.usd_per_month) == (0.2, 20.0)
    assert other.share == 0.01


def test_alarms_step_up_and_tell_nobody_where_nothing_is_said(tmp_path: Path) -> None:
    keys = load(tmp_path, "").review
    assert (keys.on_alarm, keys.on_sign, keys.webhook, keys.command) == (
        "step_up",
        "step_up",
        None,
        [],
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[serve.audit]\nshare = 1.5\n", "<= 1"),
        ("[serve.audit]\nusd_per_month = -1\n", ">= 0"),
        ("[serve.audit]\nsample = 0.1\n", "unknown key `serve.audit.sample`"),
        ("[serve.audit.tasks.sorted]\nshare = 0.1\n", "serve.audit.tasks: no task 'sorted'"),
        ("[review]\nalpha = 0\n", "> 0"),
        ("[review]\nhorizon_days = 3\n", ">= 7"),
        ('[review]\non_alarm = "panic"\n', "panic"),
        ('[review]\nwebhook = "ftp://host/x"\n', "no http or https address"),
        ('[review]\nwebhook = "http://alarms.example/x"\n', "unencrypted"),
        ('[review]\nwebhook = "https://me:secret@alarms.example/x"\n', "password"),
        ('[review]\ncommand = [""]\n', "program, is empty"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, said)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [
        'webhook = "http://127.0.0.1:9000/x"',
        'webhook = "http://localhost/x"',
        'webhook = "https://alarms.example/x"',
        'webhook = "http://alarms.example/x"\nwebhook_plain_http = true',
    ],
)
def test_a_webhook_is_https_or_stays_here_unless_it_is_allowed(tmp_path: Path, said: str) -> None:
    assert load(tmp_path, f"[review]\n{said}\n").review.webhook is not None


def test_neither_audits_nor_alarms_decide_an_answer(tmp_path: Path) -> None:
    plain = load(tmp_path, "")
    watched = load(tmp_path, "[serve.audit]\nshare = 0.5\n[review]\nalpha = 0.01\n")
    task = plain.tasks["sort"]
    assert plain.settings_digest(task) == watched.settings_digest(watched.tasks["sort"])
