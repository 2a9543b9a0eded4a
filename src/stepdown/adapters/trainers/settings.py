"""What decides a training of adapters or of an encoder, besides the data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Export = Literal["merged", "adapter"]
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoraSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of adapters on a language model.

    Args:
        rank: rank of the two factors of each adapter.
        alpha: their product is scaled by `alpha` / `rank`.
        dropout: share of an adapter's input that is dropped while it learns.
        learning_rate: of AdamW, at its height.
        clip: longest gradient.
        modules: the linear layers that get adapters.
        max_tokens: longest prompt and answer together; longer examples are left out and counted.
        export: "merged" writes the base with the adapters added, "adapter" the adapters alone.
        gatekeeper: share of the loss that goes to right answers in a second course in which wrong
            ones are pulled towards uniform; None: no such course.
            Source: Rabanser et al. (2025), "Gatekeeper", section 3.
        threads: threads that compute on a CPU, None: torch's choice.

    Source of rank and alpha over all linear layers: Hu et al. (2022), "LoRA", and Dettmers et al.
    (2023), "QLoRA", section 4.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    learning_rate: float = 5e-4
    clip: float = 1.0
    modules: tuple[str, ...] = LINEAR
    max_tokens: int = 1024
    export: Export = "merged"
    gatekeeper: float | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings under which nothing is learned."""
        for name in ("rank", "alpha", "learning_rate", "clip", "max_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0..1 without 1, got {self.dropout}")
        if self.gatekeeper is not None and not 0 < self.gatekeeper < 1:
            raise ValueError(f"gatekeeper must lie between 0 and 1, got {self.gatekeeper}")
        unknown = set(self.modules) - set(LINEAR)
        if unknown or not self.modules:
            raise ValueError(f"modules must be some of {LINEAR}, got {self.modules}")


class EncoderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the fine-tuning of a sentence encoder.

    Args:
        objective: "full" trains encoder and a linear layer by cross-entropy; "contrastive" pulls
            texts of one label together (Khosla et al., 2020, "Supervised Contrastive Learning",
            equation (2)).
        learning_rate: of AdamW, at its height.
        head_rate: the learning rate of the linear layer.
        temperature: of the contrastive loss.
        clip: longest gradient.
        max_tokens: longer texts are cut, as when they are served.
        threads: threads that compute on a CPU, None: torch's choice.
    """

    objective: Literal["full", "contrastive"] = "full"
    learning_rate: float = 1e-4
    head_rate: float = 1e-2
    temperature: float = 0.1
    clip: float = 1.0
    max_tokens: int = 256
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings under which nothing is learned."""
        for name in ("learning_rate", "head_rate", "temperature", "clip", "max_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
