"""Trained weights and the optimiser's moments in one safetensors file: nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepdown.errors import WeightsError


def save_state(path: Path, weights: Mapping[str, Any], optimizer: Any | None) -> None:
    """Write named parameters, and with an optimiser its moments, to `path`."""
    from safetensors.torch import save_file

    found = {f"weight.{name}": tensor.detach().contiguous() for name, tensor in weights.items()}
    if optimizer is not None:
        found |= _moments(weights, optimizer)
    save_file({name: tensor.cpu() for name, tensor in found.items()}, path)


def load_state(path: Path, weights: Mapping[str, Any], optimizer: Any) -> None:
    """Read what `save_state` wrote into the parameters, and the moments where there are any.

    Raises:
        WeightsError: damaged, or of other parameters.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(found[f"weight.{name}"])
                _restore(name, tensor, found, optimizer)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"The checkpoint {path.name!r} cannot be used: {error}.",
            "Remove the folder of the interrupted training and train again.",
        ) from error


def _moments(weights: Mapping[str, Any], optimizer: Any) -> dict[str, Any]:
    found = {}
    for name, tensor in weights.items():
        for key, value in optimizer.state.get(tensor, {}).items():
            found[f"{key}.{name}"] = value.detach().clone().contiguous()
    return found


def _restore(name: str, tensor: Any, found: Mapping[str, Any], optimizer: Any) -> None:
    keys = ("step", "exp_avg", "exp_avg_sq")
    kept = {key: found[f"{key}.{name}"] for key in keys if f"{key}.{name}" in found}
    if kept:
        optimizer.state[tensor] = {
            key: value if key == "step" else value.to(tensor.device) for key, value in kept.items()
        }
