"""Every verb on the tiny project (synthetic rows), as a user types it: results and exit codes."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl

from stepdown.config.project import load_project

TODAY = Path(str(files("stepdown.demo"))) / "project" / "today.jsonl.gz"
VERBS = [
    "audit", "eval", "train", "certify", "serve", "report", "init", "demo", "ask", "explain",
    "replay", "outcomes", "models", "models pull", "models list",
]  # fmt: skip


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_of_every_verb_says_what_it_does_in_a_sentence(verb: str) -> None:
    done = stepdown(*verb.split(), "--help")
    assert done.exit_code == 0
    said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert said[0].startswith("Usage:")
    assert len(said[1].split()) >= 4


def test_the_version_is_that_of_the_package() -> None:
    from stepdown import __version__

    assert stepdown("--version").stdout == f"stepdown {__version__}\n"


@pytest.mark.parametrize("args", [("nonsense",), ("eval", "--nonsense"), ("explain",)])
def test_a_wrong_command_line_ends_with_2(args: tuple[str, ...]) -> None:
    assert stepdown(*args).exit_code == 2


def test_init_writes_a_project_that_loads(tmp_path: Path) -> None:
    done = stepdown("init", tmp_path / "new")
    assert done.exit_code == 0
    assert "stepdown.toml" in done.stdout
    assert load_project(tmp_path / "new").name == "new"


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "größe", "tab\there"])
def test_init_takes_any_name(tmp_path: Path, name: str) -> None:
    assert stepdown("init", tmp_path, "--name", name).exit_code == 0
    assert load_project(tmp_path).name == name


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_text("mine", encoding="utf-8")
    done = stepdown("init", tmp_path)
    assert done.exit_code == 2
    assert "exists already; nothing was written" in done.stderr
    assert (tmp_path / "stepdown.toml").read_text(encoding="utf-8") == "mine"


def test_init_into_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = stepdown("init", tmp_path / "file")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_audit_of_the_bundled_log_prints_one_envelope() -> None:
    done = stepdown("audit", TODAY, "--json")
    assert done.exit_code == 0
    found = envelope(done)
    assert found["command"] == "audit"
    assert found["data"]
    assert '"intent"' in done.stdout


def test_audit_needs_no_project_and_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    page = tmp_path / "audit.html"
    done = stepdown("audit", TODAY, "--html", page)
    assert done.exit_code == 0
    assert "intent" in done.stdout
    assert page.read_text(encoding="utf-8").startswith("<!")


def test_the_loop_verb_by_verb_from_nothing(plain: Path) -> None:
    trained = envelope(stepdown("train", "-p", plain, "--json"))
    assert trained["data"]["experts"][0]["n_train"] == 80
    evaluated = envelope(stepdown("eval", "-p", plain, "--json"))
    assert [t["tier"] for t in evaluated["data"]["tasks"][0]["tiers"]] == ["expert", "frontier"]
    certified = stepdown("certify", "-p", plain, "--json")
    assert certified.exit_code == 0
    assert envelope(certified)["data"]["tasks"][0]["guarantee"]["state"] == "certified"
    asked = envelope(stepdown("ask", "topic", rows()[2]["text"], "-p", plain, "--json"))
    assert asked["data"]["answer"] == '{"topic": "account"}'
    why = envelope(stepdown("explain", asked["data"]["trace"]["id"], "-p", plain, "--json"))
    assert why["data"]["trace"]["input"] == rows()[2]["text"]
    reported = envelope(stepdown("report", "-p", plain, "--json"))
    assert Path(reported["data"]["page"]).read_text(encoding="utf-8").startswith("<!")


def test_eval_before_training_shows_the_tiers_that_can_answer(plain: Path) -> None:
    found = envelope(stepdown("eval", "-p", plain, "--json"))
    scores = {t["tier"]: t["score"]["value"] for t in found["data"]["tasks"][0]["tiers"]}
    assert "expert" not in scores
    assert scores["frontier"] > 0.9
    assert found["warnings"] == ["topic: Not trained yet: expert; run `stepdown train`."]
    assert "Not trained yet: expert" in stepdown("eval", "-p", plain).stdout


def test_an_eval_of_an_untrained_tier_says_what_to_run(plain: Path) -> None:
    done = stepdown("eval", "-p", plain, "--tiers", "expert")
    assert done.exit_code == 2
    assert "stepdown train topic --tier expert" in done.stderr


def test_certify_before_training_says_what_to_run_and_writes_no_lock(plain: Path) -> None:
    done = stepdown("certify", "-p", plain)
    assert done.exit_code == 2
    assert "stepdown train topic --tier expert" in done.stderr
    assert not (plain / "stepdown.lock").exists()


def test_a_promise_that_cannot_be_certified_ends_with_1_and_locks_the_ceiling(plain: Path) -> None:
    strict = TOML.replace("max_loss = 0.12, delta = 0.2", "max_loss = 0.05, delta = 0.05")
    (plain / "stepdown.toml").write_text(strict, encoding="utf-8")
    write_jsonl(plain / "rows.jsonl", rows()[:80])
    stepdown("train", "-p", plain)
    done = stepdown("certify", "-p", plain, "--json")
    assert done.exit_code == 1, done.output
    task = envelope(done)["data"]["tasks"][0]
    assert task["guarantee"]["state"] == "ceiling"
    assert task["verdict"]["kind"] == "label_more"
    assert "more would decide" in task["verdict"]["reason"]
    asked = envelope(stepdown("ask", "topic", rows()[2]["text"], "-p", plain, "--json"))
    assert asked["data"]["trace"]["answered_by"] == "frontier"


def test_another_look_at_the_certify_rows_is_counted(certified: Path) -> None:
    (certified / "stepdown.toml").write_text(
        TOML.replace("max_loss = 0.12", "max_loss = 0.11"), encoding="utf-8"
    )
    done = stepdown("certify", "-p", certified, "--relook", "--json")
    assert len(envelope(done)["data"]["tasks"][0]["guarantee"]["looks"]) == 2


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_outcomes_can_be_written_replayed_and_certified(certified: Path, ending: str) -> None:
    table = certified / f"outcomes.{ending}"
    done = stepdown("outcomes", "-p", certified, "--to", table, "--json")
    assert envelope(done)["data"]["files"] == {str(table): 320}
    replayed = stepdown("replay", "topic", "--outcomes", table, "-p", certified, "--json")
    assert replayed.exit_code == 0
    assert envelope(replayed)["data"]["n"] == 160
    again = stepdown("certify", "--outcomes", table, "--relook", "-p", certified)
    assert again.exit_code == 0, again.output


def test_a_replay_of_a_broken_promise_ends_with_1(certified: Path) -> None:
    table = certified / "outcomes.jsonl"
    stepdown("outcomes", "-p", certified, "--to", table)
    lines = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["score"] = 0.0 if line["tier"] == "expert" else line["score"]
    table.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = stepdown("replay", "topic", "--outcomes", table, "-p", certified)
    assert done.exit_code == 1
    assert "Contradicted on these rows" in done.stdout
    assert "certify rows" not in done.stdout


def test_a_lock_is_replayed_and_compared_without_its_project(
    certified: Path, tmp_path: Path
) -> None:
    table, page = tmp_path / "outcomes.parquet", tmp_path / "replay.html"
    stepdown("outcomes", "-p", certified, "--to", table)
    lock = ("--lock", certified / "stepdown.lock")
    done = stepdown("replay", *lock, "--outcomes", table, "--compare", "--html", page, "--json")
    assert done.exit_code == 0, done.output
    kinds = [rule["kind"] for rule in envelope(done)["data"]["comparison"]["rules"]]
    assert kinds[:3] == ["locked", "single", "single"]
    assert page.read_text(encoding="utf-8").startswith("<!")


def test_models_list_names_what_was_trained(certified: Path) -> None:
    found = envelope(stepdown("models", "list", "-p", certified, "--json"))
    (artifact,) = found["data"]["artifacts"]
    assert (artifact["task"], artifact["tier"], artifact["state"]) == (
        "topic", "expert", "promoted",
    )  # fmt: skip
    assert (certified / "models" / artifact["file"]).is_file()


def test_ask_reads_standard_input(certified: Path) -> None:
    done = stepdown("ask", "topic", "-", "-p", certified, stdin=rows()[1]["text"])
    assert done.exit_code == 0
    assert done.stdout == '{"topic": "delivery"}\n'


@pytest.mark.parametrize("verb", ["eval", "certify"])
def test_a_page_is_written_where_it_was_asked_for(certified: Path, verb: str) -> None:
    page = certified / "page.html"
    more = ["--relook"] if verb == "certify" else []
    assert stepdown(verb, "-p", certified, "--html", page, *more).exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!")


def test_a_tier_without_price_warns_and_its_costs_are_unknown_and_counted(plain: Path) -> None:
    text = TOML.replace(
        'price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0, source = "made up" }', ""
    )
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    found = envelope(stepdown("eval", "-p", plain, "--json"))
    assert found["warnings"] == [
        "tiers.frontier has no price: its cost is unknown and counted as such.",
        "topic: Not trained yet: expert; run `stepdown train`.",
    ]
    tier = found["data"]["tasks"][0]["tiers"][-1]
    assert tier["usd_per_1k"]["value"] is None
    assert tier["cost_unknown"] == 24
