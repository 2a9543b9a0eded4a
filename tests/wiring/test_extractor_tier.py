"""An extractor is trained by the verb, registered, asked by evals, certified, and served."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from extract_project import rows, write_notes
from tiny_project import envelope, stepdown

from stepdown import Stepdown
from stepdown.adapters.models.extractor import ExtractorModel
from stepdown.core.request import Request
from stepdown.core.signals import read_signals
from stepdown.core.task import Task
from stepdown.errors import TimedOut
from stepdown.wiring.field_equality import same_field


def test_a_reader_is_trained_certified_and_served(tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "notes")
    trained = envelope(stepdown("train", "note", "--json", "-p", folder))["data"]["experts"][0]
    assert trained["recipe"] == "extractor"
    assert trained["proof"]["score"]["value"] > 0.85
    assert any(note.startswith("order: ") for note in trained["notes"])
    listed = envelope(stepdown("models", "list", "--json", "-p", folder))
    assert "extractor on static-minilm-256" in json.dumps(listed)
    done = stepdown("certify", "note", "--json", "-p", folder)
    assert done.exit_code == 0, done.output
    lock = (folder / "stepdown.lock").read_text()
    assert 'model = "extractor:static-minilm-256"' in lock
    assert 'signal = "field_' in lock
    row = rows()[0]
    with Stepdown.load(folder / "stepdown.lock") as project:
        reply = project.run("note", str(row["text"]))
        assert json.loads(reply.text) == row["note"]
        assert reply.trace.answered_by == "reader"


def test_an_untrained_reader_says_what_to_run(tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "notes")
    done = stepdown("eval", "note", "--tiers", "reader", "-p", folder)
    assert done.exit_code == 2
    assert "stepdown train note --tier reader" in " ".join(done.output.split())


def test_a_reader_of_a_task_without_fields_is_refused(tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "notes")
    toml = (folder / "stepdown.toml").read_text()
    toml = toml.replace('kind = "extract"\nfields = ["order", "town"]', 'kind = "draft"')
    (folder / "stepdown.toml").write_text(toml.replace('reference = "note"', 'reference = "id"'))
    done = stepdown("train", "note", "--tier", "reader", "-p", folder)
    assert done.exit_code == 2
    assert "fills `fields` with spans" in " ".join(done.output.split())


def test_values_are_equal_as_the_tasks_own_scorer_has_it() -> None:
    task = Task(name="t", kind="extract", tiers=("a",), fields=("x", "y"), scorer="fields")
    loose = Task(
        name="t", kind="extract", tiers=("a",), fields=("x", "y"), scorer="fields_normalised"
    )
    assert same_field(task)("x", "A b", "A b")
    assert not same_field(task)("x", "A b", "a  B")
    assert same_field(loose)("x", "A b", "a  B")
    assert not same_field(loose)("y", "A b", None)


class Slow:
    digest = "sha256:1"

    def read(self, _text: str) -> tuple[dict[str, str | None], dict[str, float]]:
        import time

        time.sleep(0.2)
        return {"x": None}, {"x": 0.5}


class Quick:
    digest = "sha256:2"

    def read(self, text: str) -> tuple[dict[str, str | None], dict[str, float]]:
        return {"x": text[:3], "y": None}, {"x": 0.9, "y": 0.4}


def ask(model: ExtractorModel, text: str, timeout_s: float | None = None) -> object:
    request = Request(id="1", task="t", input=text)
    return asyncio.run(model.complete(request, timeout_s=timeout_s))


def test_the_answer_is_json_with_a_confidence_for_each_field() -> None:
    model = ExtractorModel(Quick(), "extractor:quick")
    done = asyncio.run(model.complete(Request(id="1", task="t", input="abcdef")))
    assert done.text == '{"x":"abc","y":null}'
    assert read_signals(done)["field_min"] == pytest.approx(0.4)
    assert read_signals(done)["field_mean"] == pytest.approx(0.6)
    assert (model.digest, model.capabilities.chat) == ("sha256:2", False)


def test_a_text_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimedOut, match="did not read 3,000 characters"):
        ask(ExtractorModel(Slow(), "extractor:slow"), "x" * 3000, timeout_s=0.02)
