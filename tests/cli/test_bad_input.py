"""Bad input: one clear sentence, the right exit code, no traceback, nothing overwritten."""

from __future__ import annotations

import gzip
import json
import re
import socket
from pathlib import Path

import pytest
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl

from stepdown.wiring.registry import Registry

LOG = '{"step": "a", "model": "gpt-4o-mini", "input_tokens": 10, "output_tokens": 2}\n'


def retoml(folder: Path, old: str, new: str) -> None:
    assert old in TOML
    (folder / "stepdown.toml").write_text(TOML.replace(old, new), encoding="utf-8")


def said(done: object, code: int = 2) -> str:
    assert done.exit_code == code, done.output  # type: ignore[attr-defined]
    errors = [
        line
        for line in done.stderr.splitlines()  # type: ignore[attr-defined]
        if line.startswith("error: ")
    ]
    assert len(errors) == 1, done.output  # type: ignore[attr-defined]
    return str(done.stderr)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "args",
    [
        ("eval",), ("train",), ("certify",), ("report",), ("serve",), ("models", "list"),
        ("explain", "x"), ("ask", "topic", "x"), ("outcomes",), ("audit",),
        ("replay", "topic", "--outcomes", "x.csv"),
    ],
)  # fmt: skip
def test_without_a_project_every_verb_names_the_missing_file(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    text = said(stepdown(*args, "-p", tmp_path / "nowhere"))
    assert "There is no stepdown.toml" in text or "x.csv" in text
    assert not (tmp_path / "nowhere").exists()


def test_under_json_an_error_is_one_envelope_too(tmp_path: Path) -> None:
    done = stepdown("eval", "-p", tmp_path, "--json")
    assert done.exit_code == 2
    assert "There is no stepdown.toml" in envelope(done)["data"]["error"]["message"]


def test_an_unknown_key_is_named_with_the_nearest(plain: Path) -> None:
    retoml(plain, "baseline =", "basline =")
    text = said(stepdown("eval", "-p", plain))
    assert "unknown key `project.basline`" in text
    assert "Did you mean `baseline`?" in text


def test_an_unknown_task_is_named(certified: Path) -> None:
    for verb in (["eval"], ["train"], ["certify"], ["outcomes"]):
        assert "no task 'topc'" in said(stepdown(*verb, "topc", "-p", certified))
    assert "no task 'topc'" in said(stepdown("ask", "topc", "hello", "-p", certified))


def test_an_unknown_adapter_is_named_with_those_that_there_are(plain: Path) -> None:
    retoml(plain, "recorded:frontier.jsonl", "recordd:frontier.jsonl")
    text = said(stepdown("eval", "-p", plain))
    assert "unknown adapter 'recordd'" in text
    assert "recorded" in text.split("Known:")[1]


def test_an_unknown_encoder_is_named(plain: Path) -> None:
    retoml(plain, "static-minilm-256", "static-minilm")
    assert "Unknown encoder 'static-minilm'" in said(stepdown("train", "-p", plain))


def test_a_missing_recording_is_named(plain: Path) -> None:
    (plain / "frontier.jsonl").unlink()
    assert "frontier.jsonl cannot be read" in said(stepdown("eval", "-p", plain))


@pytest.mark.parametrize("verb", ["eval", "train", "certify", "outcomes"])
def test_missing_rows_are_named(plain: Path, verb: str) -> None:
    (plain / "rows.jsonl").unlink()
    assert "rows.jsonl cannot be read: No such file" in said(stepdown(verb, "-p", plain))


def test_no_data_in_the_project_is_said(plain: Path) -> None:
    retoml(plain, '[data]\npath = "rows.jsonl"\n', "")
    text = TOML.replace('[data]\npath = "rows.jsonl"\n', "")
    text = text.replace("shares = { train = 0.5, tune = 0.15, certify = 0.35 }\n", "")
    (plain / "stepdown.toml").write_text(text, encoding="utf-8")
    assert "has no [data]" in said(stepdown("train", "-p", plain))


def test_empty_rows_are_said(plain: Path) -> None:
    (plain / "rows.jsonl").write_text("", encoding="utf-8")
    assert "rows.jsonl holds no rows" in said(stepdown("train", "-p", plain))


def test_too_few_rows_to_certify_are_counted_and_no_lock_is_written(plain: Path) -> None:
    write_jsonl(plain / "rows.jsonl", rows()[:40])
    stepdown("train", "-p", plain)
    text = said(stepdown("certify", "-p", plain))
    assert "6 tune and 14 certify rows" in text
    assert not (plain / "stepdown.lock").exists()


def test_a_label_outside_the_set_names_file_and_line(plain: Path) -> None:
    lines = (plain / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    lines[6] = lines[6].replace('"account"', '"acount"')
    (plain / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    text = said(stepdown("eval", "-p", plain))
    assert "rows.jsonl, line 7: topic 'acount' is not a label of 'topic'" in text
    assert "Did you mean 'account'?" in text


def test_a_broken_line_names_its_number(plain: Path) -> None:
    lines = (plain / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    lines[11] = lines[11][:20]
    (plain / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert "rows.jsonl, line 12: not a JSON object" in said(stepdown("eval", "-p", plain))


def test_a_row_without_its_label_names_the_line(plain: Path) -> None:
    lines = [dict(row) for row in rows()]
    del lines[3]["topic"]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (plain / "rows.jsonl").write_text(text, encoding="utf-8")
    assert "rows.jsonl, line 4: 'topic' is missing" in said(stepdown("eval", "-p", plain))


def test_an_id_used_twice_names_both_lines(plain: Path) -> None:
    lines = [dict(row) for row in rows()]
    lines[9]["id"] = "r0"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (plain / "rows.jsonl").write_text(text, encoding="utf-8")
    text = said(stepdown("eval", "-p", plain))
    assert "line 10: the id 'r0' was used on line 1 already" in text


@pytest.mark.parametrize("verb", ["eval", "outcomes"])
def test_unknown_rows_are_named_with_those_that_there_are(certified: Path, verb: str) -> None:
    text = said(stepdown(verb, "-p", certified, "--rows", "dev"))
    assert "--rows 'dev' is unknown" in text
    assert "held-out" in text


@pytest.mark.parametrize("verb", ["eval", "outcomes"])
def test_an_unknown_tier_is_named_before_anything_runs(certified: Path, verb: str) -> None:
    assert "no tier 'exprt'" in said(stepdown(verb, "-p", certified, "--tiers", "exprt"))
    assert not (Path.cwd() / "outcomes.parquet").exists()


def test_outcomes_to_an_unknown_kind_of_file_are_refused_before_anything_runs(plain: Path) -> None:
    done = stepdown("outcomes", "-p", plain, "--tiers", "frontier", "--to", plain / "o.txt")
    assert "Use .jsonl, .csv or .parquet." in said(done)
    assert not (plain / ".stepdown").exists()


def test_training_a_tier_that_is_no_head_is_refused(plain: Path) -> None:
    done = stepdown("train", "-p", plain, "--tier", "frontier")
    assert "'frontier' of 'topic' is not trained here" in said(done)


@pytest.mark.parametrize(
    ("adapter", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_names_the_variable(
    plain: Path, monkeypatch: pytest.MonkeyPatch, adapter: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    retoml(plain, "recorded:frontier.jsonl", f"{adapter}:some-model")
    text = said(stepdown("eval", "-p", plain))
    assert f"needs the environment variable {variable}, which is not set" in text
    assert "'frontier'" in text


def test_no_lock_says_what_to_run(plain: Path) -> None:
    stepdown("train", "-p", plain)
    for args in (["serve"], ["ask", "topic", "hello"]):
        text = said(stepdown(*args, "-p", plain))
        assert "There is no stepdown.lock" in text
        assert "stepdown certify" in text


def test_a_lock_is_stale_when_the_contract_was_edited(certified: Path) -> None:
    retoml(certified, 'user = "Message: {input}"', 'user = "Text: {input}"')
    for args in (["serve"], ["ask", "topic", "hello"]):
        text = said(stepdown(*args, "-p", certified))
        assert "stale for the task 'topic': its contract was sha256:" in text


def test_a_lock_is_stale_when_the_promise_was_edited(certified: Path) -> None:
    retoml(certified, "max_loss = 0.12", "max_loss = 0.5")
    text = said(stepdown("ask", "topic", "hello", "-p", certified))
    assert "its settings in stepdown.toml" in text


def test_a_lock_is_stale_when_the_recording_changed(certified: Path) -> None:
    with (certified / "frontier.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "r1", "topic": "praise"}\n')
    text = said(stepdown("serve", "-p", certified))
    assert "stale for the task 'topic': the tier 'frontier' was sha256:" in text


def _train_on_other_rows(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "rows.jsonl").write_text("\n".join(lines[:-20]), encoding="utf-8")
    assert stepdown("train", "-p", folder, "--yes").exit_code == 0


def test_what_is_trained_again_waits_for_a_certificate_and_the_locked_one_answers(
    certified: Path,
) -> None:
    _train_on_other_rows(certified)
    assert stepdown("ask", "topic", "hello", "-p", certified).exit_code == 0
    checked = stepdown("eval", "check", "-p", certified)
    assert checked.exit_code == 2
    assert "the tier 'expert' was" in checked.output


def test_a_lock_is_stale_when_the_expert_that_it_pins_is_registered_no_more(
    certified: Path,
) -> None:
    _train_on_other_rows(certified)
    registry = Registry(certified / "models")
    registry.remove(next(a for a in registry.all() if a.state == "retired"), "ann")
    assert "the tier 'expert' was sha256:" in said(stepdown("serve", "-p", certified))


def test_a_head_file_that_was_replaced_is_refused(certified: Path) -> None:
    registry = json.loads((certified / "models" / "registry.json").read_text(encoding="utf-8"))
    file = registry["artifacts"][0]["file"]
    (certified / "models" / file).write_bytes(b"not what was trained")
    for args in (["serve"], ["ask", "topic", "hello"]):
        assert file in said(stepdown(*args, "-p", certified))


def test_a_registry_that_is_broken_is_named(certified: Path) -> None:
    (certified / "models" / "registry.json").write_text("{", encoding="utf-8")
    assert "registry.json cannot be read" in said(stepdown("models", "list", "-p", certified))


@pytest.mark.parametrize("text", ["version = ", "version = 99\n", "version = 1\ntasks = 3\n", ""])
def test_a_lock_that_is_none_is_refused_and_kept(certified: Path, text: str) -> None:
    (certified / "stepdown.lock").write_text(text, encoding="utf-8")
    for args in (["serve"], ["ask", "topic", "hello"], ["certify"]):
        assert "stepdown.lock" in said(stepdown(*args, "-p", certified))
    assert (certified / "stepdown.lock").read_text(encoding="utf-8") == text


def test_a_lock_that_was_edited_by_hand_is_refused(certified: Path) -> None:
    path = certified / "stepdown.lock"
    text = path.read_text(encoding="utf-8")
    assert "0.12" in text
    path.write_text(text.replace("0.12", "0.02"), encoding="utf-8")
    assert "stepdown.lock" in said(stepdown("ask", "topic", "hello", "-p", certified))


def test_a_port_in_use_is_named(certified: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = said(stepdown("serve", "-p", certified, "--port", port))
    assert f"port {port} on 127.0.0.1 is in use" in text


def test_an_open_address_without_a_key_is_refused(
    certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEPDOWN_API_KEY", raising=False)
    text = said(stepdown("serve", "-p", certified, "--host", "0.0.0.0", "--port", 0))
    assert "STEPDOWN_API_KEY" in text


@pytest.mark.parametrize("args", [("report",), ("explain", "x")])
def test_without_a_ledger_nothing_is_written(certified: Path, args: tuple[str, ...]) -> None:
    assert "no ledger" in said(stepdown(*args, "-p", certified))
    assert not (certified / ".stepdown" / "ledger").exists()


def test_an_empty_ledger_and_an_unknown_request_are_said(certified: Path) -> None:
    from stepdown.wiring.workspace import Workspace

    Workspace.open(certified).ledger().close()
    assert "The ledger is empty" in said(stepdown("report", "-p", certified))
    assert "no request 'nope'" in said(stepdown("explain", "nope", "-p", certified))


def test_a_time_that_is_none_is_refused(certified: Path) -> None:
    text = said(stepdown("report", "-p", certified, "--since", "yesterday"))
    assert "'yesterday' is not an ISO time" in text


def test_an_empty_text_is_not_answered(certified: Path) -> None:
    assert "The text is empty" in said(stepdown("ask", "topic", "  ", "-p", certified))


def test_a_text_that_only_the_recorded_tier_could_answer_ends_with_1_and_says_so(
    plain: Path,
) -> None:
    retoml(plain, '["expert", "frontier"]', '["frontier"]')
    assert stepdown("certify", "-p", plain).exit_code == 1
    text = said(stepdown("ask", "topic", "my very own words", "-p", plain), 1)
    assert "Only the recorded tier could answer this" in text


def test_outcomes_of_other_rows_are_refused(certified: Path) -> None:
    table = certified / "o.csv"
    table.write_text("query_id,tier,score\nother,expert,1\n", encoding="utf-8")
    done = stepdown("certify", "--outcomes", table, "-p", certified)
    assert "belong to no row of the data" in said(done)


def test_a_table_without_its_columns_is_refused(certified: Path) -> None:
    table = certified / "o.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    text = said(stepdown("replay", "topic", "--outcomes", table, "-p", certified))
    assert "query_id" in text


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    assert "no-such.jsonl" in said(stepdown("audit", tmp_path / "no-such.jsonl"))


def test_an_empty_log_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    assert "empty.jsonl" in said(stepdown("audit", tmp_path / "empty.jsonl"))


def test_an_empty_folder_of_logs_is_said(tmp_path: Path) -> None:
    assert str(tmp_path) in said(stepdown("audit", tmp_path))


def test_a_broken_log_line_is_counted_and_named_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(LOG * 3 + '{"step": "a", \n' + LOG, encoding="utf-8")
    done = stepdown("audit", tmp_path / "log.jsonl", "--json")
    assert done.exit_code == 0
    refused = json.dumps(envelope(done)["data"])
    assert "not JSON" in refused
    assert re.search(r"log\.jsonl.{0,40}\b4\b", refused), refused


def test_a_log_of_broken_lines_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{nothing\n{here\n", encoding="utf-8")
    assert "log.jsonl" in said(stepdown("audit", tmp_path / "log.jsonl"))


def test_a_log_that_is_no_gzip_is_said(tmp_path: Path) -> None:
    whole = gzip.compress((LOG * 500).encode())
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.jsonl.gz").write_bytes(b"plain text")
    for name in ("torn.jsonl.gz", "none.jsonl.gz"):
        assert name in said(stepdown("audit", tmp_path / name))


def test_a_model_name_that_is_in_no_catalogue_is_refused() -> None:
    assert "no-such-model" in said(stepdown("models", "pull", "no-such-model"))


def test_demo_data_that_there_are_none_of_are_refused(tmp_path: Path) -> None:
    done = stepdown("demo", "--data", "mnist", "--to", tmp_path / "d")
    assert "no data 'mnist'" in said(done)
    done = stepdown("demo", "--data", "banking77", "--to", tmp_path / "d")
    assert "--path" in said(done)
    assert not (tmp_path / "d").exists()


def test_spending_that_is_declined_ends_quietly_and_writes_nothing(tmp_path: Path) -> None:
    to = tmp_path / "d"
    args = ("demo", "--to", to, "--frontier", "anthropic:claude-opus-5-5")
    declined = stepdown(*args, stdin="n\n")
    assert declined.exit_code == 1
    assert "list price" in declined.output
    assert stepdown(*args, stdin="").exit_code == 130
    assert not to.exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("openai:no-such-model", "No list price is known"),
        ("mistral:mistral-large-latest", "is not a model"),
        ("gpt-4o", "is not a model"),
    ],
)
def test_a_frontier_that_cannot_be_called_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, why: str
) -> None:
    assert why in said(stepdown("demo", "--to", tmp_path / "d", "--yes", "--frontier", name))
    assert not (tmp_path / "d").exists()
