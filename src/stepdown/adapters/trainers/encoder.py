"""A sentence encoder as a Learner: torch and transformers, on a CPU or a GPU.

It pools and scales as the served graph does (mean over real tokens, length 1), so that what is
learned is what is served. It exports safetensors; the graph is built from them without torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepdown.adapters.trainers.extras import calm_threads, require
from stepdown.adapters.trainers.saved_tensors import load_state, save_state
from stepdown.adapters.trainers.settings import EncoderSettings
from stepdown.errors import WeightsError
from stepdown.ports.learner import Text

COMPANIONS = ("config.json", "tokenizer.json")
UNUSED = "pooler."  # a layer of BERT that sentence vectors do not pass through


class EncoderLearner:
    """Learn labelled texts with all weights of an encoder and a linear layer on top."""

    def __init__(self, weights: Path, labels: int, settings: EncoderSettings, seed: int) -> None:
        """Read the encoder at `weights` (`model.safetensors`, its companions beside it).

        Raises:
            ConfigError: a package is not installed; names the extra.
            WeightsError: transformers cannot read it.
        """
        require("encoder")
        calm_threads()
        import torch

        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(seed % 2**63)
        self._weights, self._settings = weights, settings
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._encoder = _open(weights).to(self._device)
        width = self._encoder.config.hidden_size
        self._layer = torch.nn.Linear(width, labels, device=self._device)
        self._tokenizer = _tokenizer(weights.with_name("tokenizer.json"), settings.max_tokens)
        self._rates = (settings.learning_rate, settings.head_rate)
        self._named = {
            **{f"encoder.{n}": p for n, p in self._encoder.named_parameters()},
            **{f"layer.{n}": p for n, p in self._layer.named_parameters()},
        }
        self._optimizer = torch.optim.AdamW(
            [
                {"params": list(self._encoder.parameters()), "lr": settings.learning_rate},
                {"params": list(self._layer.parameters()), "lr": settings.head_rate},
            ],
            weight_decay=0.01,
        )

    @property
    def about(self) -> Mapping[str, Any]:
        """Device, precision, number of trained parameters."""
        return {
            "device": self._device,
            "precision": "bfloat16 autocast",
            "trained_parameters": sum(p.numel() for p in self._named.values()),
        }

    def train(self, batch: Sequence[Text], rate: float, *, doubt: bool = False) -> float:
        """Take one step; there is no course of doubt."""
        import torch

        self._encoder.train()
        for group, height in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = height * rate
        loss = self._mean_loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._named.values()), self._settings.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    def loss(self, items: Sequence[Text], *, doubt: bool = False) -> float:
        """Return the mean loss without learning."""
        import torch

        self._encoder.eval()
        size, total = 64, 0.0
        with torch.no_grad():
            for start in range(0, len(items), size):
                batch = items[start : start + size]
                total += float(self._mean_loss(batch).item()) * len(batch)
        return total / len(items)

    def save(self, path: Path, *, whole: bool) -> None:
        """Write the weights; `whole`: with the optimiser's moments."""
        save_state(path, self._named, self._optimizer if whole else None)

    def load(self, path: Path) -> None:
        """Take what `save` wrote.

        Raises:
            WeightsError: the file is damaged or of another training.
        """
        load_state(path, self._named, self._optimizer)

    def export(self, folder: Path) -> Mapping[str, Any]:
        """Write the encoder as it is read back: safetensors, configuration, tokenizer."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        kept = {
            name: tensor.detach().float().contiguous().cpu()
            for name, tensor in self._encoder.state_dict().items()
            if not name.startswith(UNUSED) and tensor.is_floating_point()
        }
        save_file(kept, folder / self._weights.name)
        for name in COMPANIONS:
            shutil.copyfile(self._weights.with_name(name), folder / name)
        return {"serves": self._weights.name}

    def _mean_loss(self, batch: Sequence[Text]) -> Any:
        import torch
        from torch.nn.functional import cross_entropy

        vectors = self._embed([item.text for item in batch])
        labels = torch.tensor([item.label for item in batch], device=self._device)
        if self._settings.objective == "contrastive":
            return contrastive_loss(vectors, labels, self._settings.temperature)
        return cross_entropy(self._layer(vectors), labels)

    def _embed(self, texts: Sequence[str]) -> Any:
        """Return unit vectors, shape (texts, dim)."""
        import torch
        from torch.nn.functional import normalize

        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=True)
        ids = torch.tensor([item.ids for item in encoded], device=self._device)
        mask = torch.tensor([item.attention_mask for item in encoded], device=self._device)
        with torch.autocast(self._device, dtype=torch.bfloat16):
            hidden = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask[:, :, None].float()
        return normalize((hidden.float() * real).sum(dim=1), dim=-1)


def contrastive_loss(vectors: Any, labels: Any, temperature: float) -> Any:
    """Return the supervised contrastive loss of unit vectors; texts without a mate count nothing.

    Source: Khosla et al. (2020), "Supervised Contrastive Learning", equation (2).
    """
    import torch

    alone = torch.eye(len(labels), dtype=torch.bool, device=vectors.device)
    alike = (labels[:, None] == labels[None, :]) & ~alone
    scores = (vectors @ vectors.T / temperature).masked_fill(alone, float("-inf"))
    logs = scores - scores.logsumexp(dim=1, keepdim=True)
    mates = alike.sum(dim=1)
    each = -logs.masked_fill(~alike, 0.0).sum(dim=1) / mates.clamp(min=1)
    return each.sum() / (mates > 0).sum().clamp(min=1)


def _open(weights: Path) -> Any:
    from transformers import BertModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return BertModel.from_pretrained(weights.parent, add_pooling_layer=False)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"transformers cannot read the encoder at {str(weights.parent)!r}: {str(error)[:200]}.",
            "Pull it again: stepdown models pull all-minilm-l6-v2.",
        ) from error


def _tokenizer(path: Path, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
