"""The `prompt` recipe: instructions and examples for a tier that reads prompts, and no weights."""

from stepdown.train.prompting.artifact import TunedPrompt, load_prompt, save_prompt
from stepdown.train.prompting.halving import Answered
from stepdown.train.prompting.terms import PromptTerms
from stepdown.train.prompting.trainer import PromptTrainer, Rewrites, with_prompt

__all__ = [
    "Answered",
    "PromptTerms",
    "PromptTrainer",
    "Rewrites",
    "TunedPrompt",
    "load_prompt",
    "save_prompt",
    "with_prompt",
]
