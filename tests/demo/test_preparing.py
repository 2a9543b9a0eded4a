"""Before the demo runs: its folder, what a live frontier would cost, and banking77's files."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from stepdown.config.project import load_project
from stepdown.demo import banking, loop
from stepdown.demo.spending import expected, spend_words
from stepdown.errors import ConfigError, DataError


def test_the_bundled_project_is_copied_once_and_edits_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    loop.prepare(folder, None)
    assert load_project(folder).name == "support-desk"
    (folder / "README.md").write_text("mine", encoding="utf-8")
    loop.prepare(folder, None)
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"
    assert not list(folder.rglob("__pycache__"))


def test_an_empty_folder_is_good_enough(tmp_path: Path) -> None:
    loop.prepare(tmp_path, None)
    assert (tmp_path / loop.CLIENT).is_file()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ConfigError, match="not empty and is not a demo project"):
        loop.prepare(tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_live_frontier_is_put_into_the_copy_with_its_price(tmp_path: Path) -> None:
    loop.prepare(tmp_path / "demo", "openai:gpt-4o")
    tier = load_project(tmp_path / "demo").tiers["frontier"]
    assert (tier.model, tier.priced_as) == ("openai:gpt-4o", "openai/gpt-4o")


@pytest.mark.parametrize("name", ["gpt-4o", "openai:", "mistral:large"])
def test_a_frontier_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a model"):
        loop.prepare(tmp_path / "demo", name)


def test_what_a_listed_model_costs_is_told_before_a_cent_is_spent() -> None:
    few, many = expected("openai:gpt-4o", 1), expected("openai:gpt-4o", 1000)
    assert 0.1 < few < many < 100
    assert "$" in spend_words("openai:gpt-4o", few)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai:no-such-model", "No list price"),
        ("gpt-4o", "not a model"),
        (":", "not a model"),
        ("mistral:mistral-large-latest", "not a model"),
    ],
)
def test_a_model_that_has_no_price_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        expected(name, 10)


def write_csv(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *rows])


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Made-up files in the shape of banking77."""
    folder = tmp_path / "bank"
    folder.mkdir()
    write_csv(
        folder / "train.csv", [('He said "no", then', "b_card"), ("line\nbreak", "a_pin")] * 2
    )
    write_csv(folder / "test.csv", [("where is my card?", "b_card")])
    return folder


def test_banking77_becomes_a_project_of_its_own_rows(bank: Path, tmp_path: Path) -> None:
    banking.prepare(tmp_path / "to", bank)
    project = load_project(tmp_path / "to")
    assert project.tasks["intent"].labels == ("a_pin", "b_card")
    assert project.tiers["human"].recording == "human labels of the set"
    lines = (tmp_path / "to" / "train.jsonl").read_bytes().splitlines()
    assert msgspec.json.decode(lines[0]) == {
        "id": "train-0", "text": 'He said "no", then', "intent": "b_card",
    }  # fmt: skip
    assert len(lines) == 4


def test_a_banking77_project_that_is_there_is_kept(bank: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    banking.prepare(to, bank)
    edited = (to / "stepdown.toml").read_text(encoding="utf-8").replace("0.02", "0.03")
    (to / "stepdown.toml").write_text(edited, encoding="utf-8")
    banking.prepare(to, bank)
    assert load_project(to).tasks["intent"].promise.max_loss == 0.03


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_missing_file_of_banking77_is_named(bank: Path, tmp_path: Path, name: str) -> None:
    (bank / name).unlink()
    with pytest.raises(DataError, match=f"There is no {name}"):
        banking.prepare(tmp_path / "to", bank)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "text", ["question,label\nx,y\n", "text,category\nonly one cell\n", "", "text,category\n"]
)
def test_files_in_another_shape_are_refused_in_a_sentence(
    bank: Path, tmp_path: Path, text: str
) -> None:
    (bank / "train.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.csv"):
        banking.prepare(tmp_path / "to", bank)
    assert not (tmp_path / "to").exists()


def test_another_frontier_on_an_existing_demo_is_refused_and_nothing_changes(
    tmp_path: Path,
) -> None:
    loop.prepare(tmp_path, "openai:gpt-5.5")
    before = (tmp_path / "stepdown.toml").read_bytes()
    loop.prepare(tmp_path, "openai:gpt-5.5")
    with pytest.raises(ConfigError, match="another frontier"):
        loop.prepare(tmp_path, "openai:gpt-5.4-mini")
    assert (tmp_path / "stepdown.toml").read_bytes() == before
