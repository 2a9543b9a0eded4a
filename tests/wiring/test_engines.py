"""Where a training runs: the engines that there are, and what each refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_project import stepdown, write_project

from stepdown.errors import ConfigError
from stepdown.wiring.engines import check_engine, trainer_on
from stepdown.wiring.workspace import Workspace


def test_an_unknown_engine_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "tiny")
    done = stepdown("train", "topic", "--engine", "spark", "-p", folder)
    assert done.exit_code == 2
    assert "--engine 'spark' is unknown. Use one of local, ray." in " ".join(done.output.split())


def test_without_the_extra_ray_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = "stepdown.adapters.trainers.extras.NEEDS"
    monkeypatch.setattr(needs, {"ray": ("ray_that_is_not_there",)})
    folder = write_project(tmp_path / "tiny")
    done = stepdown("train", "topic", "--engine", "ray", "-p", folder)
    assert done.exit_code == 2
    assert 'pip install "stepdown[ray]"' in " ".join(done.output.split())
    assert not (folder / "models").exists()


def test_here_is_the_default_and_needs_nothing(tmp_path: Path) -> None:
    check_engine("local")
    workspace = Workspace.open(write_project(tmp_path / "tiny"))
    assert trainer_on("local", workspace, "head").name == "head"


def test_a_recipe_that_asks_the_projects_tiers_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepdown.adapters.trainers.extras.NEEDS", {"ray": ("json",)})
    workspace = Workspace.open(write_project(tmp_path / "tiny"))
    with pytest.raises(ConfigError, match="'extractor' does not run on a cluster"):
        trainer_on("ray", workspace, "extractor")
    assert trainer_on("ray", workspace, "lora").name == "lora"
    assert trainer_on("ray", workspace, "head").name == "head"
