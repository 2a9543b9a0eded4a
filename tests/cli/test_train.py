"""`stepdown train` as a user types it: the card, what is promoted, refused, and what survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_project import TOML, envelope, rows, stepdown, write_jsonl

from stepdown.wiring.workspace import Workspace

NO_EXPERT = TOML.replace('tiers = ["expert", "frontier"]', 'tiers = ["frontier"]')


def experts(done: Any) -> list[dict[str, Any]]:
    return list(envelope(done)["data"]["experts"])


def promoted(folder: Path) -> str | None:
    found = Workspace.open(folder).models.registry.promoted("topic", "expert")
    return None if found is None else found.digest


def fewer_rows(folder: Path) -> None:
    write_jsonl(folder / "rows.jsonl", rows()[:140])


@pytest.fixture
def trained(plain: Path) -> Path:
    assert stepdown("train", "-p", plain).exit_code == 0
    return plain


def test_the_card_comes_before_and_the_comparison_after(plain: Path) -> None:
    done = stepdown("train", "-p", plain)
    assert done.exit_code == 0
    assert "Training set of topic" in done.stderr
    assert "0 rows in common with eval and certify rows" in " ".join(done.stderr.split())
    assert "frontier (ceiling)" in done.stdout
    assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 80


def test_the_first_expert_of_a_tier_is_promoted_and_the_next_is_a_candidate(trained: Path) -> None:
    first = promoted(trained)
    fewer_rows(trained)
    done = stepdown("train", "-p", trained, "--json")
    assert experts(done)[0]["artifact"]["state"] == "candidate"
    assert promoted(trained) == first
    assert [b["role"] for b in experts(done)[0]["proof"]["beside"]] == ["promoted", "ceiling"]


def test_yes_promotes_and_keeps_the_parent(trained: Path) -> None:
    first = promoted(trained)
    fewer_rows(trained)
    again = experts(stepdown("train", "-p", trained, "--json", "--yes"))[0]
    assert again["artifact"]["state"] == "promoted"
    assert again["artifact"]["parent"] == first
    assert promoted(trained) == again["digest"] != first


def test_training_the_same_again_changes_nothing(trained: Path) -> None:
    first = promoted(trained)
    assert stepdown("train", "-p", trained).exit_code == 0
    assert promoted(trained) == first
    assert len(Workspace.open(trained).models.registry.all()) == 1


def test_no_register_leaves_no_trace(plain: Path) -> None:
    done = stepdown("train", "-p", plain, "--no-register", "--json")
    assert experts(done)[0]["artifact"] is None
    assert not (plain / "models").exists()
    assert list((plain / ".stepdown" / "training").iterdir()) == []


def test_the_card_is_kept_beside_the_artifact(trained: Path) -> None:
    artifact = Workspace.open(trained).models.registry.all()[0]
    card = json.loads((trained / "models" / str(artifact.card)).read_text(encoding="utf-8"))
    assert card["data"]["n"] == 80
    assert card["data"]["digest"] == artifact.data_digest
    assert card["made"]["encoder"] == "static-minilm-256"


def test_auto_trains_what_can_be_trained_and_promotes_what_pays(plain: Path) -> None:
    found = experts(stepdown("train", "topic", "-p", plain, "--recipe", "auto", "--yes", "--json"))
    assert {one["recipe"] for one in found} >= {"head"}
    assert promoted(plain) is not None


def test_an_unknown_recipe_names_the_known(plain: Path) -> None:
    done = stepdown("train", "-p", plain, "--recipe", "headless")
    assert done.exit_code == 2
    assert "Use one of head," in done.stderr


def test_yes_and_no_register_exclude_each_other(plain: Path) -> None:
    assert stepdown("train", "-p", plain, "--yes", "--no-register").exit_code == 2


def test_a_task_without_a_tier_to_train_says_what_to_add(plain: Path) -> None:
    (plain / "stepdown.toml").write_text(NO_EXPERT, encoding="utf-8")
    done = stepdown("train", "topic", "-p", plain)
    assert done.exit_code == 2
    assert 'model = "head:static-minilm-256"' in done.stderr
    assert "--add-tier" in done.stderr


def test_add_tier_writes_it_keeps_every_line_and_trains(plain: Path) -> None:
    (plain / "stepdown.toml").write_text("# ours\n" + NO_EXPERT, encoding="utf-8")
    done = stepdown("train", "topic", "-p", plain, "--add-tier")
    assert done.exit_code == 0, done.output
    text = (plain / "stepdown.toml").read_text(encoding="utf-8")
    assert text.startswith("# ours\n")
    assert Workspace.open(plain).project.task("topic").tiers == ("expert", "frontier")
    assert promoted(plain) is not None


def test_add_tier_writes_the_tier_itself_where_there_is_none(plain: Path) -> None:
    head, tail = NO_EXPERT.split("[tiers.expert]")
    bare = head + "[tiers.frontier]" + tail.split("[tiers.frontier]")[1]
    (plain / "stepdown.toml").write_text(bare, encoding="utf-8")
    assert stepdown("train", "topic", "-p", plain, "--add-tier").exit_code == 0
    assert Workspace.open(plain).tiers["expert"].model == "head:static-minilm-256"


def test_add_tier_refuses_a_task_that_has_it(plain: Path) -> None:
    done = stepdown("train", "topic", "-p", plain, "--add-tier")
    assert done.exit_code == 2
    assert "has the tier 'expert' already" in done.stderr


def test_one_class_only_is_refused_and_nothing_is_registered(plain: Path) -> None:
    write_jsonl(plain / "rows.jsonl", [row for row in rows() if row["topic"] == "praise"])
    done = stepdown("train", "-p", plain)
    assert done.exit_code == 2
    assert "one class only" in done.stderr
    assert not (plain / "models").exists()


def test_labels_in_another_case_or_with_white_space_are_those_of_the_task(plain: Path) -> None:
    odd = [{**row, "topic": f" {row['topic'].upper()} "} for row in rows()]
    write_jsonl(plain / "rows.jsonl", odd)
    done = stepdown("train", "-p", plain, "--json")
    assert set(envelope(done)["data"]["cards"][0]["by_label"]) == {
        "billing", "delivery", "account", "praise",
    }  # fmt: skip


def test_texts_of_100_000_characters_are_read_as_far_as_the_encoder_reads(plain: Path) -> None:
    long = [{**row, "text": f"{row['text']} {'and so on ' * 10_000}"} for row in rows()[:8]]
    write_jsonl(plain / "rows.jsonl", [*long, *rows()[8:]])
    found = experts(stepdown("train", "-p", plain, "--json"))[0]
    assert any("read in part" in note for note in found["notes"])


def test_a_corrupted_artifact_is_refused_by_its_digest(trained: Path) -> None:
    path = next((trained / "models").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = stepdown("eval", "-p", trained)
    assert done.exit_code == 2
    assert "digest" in done.stderr


def test_a_damaged_artifact_does_not_stop_the_training_that_replaces_it(trained: Path) -> None:
    path = next((trained / "models").glob("*.safetensors"))
    path.write_bytes(b"not what was trained")
    fewer_rows(trained)
    again = experts(stepdown("train", "-p", trained, "--yes", "--json"))[0]
    assert promoted(trained) == again["digest"]
    assert any("expert could not be asked" in note for note in again["proof"]["notes"])
    assert stepdown("eval", "-p", trained).exit_code == 0


def test_a_training_that_was_killed_leaves_nothing_registered_and_goes_on(plain: Path) -> None:
    slow = (
        "import time, stepdown.wiring.training as t\n"
        "from stepdown.cli.main import app\n"
        "async def held(*a, **k):\n"
        "    print('fitted', flush=True); time.sleep(60)\n"
        "t.prove = held\n"
        f"app(['train', '-p', {str(plain)!r}])\n"
    )
    with subprocess.Popen([sys.executable, "-c", slow], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "fitted\n"
        os.kill(child.pid, signal.SIGKILL)
    assert promoted(plain) is None
    assert not (plain / "models").exists()
    again = experts(stepdown("train", "-p", plain, "--json"))[0]
    assert again["resumed"]
    assert promoted(plain) == again["digest"]


def test_ctrl_c_in_the_middle_of_a_fit_ends_at_once_and_registers_nothing(plain: Path) -> None:
    slow = (
        "import signal, time, stepdown.train.fit as f\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores it
        "from stepdown.cli.main import app\n"
        "real = f._embedded\n"
        "def held(encoder, texts, step):\n"
        "    print('fitting', flush=True)\n"
        "    for at in range(600):\n"
        "        step('embed', at, 600); time.sleep(0.1)\n"
        "f._embedded = held\n"
        f"app(['train', '-p', {str(plain)!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "fitting\n"
        begun = time.monotonic()
        os.kill(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert time.monotonic() - begun < 20
    assert "Interrupted" in said
    assert promoted(plain) is None
