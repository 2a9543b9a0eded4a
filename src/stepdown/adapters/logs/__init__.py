"""Readers of usage logs: one format a module, told apart by content; nothing leaves the machine."""

from stepdown.adapters.logs.batch_files import BatchFiles
from stepdown.adapters.logs.detect import detect, read_logs, readers
from stepdown.adapters.logs.helicone import Helicone
from stepdown.adapters.logs.langfuse import Langfuse
from stepdown.adapters.logs.litellm import LiteLLM
from stepdown.adapters.logs.openai_pairs import OpenAIPairs
from stepdown.adapters.logs.otel import OTelSpans
from stepdown.adapters.logs.source import Source
from stepdown.adapters.logs.table import Table

__all__ = [
    "BatchFiles",
    "Helicone",
    "Langfuse",
    "LiteLLM",
    "OTelSpans",
    "OpenAIPairs",
    "Source",
    "Table",
    "detect",
    "read_logs",
    "readers",
]
