"""The `prompt` recipe: instructions and examples for a tier that reads prompts, and no weights."""

from stepdown.train.prompting.artifact import save_prompt
from stepdown.train.prompting.halving import Answered
from stepdown.train.prompting.trainer import PromptTrainer, Rewrites

__all__ = ["Answered", "PromptTrainer", "Rewrites", "save_prompt"]
