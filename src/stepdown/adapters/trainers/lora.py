"""Adapters on a language model as a Learner: torch, transformers and PEFT, on a CPU or a GPU.

The base is read from its GGUF file, the one that is served. It does not know tasks: it gets turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from stepdown.adapters.trainers.extras import calm_threads, require
from stepdown.adapters.trainers.lora_files import (
    Deltas,
    adapter_deltas,
    write_adapter,
    write_merged,
)
from stepdown.adapters.trainers.lora_loss import doubting_loss, right_loss
from stepdown.adapters.trainers.saved_tensors import load_state, save_state
from stepdown.adapters.trainers.settings import LoraSettings
from stepdown.errors import WeightsError
from stepdown.ports.learner import Turn

ADAPTER, MERGED = "adapter.gguf", "model.gguf"


class LoraLearner:
    """Learn turns by small factors beside frozen weights."""

    def __init__(self, base: Path, name: str, settings: LoraSettings, seed: int) -> None:
        """Read the base and put fresh adapters on it; `seed` decides their first values.

        `name` is what the exported adapter calls its base: a path would tell of this machine.

        Raises:
            ConfigError: a package is not installed; names the extra.
            WeightsError: transformers cannot read the base.
        """
        require("lora")
        calm_threads()
        import torch

        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(seed % 2**63)
        self._base, self._settings = base, settings
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = _with_adapters(_open(base, self._device), name, settings)
        self._inner = self._model.get_base_model()
        self._weights = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._weights.values(), lr=settings.learning_rate, weight_decay=0.0
        )

    @property
    def about(self) -> Mapping[str, Any]:
        """Device, precision, number of trained parameters."""
        return {
            "device": self._device,
            "precision": "bfloat16 autocast",
            "trained_parameters": sum(p.numel() for p in self._weights.values()),
        }

    def train(self, batch: Sequence[Turn], rate: float, *, doubt: bool = False) -> float:
        """Take one step."""
        import torch

        self._model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * rate
        loss = self._mean_loss(batch, doubt)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), self._settings.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    def loss(self, items: Sequence[Turn], *, doubt: bool = False) -> float:
        """Return the mean loss without learning."""
        import torch

        self._model.eval()
        ordered, total = sorted(items, key=lambda turn: turn.length), 0.0
        with torch.no_grad():
            for start in range(0, len(ordered), 16):
                batch = ordered[start : start + 16]
                total += float(self._mean_loss(batch, doubt).item()) * len(batch)
        return total / len(ordered)

    def save(self, path: Path, *, whole: bool) -> None:
        """Write the adapters; `whole`: with the optimiser's moments."""
        save_state(path, self._weights, self._optimizer if whole else None)

    def load(self, path: Path) -> None:
        """Take what `save` wrote.

        Raises:
            WeightsError: the file is damaged or of another training.
        """
        load_state(path, self._weights, self._optimizer)

    def export(self, folder: Path) -> Mapping[str, Any]:
        """Write the PEFT adapter, and the GGUF file that is served."""
        folder.mkdir(parents=True, exist_ok=True)
        self._model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # an empty form, not a card
        deltas = self._deltas()
        if self._settings.export == "adapter":
            write_adapter(self._base, deltas, folder / ADAPTER)
            return {"serves": ADAPTER}
        write_merged(self._base, deltas, folder / MERGED)
        return {"serves": MERGED}

    def _deltas(self) -> Deltas:
        arrays = {n: p.detach().float().cpu().numpy() for n, p in self._weights.items()}
        config = self._inner.config
        return adapter_deltas(
            self._base,
            arrays,
            alpha=self._settings.alpha,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
        )

    def _mean_loss(self, batch: Sequence[Turn], doubt: bool) -> Any:
        import torch

        ids, mask = _padded(batch, self._device)
        with torch.autocast(self._device, dtype=torch.bfloat16):
            hidden = self._inner.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            rows, places = _answering(batch, self._device)
            logits = self._inner.get_output_embeddings()(hidden[rows, places])
        if doubt and self._settings.gatekeeper is not None:
            return doubting_loss(logits.float(), batch, self._settings.gatekeeper)
        return right_loss(logits.float(), batch)


def _open(base: Path, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    try:
        with redirect_stderr(StringIO()):  # its progress bar cannot be switched off
            model = AutoModelForCausalLM.from_pretrained(
                base.parent, gguf_file=base.name, dtype=dtype
            )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"transformers cannot read {base.name!r}: {str(error)[:200]}.",
            "Adapters can be trained on GGUF files of the architecture llama or qwen2.",
        ) from error
    model.config.use_cache = False
    return model.to(device)


def _with_adapters(model: Any, name: str, settings: LoraSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.modules),
        task_type="CAUSAL_LM",
        bias="none",
    )
    adapted = get_peft_model(model, config)
    config.base_model_name_or_path = name
    return adapted


def _padded(batch: Sequence[Turn], device: str) -> tuple[Any, Any]:
    """Return tokens and mask, padded at the end: shape (turns, longest)."""
    import torch

    width = max(turn.length for turn in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, turn in enumerate(batch):
        ids[row, : turn.length] = torch.tensor(turn.prompt + turn.answer)
        mask[row, : turn.length] = 1
    return ids.to(device), mask.to(device)


def _answering(batch: Sequence[Turn], device: str) -> tuple[Any, Any]:
    """Return row and place of each position that predicts a token of an answer."""
    import torch

    found = [
        (row, len(turn.prompt) - 1 + at)
        for row, turn in enumerate(batch)
        for at in range(len(turn.answer))
    ]
    rows, places = zip(*found, strict=True)
    return torch.tensor(rows, device=device), torch.tensor(places, device=device)
