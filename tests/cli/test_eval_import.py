"""`stepdown eval import`, as a user types it: logs and tables in, an eval set and its card out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_project import LABELS, TOML, envelope, rows, stepdown, write_jsonl

import stepdown as package
from stepdown.errors import StepdownError

TODAY = Path(str(files("stepdown.demo"))) / "project" / "today.jsonl.gz"
SYSTEM = 'Choose one topic. Answer with JSON: {"topic": "..."}'


def call(number: int, **more: Any) -> dict[str, Any]:
    """Return a logged call about the row `number + 1000`, unlike any row of the project."""
    text = f"fresh {number} words {number * 7} about {LABELS[number % 4]} {'xyzzy' * (number % 5)}"
    answer = more.pop("answer", f'{{"topic": "{LABELS[number % 4]}"}}')
    user = more.pop("user", f"Message: {text}")
    asked = {
        "model": "big-1",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}],
        "metadata": {"step": "topic", "message_id": f"m{number}"},
    }
    said = {
        "id": f"c{number}",
        "object": "chat.completion",
        "model": more.pop("model", "big-1"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
    }
    return {"request": asked, "response": said, **more}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_log(path: Path, calls: list[Any]) -> Path:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in calls]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_log_becomes_an_eval_set_whose_references_are_the_logged_answers(plain: Path) -> None:
    log = write_log(
        plain / "log.jsonl",
        [
            *(call(n) for n in range(8)),
            call(8, user="no template here"),
            call(9, answer="I do not know"),
            call(10, error={"message": "overloaded"}),
            "{broken",
            {**call(11), "request": {**call(11)["request"], "metadata": {"step": "other"}}},
        ],
    )
    done = stepdown("eval", "import", log, "--task", "topic", "-p", plain)
    assert done.exit_code == 0, done.output
    found = read(plain / "evals" / "topic.jsonl")
    assert found[0] == {"id": "m0", "text": "fresh 0 words 0 about billing", "topic": "billing"}
    assert [row["id"] for row in found] == [f"m{n}" for n in range(8)]
    refused = {row["line"]: row["kind"] for row in read(plain / "evals" / "topic.refused.jsonl")}
    assert refused == {9: "no match", 10: "no answer", 11: "failed call", 12: "broken row"}
    card = json.loads((plain / "evals" / "topic.card.json").read_text(encoding="utf-8"))
    assert card["reference_is"] == "ceiling"
    assert card["reference_models"] == {"big-1": 8}
    assert card["sources"][0]["other_steps"] == {"other": 1}
    assert card["labels"] == dict.fromkeys(LABELS, 2)
    assert "no template here" in done.stdout
    assert "agreement with it is" in done.stdout
    assert 'reference_is = "ceiling"' in done.stderr


def test_the_set_can_be_evaluated_at_once(plain: Path) -> None:
    log = write_log(plain / "log.jsonl", [call(n) for n in range(60)])
    stepdown("eval", "import", log, "--to", plain / "new.jsonl", "-p", plain)
    toml = TOML.replace("rows.jsonl", "new.jsonl").replace('tiers = ["expert", ', "tiers = [")
    (plain / "stepdown.toml").write_text(toml, encoding="utf-8")
    write_jsonl(plain / "frontier.jsonl", read(plain / "new.jsonl"))
    done = stepdown("eval", "-p", plain, "--rows", "all", "--json")
    assert done.exit_code == 0, done.output
    assert envelope(done)["data"]["tasks"][0]["tiers"][0]["score"]["value"] == 1.0
    said = " ".join(stepdown("eval", "-p", plain, "--rows", "all").stdout.split())
    assert "logged answers of big-1 (imported" in said
    assert "agreement with it, not truth" in said


def test_the_demo_s_log_holds_all_its_steps(tmp_path: Path) -> None:
    (tmp_path / "stepdown.toml").write_text(TOML, encoding="utf-8")
    done = stepdown("eval", "import", TODAY, "--task", "topic", "-p", tmp_path)
    assert done.exit_code == 2
    assert "no calls of the step 'topic'" in done.stderr
    assert "intent (1,040)" in done.stderr


def test_rows_of_the_project_s_train_part_are_refused_unless_asked(plain: Path) -> None:
    write_jsonl(plain / "again.jsonl", [{**row, "text": row["text"] + " !"} for row in rows()])
    done = stepdown("eval", "import", plain / "again.jsonl", "-p", plain, "--json")
    data = envelope(done)["data"]
    assert data["card"]["refused"] == {"in training data": 80}
    assert len(data["leaks"]) == 80
    assert data["leaks"][0]["where"].startswith("rows.jsonl (train), id r")
    more = ("--allow-leaks", "--force", "--json")
    done = stepdown("eval", "import", plain / "again.jsonl", "-p", plain, *more)
    assert envelope(done)["data"]["card"]["n"] == 160


def test_another_training_file_is_checked_too(plain: Path) -> None:
    log = write_log(plain / "log.jsonl", [call(n) for n in range(8)])
    write_jsonl(
        plain / "trained.jsonl", [{"text": "fresh 3 words 21 about praise xyzzyxyzzyxyzzy"}]
    )
    done = stepdown(
        "eval", "import", log, "-p", plain, "--against", plain / "trained.jsonl", "--json"
    )
    (leak,) = envelope(done)["data"]["leaks"]
    assert leak["where"].endswith("trained.jsonl, line 1")


def test_an_expert_trained_on_other_rows_is_named(plain: Path) -> None:
    stepdown("train", "-p", plain)
    log = write_log(plain / "log.jsonl", [call(n) for n in range(8)])
    assert "trained on rows" not in stepdown("eval", "import", log, "-p", plain).stderr
    write_jsonl(plain / "rows.jsonl", rows()[:120])
    done = stepdown("eval", "import", log, "-p", plain, "--force")
    assert "trained on rows that are not here, so not checked for leaks: expert" in done.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_needs_no_project_and_its_columns_can_be_named(tmp_path: Path, ending: str) -> None:
    table = [
        {"q": f"how do I {word} it", "a": label, "who": who, "lang": lang, "note": "n"}
        for word, label, who, lang in (("open", "help", "u1", "en"), ("buy", "sale", "u2", "de"))
    ]
    source = tmp_path / f"t.{ending}"
    if ending == "csv":
        pd.DataFrame(table).to_csv(source, index=False)
    elif ending == "parquet":
        pq.write_table(pa.Table.from_pylist(table), source)
    else:
        write_jsonl(source, table)
    columns = (
        "--input",
        "q",
        "--reference",
        "a",
        "--group",
        "who",
        "--segment",
        "lang",
        "--keep",
        "note",
    )
    done = stepdown(
        "eval", "import", source, *columns, "--to", tmp_path / "s.jsonl", "-p", tmp_path
    )
    assert done.exit_code == 0, done.output
    first = read(tmp_path / "s.jsonl")[0]
    assert first.pop("id").startswith("t-")
    assert first == {
        "note": "n",
        "text": "how do I open it",
        "reference": "help",
        "group": "u1",
        "segment": "en",
    }


@pytest.mark.parametrize("make", [pd.DataFrame, pa.Table.from_pylist, list])
def test_a_frame_is_imported_from_python(plain: Path, make: Any) -> None:
    frame = make(
        [{"text": "a fresh question", "topic": "praise"}, {"text": "two", "topic": "prais"}]
    )
    found = package.import_eval_set(frame, task="topic", project=plain)
    assert read(found.path) == [{"id": "frame-1", "text": "a fresh question", "topic": "praise"}]
    assert found.card.refused == {"wrong reference": 1}
    assert "Did you mean 'praise'?" in found.examples[0].why
    with pytest.raises(StepdownError, match="exists already"):
        package.import_eval_set(frame, task="topic", project=plain)


def test_a_sample_is_drawn_in_proportion_and_the_same_each_time(plain: Path) -> None:
    log = write_log(plain / "log.jsonl", [call(n) for n in range(200)])
    sets = []
    for name in ("a.jsonl", "b.jsonl"):
        stepdown("eval", "import", log, "--sample", "20", "--to", plain / name, "-p", plain)
        sets.append((plain / name).read_bytes())
    assert sets[0] == sets[1]
    card = json.loads((plain / "a.card.json").read_text(encoding="utf-8"))
    assert card["labels"] == dict.fromkeys(LABELS, 5)
    assert card["not_drawn"] == 180


def test_rows_of_two_files_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    for folder, text in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / "t.jsonl", [{"text": text, "label": "x"}])
    sources = (tmp_path / "a", tmp_path / "b")
    done = stepdown("eval", "import", *sources, "--to", tmp_path / "s.jsonl", "-p", tmp_path)
    assert done.exit_code == 0, done.output
    assert [row["id"] for row in read(tmp_path / "s.jsonl")] == ["t-1-1", "t-2-1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b'{"text": "", "topic": "praise"}\n', "line 1: 'text' holds no text"),
        (b'{"text": "x"}\n{"text": "y"}\n', "no column is known to hold the reference"),
        (b'{"text": "x", "topic": "prais"}\n', "'prais' is not a label of 'topic'"),
        ('{"text": "x", "topic": "praise"}\n'.encode("utf-16"), "--encoding utf-16"),
        (b'{"text": "caf\xe9", "topic": "praise"}\n', "not UTF-8"),
        (b'{"text": "x", \n', "line 1: not a JSON object"),
    ],
)  # fmt: skip
def test_a_table_without_a_usable_row_is_one_sentence_and_leaves_nothing(
    plain: Path, content: bytes, said: str
) -> None:
    (plain / "t.jsonl").write_bytes(content)
    done = stepdown("eval", "import", plain / "t.jsonl", "-p", plain)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (plain / "evals").exists() or not list((plain / "evals").iterdir())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--task", "topc"), "no task 'topc'"),
        (("--input", "txt"), "no column 'txt' for the input"),
        (("--by", "colour"), "--by 'colour' is unknown"),
        (("--by", "segment", "--sample", "3"), "Add --segment COLUMN"),
        (("--duplicates", "some"), "Use one of drop, exact, keep"),
        (("--to", "set.csv"), "written as JSON lines"),
        (("--as", "log"), "no known log format"),
        (("--against", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
    ],
)
def test_a_wrong_option_is_one_sentence(plain: Path, args: tuple[str, ...], said: str) -> None:
    done = stepdown("eval", "import", plain / "rows.jsonl", "-p", plain, *args)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_log_without_a_task_says_what_is_missing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", [call(1)])
    done = stepdown("eval", "import", log, "-p", tmp_path)
    assert done.exit_code == 2
    assert "a task must say which calls are its own" in done.stderr


def test_a_good_set_survives_an_import_that_fails(plain: Path) -> None:
    log = write_log(plain / "log.jsonl", [call(n) for n in range(8)])
    stepdown("eval", "import", log, "-p", plain)
    good = (plain / "evals" / "topic.jsonl").read_bytes()
    write_log(plain / "bad.jsonl", ["{broken"])
    assert stepdown("eval", "import", log, "-p", plain).exit_code == 2
    done = stepdown("eval", "import", plain / "bad.jsonl", "-p", plain, "--as", "table", "--force")
    assert done.exit_code == 2
    assert (plain / "evals" / "topic.jsonl").read_bytes() == good


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_is_interrupted_leaves_no_set(tmp_path: Path, blow: signal.Signals) -> None:
    big, to = tmp_path / "big.jsonl", tmp_path / "out" / "set.jsonl"
    with big.open("w", encoding="utf-8") as file:
        file.writelines(
            f'{{"text": "row {n} {n * n}", "label": "l{n % 7}"}}\n' for n in range(400_000)
        )
    stepdown_program = str(Path(sys.executable).with_name("stepdown"))
    program = [stepdown_program, "eval", "import", str(big), "--to", str(to)]
    running = subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(blow)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert not to.exists()
    assert blow == signal.SIGKILL or not list(tmp_path.glob("out/*"))


LIMITED = """
import resource, sys
from stepdown.cli.main import app
try:
    app(sys.argv[1:], standalone_mode=False)
except SystemExit as end:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
    raise
"""


@pytest.mark.slow
def test_five_million_rows_are_imported_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    big, n = tmp_path / "big.csv", 5_000_000
    with big.open("w", encoding="utf-8") as file:
        file.write("id,text,label\n")
        file.writelines(
            f"r{i},a row that says {i % 4_000_000} in words,l{i % 9}\n" for i in range(n)
        )
    to = tmp_path / "set.jsonl"
    more = ("--to", str(to), "--sample", "1000", "--by", "label", "--json")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "eval", "import", str(big), *more],
        cwd=tmp_path, capture_output=True, text=True, timeout=1500, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)["data"]["card"]
    assert sum(card["refused"].values()) + card["n"] + card["not_drawn"] == n
    assert sum(v for k, v in card["refused"].items() if k.startswith("duplicate")) == 1_000_000
    assert card["n"] == 1000
    assert int(done.stderr.split()[-1]) < 1_000_000, "kilobytes at the peak"
