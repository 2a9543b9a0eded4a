"""Adapters learned for real, a few steps: files are served as torch computes, and a run goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
from stepdown.adapters.models.llama.prompter import LlamaPrompter
from stepdown.adapters.trainers.settings import LoraSettings
from stepdown.adapters.weights import pull
from stepdown.core.contract import Prompt
from stepdown.core.requesting import request_for
from stepdown.core.task import Task
from stepdown.errors import WeightsError
from stepdown.ports.learner import Turn
from stepdown.ports.trainer import Example
from stepdown.train.dialogues import turns_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers and peft on their own code
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

LABELS = ("money", "parcel")
TASK = Task(
    name="topic",
    kind="classify",
    tiers=("narrow",),
    labels=LABELS,
    prompts={"narrow": Prompt(system="Topic?", user="{input}")},
)
SAYS = {
    "money": ("I was charged twice", "refund me please", "the invoice is wrong", "pay me back"),
    "parcel": ("my box is late", "the courier lost it", "no delivery yet", "it never arrived"),
}
ROWS = tuple(
    Example(id=f"{label}{i}", input=text, answer=label, group=f"{label}{i}")
    for label, texts in SAYS.items()
    for i, text in enumerate(texts)
)
APART = 0.08  # of a probability: eight-bit weights and bfloat16 against each other


@pytest.fixture(scope="module")
def base() -> Path:
    pytest.importorskip("peft", reason='the extra lora is not installed: pip install ".[lora]"')
    home = Path(os.environ.get("STEPDOWN_HOME") or Path.home() / ".cache" / "stepdown")
    try:
        return pull("smollm2-135m-instruct", home)
    except WeightsError as error:
        pytest.skip(f"no model file: {error}")


@pytest.fixture(scope="module")
def turns(base: Path) -> tuple[Turn, ...]:
    prompter = LlamaPrompter(base)
    found = turns_of(TASK, "narrow", ROWS, prompter, 512).turns
    prompter.close()
    return found


def fresh(base: Path, **changes: Any) -> Any:
    from stepdown.adapters.trainers.lora import LoraLearner

    return LoraLearner(base, "smollm2-135m-instruct", LoraSettings(**changes), 7)


@pytest.fixture(scope="module")
def taught(base: Path, turns: tuple[Turn, ...]) -> Any:
    learner = fresh(base)
    for _ in range(6):
        learner.train(turns, 1.0)
    return learner


def probs(learner: Any, turn: Turn) -> dict[int, float]:
    """Return the distribution over the first tokens of the labels, by torch."""
    import torch

    learner._model.eval()
    with torch.no_grad():
        logits = learner._inner(input_ids=torch.tensor([turn.prompt])).logits[0, -1].float()
    choices = list(turn.choices[0])
    return dict(zip(choices, torch.softmax(logits[choices], 0).tolist(), strict=True))


def test_the_loss_falls(base: Path, taught: Any, turns: tuple[Turn, ...]) -> None:
    assert taught.loss(turns) < fresh(base).loss(turns) / 4


@pytest.mark.parametrize("export", ["merged", "adapter"])
async def test_what_is_served_is_what_was_learned(
    base: Path, taught: Any, turns: tuple[Turn, ...], tmp_path: Path, export: str
) -> None:
    from stepdown.adapters.trainers.lora_files import write_adapter, write_merged

    write = write_merged if export == "merged" else write_adapter
    write(base, taught._deltas(), tmp_path / "made.gguf")
    settings = LlamaSettings(content_free=(), pinned=True)
    if export == "merged":
        model = LlamaModel(tmp_path / "made.gguf", settings=settings)
    else:
        model = LlamaModel(base, settings=settings, adapter=tmp_path / "made.gguf")
    prompter = LlamaPrompter(base)
    for row, turn in zip(ROWS, turns, strict=True):
        request = request_for(TASK, "narrow", row.id, row.input)
        served = (await model.complete(request)).label_probs or {}
        learned = probs(taught, turn)
        for label in LABELS:
            first = prompter.answer(request, label)[0]
            assert served[label] == pytest.approx(learned[first], abs=APART)
    prompter.close()
    await model.aclose()


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(
    base: Path, turns: tuple[Turn, ...], tmp_path: Path
) -> None:
    first = fresh(base, threads=1)
    first.train(turns, 1.0)
    first.save(tmp_path / "at.safetensors", whole=True)
    first.train(turns, 0.5)
    second = fresh(base, threads=1)
    second.load(tmp_path / "at.safetensors")
    second.train(turns, 0.5)
    assert second.loss(turns) == pytest.approx(first.loss(turns), rel=1e-3)


def test_a_damaged_checkpoint_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "at.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="cannot be used"):
        fresh(base).load(tmp_path / "at.safetensors")


def test_doubt_lowers_the_confidence_of_what_is_marked_wrong(
    base: Path, turns: tuple[Turn, ...]
) -> None:
    from msgspec.structs import replace

    learner = fresh(base, gatekeeper=0.3)
    for _ in range(6):
        learner.train(turns, 1.0)
    before = max(probs(learner, turns[0]).values())
    wrong = [replace(turn, wrong=True) for turn in turns[:1]]
    for _ in range(4):
        learner.train([*wrong, *turns[1:]], 0.5, doubt=True)
    assert max(probs(learner, turns[0]).values()) < before


def test_an_export_tells_nothing_of_this_machine(taught: Any, tmp_path: Path) -> None:
    told = taught.export(tmp_path)
    assert told == {"serves": "model.gguf"}
    said = (tmp_path / "adapter_config.json").read_text()
    assert '"base_model_name_or_path": "smollm2-135m-instruct"' in said
    assert str(Path.home()) not in said
