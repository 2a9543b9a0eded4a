"""The twin that reads every prompt anew is the same model: its file, its adapter (no real ones)."""

from __future__ import annotations

from pathlib import Path

from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
from stepdown.ports.model import steady


def gguf(path: Path, more: bytes) -> Path:
    path.write_bytes(b"GGUF" + more)
    return path


def test_the_twin_of_a_model_with_an_adapter_has_the_adapter(tmp_path: Path) -> None:
    base = gguf(tmp_path / "base.gguf", b"base")
    one, other = (gguf(tmp_path / f"{name}.gguf", name.encode()) for name in ("one", "other"))
    twins = [steady(LlamaModel(base, adapter=path)).digest for path in (None, one, other)]
    assert len(set(twins)) == 3
    wanted = LlamaModel(base, adapter=one, settings=LlamaSettings(pinned=True)).digest
    assert twins[1] == wanted


def test_a_model_that_reads_every_prompt_anew_is_its_own_twin(tmp_path: Path) -> None:
    model = LlamaModel(gguf(tmp_path / "m.gguf", b"x"), settings=LlamaSettings(pinned=True))
    assert steady(model) is model
