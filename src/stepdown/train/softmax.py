"""Logits to probabilities and back to a loss; `stats.calibrate` fits the temperature."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy import float64, floating, intp
    from numpy.typing import NDArray


def softmax(logits: "NDArray[Any]", temperature: float = 1.0) -> "NDArray[Any]":
    """Return probabilities, rows summing to 1."""
    scaled = logits / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def row_losses(
    logits: "NDArray[floating[Any]]", labels: "NDArray[intp]", temperature: float
) -> "NDArray[float64]":
    """Return the negative log-probability of the right label, in nats, shape (rows,)."""
    scaled = logits.astype(np.float64) / temperature
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    losses: NDArray[float64] = total - scaled[np.arange(len(labels)), labels]
    return losses
