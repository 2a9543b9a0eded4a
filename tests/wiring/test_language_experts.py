"""Adapters on a language model in a project: refused without the extra, opened by their digest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest
from tiny_project import TOML, stepdown, write_project

from stepdown.adapters.models.llama.runtime import file_digest
from stepdown.adapters.weights import pull
from stepdown.core.requesting import request_for
from stepdown.errors import WeightsError
from stepdown.train.lora_trainer import SERVING, Serving
from stepdown.train.made_folder import folder_digest
from stepdown.wiring.language_experts import open_lora
from stepdown.wiring.workspace import Workspace

BASE = "smollm2-135m-instruct"
NARROW = f"""
[tiers.narrow]
model = "lora:{BASE}"

[tasks.topic.prompts.narrow]
user = "{{input}}"
"""


@pytest.fixture(scope="module")
def weights() -> Path:
    home = Path(os.environ.get("STEPDOWN_HOME") or Path.home() / ".cache" / "stepdown")
    try:
        return pull(BASE, home)
    except WeightsError as error:
        pytest.skip(f"no model file: {error}")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = write_project(tmp_path / "tiny")
    told = TOML.replace('tiers = ["expert", "frontier"]', 'tiers = ["narrow", "frontier"]')
    (folder / "stepdown.toml").write_text(told + NARROW)
    return folder


def made(folder: Path, weights: Path, *, adapter: bool = False, base: str = "") -> str:
    """Write a folder as the recipe does, the base itself in place of trained weights."""
    folder.mkdir()
    shutil.copy(weights, folder / "model.gguf")
    serving = Serving(
        base=BASE, base_digest=base or file_digest(weights), serves="model.gguf", adapter=adapter
    )
    (folder / SERVING).write_bytes(msgspec.json.encode(serving))
    return folder_digest(folder)


def test_without_the_extra_train_names_it_and_registers_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = "stepdown.adapters.trainers.extras.NEEDS"
    monkeypatch.setattr(needs, {"lora": ("torch_that_is_not_there",)})
    done = stepdown("train", "topic", "--recipe", "lora", "-p", project)
    assert done.exit_code == 2
    assert 'pip install "stepdown[lora]"' in " ".join(done.output.split())
    assert not (project / "models").exists()


def test_a_tier_of_adapters_is_mute_until_it_was_trained(project: Path) -> None:
    done = stepdown("eval", "topic", "--tiers", "narrow", "-p", project)
    assert done.exit_code == 2
    assert "Nothing was trained" in " ".join(done.output.split())


async def test_what_was_made_answers_with_a_distribution_over_the_labels(
    project: Path, weights: Path, tmp_path: Path
) -> None:
    workspace = Workspace.open(project)
    task, tier = workspace.tasks()[0], workspace.tiers["narrow"]
    digest = made(tmp_path / "made", weights)
    model = open_lora(workspace.models, task, tier, tmp_path / "made", digest)
    answer = await model.complete(request_for(task, "narrow", "1", "My parcel is late."))
    assert set(answer.label_probs or {}) == set(task.labels)
    assert sum((answer.label_probs or {}).values()) == pytest.approx(1.0)
    await model.aclose()


async def test_a_damaged_artifact_is_refused_before_it_is_loaded(
    project: Path, weights: Path, tmp_path: Path
) -> None:
    workspace = Workspace.open(project)
    digest = made(tmp_path / "made", weights)
    with (tmp_path / "made" / "model.gguf").open("r+b") as file:
        file.seek(1000)
        file.write(b"torn")
    with pytest.raises(WeightsError, match="expected sha256:"):
        open_lora(
            workspace.models,
            workspace.tasks()[0],
            workspace.tiers["narrow"],
            tmp_path / "made",
            digest,
        )


async def test_an_adapter_on_another_base_is_refused(
    project: Path, weights: Path, tmp_path: Path
) -> None:
    workspace = Workspace.open(project)
    digest = made(tmp_path / "made", weights, adapter=True, base="sha256:another")
    with pytest.raises(WeightsError, match=r"was trained on .* with the digest"):
        open_lora(
            workspace.models,
            workspace.tasks()[0],
            workspace.tiers["narrow"],
            tmp_path / "made",
            digest,
        )
