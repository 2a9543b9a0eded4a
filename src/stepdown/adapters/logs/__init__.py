"""Readers of usage logs: one format a module, told apart by content; nothing leaves the machine."""

from stepdown.adapters.logs.detect import detect, readers
from stepdown.adapters.logs.litellm import LiteLLM
from stepdown.adapters.logs.openai_pairs import OpenAIPairs
from stepdown.adapters.logs.otel import OTelSpans
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.table import Table

__all__ = ["LiteLLM", "OTelSpans", "OpenAIPairs", "Source", "Table", "detect", "readers"]
