"""A headless Chromium, driven over its DevTools protocol: pages, keys, viewports, pictures."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = (390, 844)
DESK = (1200, 900)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_KEYS = {"Tab": 9, "Enter": 13}


class Tab:
    """One page of a browser; `errors` holds what its console complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._loads: list[str] = []
        self.errors: list[str] = []
        self.asked: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol."""
        self._number += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        return await asyncio.wait_for(answer, 30)

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.cancelled():
                    continue
                if "error" in said:
                    answer.set_exception(RuntimeError(str(said["error"])))
                else:
                    answer.set_result(said["result"])
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, params: Any) -> None:
        if method == "Page.lifecycleEvent" and params["name"] == "load":
            self._loads.append(params["loaderId"])
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    async def go(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        wanted = (await self.call("Page.navigate", url=url))["loaderId"]
        while wanted not in self._loads:
            self._loaded.clear()
            await asyncio.wait_for(self._loaded.wait(), 30)

    async def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is."""
        found = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    async def then_loaded(self, doing: Any) -> None:
        """Do something that leads to another page, and wait until it is there."""
        self._loaded.clear()
        await doing
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def click(self, selector: str) -> None:
        """Click what a selector finds, where it is, and wait for the page that follows."""
        await self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        box = await self.run(
            "(() => { const b = document.querySelector(" + json.dumps(selector) + ")"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        await self.then_loaded(self._pressed(*box))

    async def _pressed(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                            clickCount=1)  # fmt: skip

    async def press(self, key: str) -> None:
        """Press a key, as a keyboard does."""
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                            windowsVirtualKeyCode=code, **more)  # fmt: skip

    async def view(self, size: tuple[int, int], *, dark: bool = False, still: bool = False) -> None:
        """Set viewport and colours; `still` asks for reduced motion."""
        mobile = size[0] < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
            deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def picture(self, path: Path) -> None:
        """Keep a picture of the whole page."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))

    async def close(self) -> None:
        """Let go of the page."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Tab]:
    """Open a browser with an empty page."""
    assert BROWSER is not None
    profile.mkdir(parents=True, exist_ok=True)
    command = [BROWSER, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(
                pages[0]["webSocketDebuggerUrl"], max_msg_size=0
            ) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Page.setLifecycleEventsEnabled", enabled=True)
                yield tab
                await tab.close()
    finally:
        process.terminate()
        process.wait(20)


async def _port(profile: Path) -> int:
    file, until = profile / "DevToolsActivePort", time.monotonic() + 60
    while time.monotonic() < until:
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not open its port within a minute")
