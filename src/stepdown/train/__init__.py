"""Fit narrow experts from labelled rows: a linear head over a frozen encoder, and a span picker.

The stage knows the Encoder port, not the encoders; it reads and writes plain files of numbers.
"""

from stepdown.train.expert import Expert
from stepdown.train.fit import HeadRecipe, fit_head
from stepdown.train.head import Head, HeadCard, dump_head, load_head, save_head
from stepdown.train.head_trainer import HeadTrainer
from stepdown.train.lexicon import Lexicon, fit_lexicon

__all__ = [
    "Expert",
    "Head",
    "HeadCard",
    "HeadRecipe",
    "HeadTrainer",
    "Lexicon",
    "dump_head",
    "fit_head",
    "fit_lexicon",
    "load_head",
    "save_head",
]
