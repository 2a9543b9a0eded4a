"""The `extractor` recipe: spans of a text as the values of fields, with a confidence for each."""

from stepdown.train.extractor.file import dump_extractor, load_extractor, save_extractor
from stepdown.train.extractor.fit import Asked, ExtractorRecipe, Labelled, fit_extractor
from stepdown.train.extractor.model import Extractor, ExtractorCard, FieldCard
from stepdown.train.extractor.reading import Extracting, Extraction
from stepdown.train.extractor.trainer import ExtractorTrainer

__all__ = [
    "Asked",
    "Extracting",
    "Extraction",
    "Extractor",
    "ExtractorCard",
    "ExtractorRecipe",
    "ExtractorTrainer",
    "FieldCard",
    "Labelled",
    "dump_extractor",
    "fit_extractor",
    "load_extractor",
    "save_extractor",
]
