from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "gateway_fake_handler", Path(__file__).with_name("fake_handler.py")
)
assert _spec is not None
assert _spec.loader is not None
fake_handler = importlib.util.module_from_spec(_spec)
sys.modules["gateway_fake_handler"] = fake_handler
_spec.loader.exec_module(fake_handler)


@pytest.fixture
def handler() -> object:
    return fake_handler.FakeHandler()
