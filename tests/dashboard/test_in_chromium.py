"""The dashboard in a real browser: click through, label by keys, on a phone, in the dark.

Pictures are kept in build/screenshots (or $STEPDOWN_SCREENSHOTS).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import BROWSER, DESK, PHONE, Tab, opened
from gateway_process import gateway
from shown_project import KEY

pytestmark = pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
SHOTS = Path(os.environ.get("STEPDOWN_SCREENSHOTS", "build/screenshots"))
INSPECT = Path(__file__).with_name("inspecting.js").read_text("utf-8")
FOCUSED = """(() => { const e = document.activeElement;
  return e.tagName + ' ' + (e.textContent || e.name || '').trim().slice(0, 30); })()"""


@pytest.fixture
def address(shown: Path) -> Iterator[str]:
    """A gateway with a key."""
    with gateway(shown, env={"STEPDOWN_API_KEY": KEY}, late_s=240) as (_, url):
        yield url.removesuffix("/v1")


@pytest.fixture
def open_address(shown: Path) -> Iterator[str]:
    """A gateway without a key."""
    with gateway(shown, env={"STEPDOWN_API_KEY": ""}, late_s=240) as (_, url):
        yield url.removesuffix("/v1")


async def sign_in(tab: Tab, address: str) -> None:
    await tab.go(f"{address}/ui")
    assert await tab.run("location.pathname") == "/ui/sign-in"
    await tab.run("document.querySelector('#key').focus()")
    for letter in KEY:
        await tab.press(letter)
    await tab.then_loaded(tab.press("Enter"))
    assert await tab.run("location.pathname") == "/ui"


async def text_of(tab: Tab, selector: str = "main") -> str:
    return str(await tab.run(f"document.querySelector({json.dumps(selector)}).innerText"))


async def counted(tab: Tab, address: str) -> None:
    """Load a page until the sums behind it are complete."""
    for _ in range(60):
        await tab.go(address)
        if "not counted yet" not in await text_of(tab):
            return
        await asyncio.sleep(0.5)
    raise AssertionError(await text_of(tab))


async def test_without_a_key_the_first_page_is_there_and_asks_no_other_host(
    open_address: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile") as tab:
        await tab.view(DESK)
        await counted(tab, f"{open_address}/ui")
        seen = await text_of(tab)
        assert "Spent" in seen
        assert "certified" in seen
        assert await tab.run(INSPECT) == []
        assert await tab.run("getComputedStyle(document.body).maxWidth") == "1152px"
        await tab.picture(SHOTS / "overview-desk.png")
        assert {url.split("/")[2] for url in tab.asked if url.startswith("http")} == {
            open_address.split("/")[2]
        }
        assert tab.errors == []


@pytest.mark.slow
async def test_a_person_clicks_from_the_overview_to_a_step_a_trace_and_back(
    open_address: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile") as tab:
        await tab.view(DESK)
        await counted(tab, f"{open_address}/ui")
        await tab.click("a[href='/ui/tasks/topic']")
        assert await text_of(tab, "h1") == "topic"
        assert "locked" in await text_of(tab)
        await tab.click("a[href='/ui/traces?task=topic&reason=low_confidence']")
        assert "reason=low_confidence" in await tab.run("location.search")
        first = await tab.run("document.querySelector('tbody a').textContent")
        await tab.click("a[rel=next]")
        assert await tab.run("document.querySelector('tbody a').textContent") < first
        await tab.click("tbody a")
        seen = await text_of(tab)
        assert "what was compared stayed below the threshold" in seen
        assert "a made-up message" in seen
        await tab.click("nav a[href='/ui/review']")
        assert "Review dates" in await text_of(tab)
        assert tab.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_can_be_read_by_everybody(
    address: str, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    pages = {
        "overview": "/ui",
        "step": "/ui/tasks/topic",
        "traces": "/ui/traces",
        "traces-none": "/ui/traces?task=topic&outside=never",
        "trace": "/ui/traces/hostile",
        "labels": "/ui/labels",
        "label-name": "/ui/labels/topic",
        "review": "/ui/review",
        "nothing": "/ui/nothing",
    }
    name = f"{'phone' if size == PHONE else 'desk'}-{'dark' if dark else 'light'}"
    async with opened(tmp_path / "profile") as tab:
        await tab.view(size, dark=dark)
        await tab.go(f"{address}/ui/sign-in")
        assert await tab.run(INSPECT) == []
        await tab.picture(SHOTS / f"sign-in-{name}.png")
        await sign_in(tab, address)
        await counted(tab, f"{address}/ui")
        for page, path in pages.items():
            await tab.go(address + path)
            assert await tab.run(INSPECT) == [], page
            await tab.picture(SHOTS / f"{page}-{name}.png")
        assert await tab.run("window.stolen") is None
        assert [said for said in tab.errors if "404" not in said] == []


async def queue(tab: Tab, address: str) -> str:
    """Open the queue, and wait until it is made; return the question."""
    await tab.go(f"{address}/ui/labels/topic?by=ann")
    for _ in range(60):
        if "is being made" not in await text_of(tab):
            return str(await tab.run("document.querySelector('.card .text').textContent"))
        await asyncio.sleep(0.5)
        await tab.go(f"{address}/ui/labels/topic?by=ann")
    raise AssertionError(await text_of(tab))


@pytest.mark.slow
async def test_one_key_labels_an_answer_and_another_takes_it_back(
    address: str, shown: Path, tmp_path: Path
) -> None:
    file = shown / "labels" / "topic.jsonl"
    async with opened(tmp_path / "profile") as tab:
        await tab.view(DESK)
        await sign_in(tab, address)
        first = await queue(tab, address)
        await tab.picture(SHOTS / "queue-desk.png")
        wanted = await tab.run("document.querySelector('[data-key=\"1\"] .text').textContent")
        await tab.then_loaded(tab.press("1"))
        said = [json.loads(line) for line in file.read_text().splitlines()]
        assert said[-1]["by"] == "ann"
        assert wanted in json.dumps(said[-1]["right"])
        second = await queue(tab, address)
        assert second != first
        await tab.then_loaded(tab.press("u"))
        assert "Taken back." in await text_of(tab)
        assert await queue(tab, address) == first
        assert "right" not in json.loads(file.read_text().splitlines()[-1])
        await tab.then_loaded(tab.press("s"))
        assert "Put off." in await text_of(tab)
        assert await queue(tab, address) == second
        assert tab.errors == []


@pytest.mark.slow
async def test_on_a_phone_a_thumb_labels_until_it_is_decided(address: str, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile") as tab:
        await tab.view(PHONE)
        await sign_in(tab, address)
        await queue(tab, address)
        assert await tab.run(INSPECT) == []
        await tab.picture(SHOTS / "queue-phone.png")
        small = await tab.run(
            "Math.min(...[...document.querySelectorAll('main button')]"
            ".map(b => b.getBoundingClientRect().height))"
        )
        assert small >= 44
        for _ in range(40):
            if "Decided" in await text_of(tab):
                break
            await tab.click("[data-key='b']")
        assert "Decided" in await text_of(tab)
        await tab.picture(SHOTS / "decided-phone.png")


@pytest.mark.slow
async def test_the_keyboard_alone_reaches_everything_in_order(
    open_address: str, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile") as tab:
        await tab.view(DESK, still=True)
        await counted(tab, f"{open_address}/ui")
        stops = []
        for _ in range(12):
            await tab.press("Tab")
            stops.append(str(await tab.run(FOCUSED)))
        assert stops[0] == "A Skip to the content"
        assert [one.removeprefix("A ") for one in stops[2:6]] == [
            "Overview", "Traces", "Labels", "Review",
        ]  # fmt: skip
        assert len(set(stops)) == len(stops)
        outline = await tab.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        moving = await tab.run(
            "[...document.querySelectorAll('*')].filter(e => parseFloat("
            "getComputedStyle(e).transitionDuration) > 0).length"
        )
        assert moving == 0


@pytest.mark.slow
async def test_without_a_key_the_queue_can_be_read_and_nothing_said(
    open_address: str, shown: Path, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile") as tab:
        await tab.view(PHONE)
        await queue(tab, open_address)
        assert "Read only" in await text_of(tab)
        assert await tab.run("[...document.querySelectorAll('[data-key]')].every(b => b.disabled)")
        await tab.press("1")
        await asyncio.sleep(0.3)
        assert not (shown / "labels").exists()
        await tab.picture(SHOTS / "queue-read-only-phone.png")
