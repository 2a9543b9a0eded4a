"""The embedded generative tier: a GGUF file, run by llama.cpp in this process."""

from stepdown.adapters.models.llama.model import LlamaModel
from stepdown.adapters.models.llama.settings import LlamaSettings

__all__ = ["LlamaModel", "LlamaSettings"]
