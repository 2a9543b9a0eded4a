"""Weights that learn, on torch: behind extras, imported where they are used."""
