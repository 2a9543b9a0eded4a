from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

sys.path[:0] = [str(Path(__file__).parent)]  # bedrock_peer, usage_corpus
_spec = importlib.util.spec_from_file_location(
    "wire_fake_vendor", Path(__file__).with_name("fake_vendor.py")
)
assert _spec is not None
assert _spec.loader is not None
fake_vendor = importlib.util.module_from_spec(_spec)
sys.modules["wire_fake_vendor"] = fake_vendor
_spec.loader.exec_module(fake_vendor)


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    server = fake_vendor.Server()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
def naps() -> Any:
    return fake_vendor.Naps()
