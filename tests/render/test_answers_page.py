"""The page of answers: whatever stands in them is text, and the filters find what they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stepdown.adapters.render.answers_page import answers_page
from stepdown.core.answered import Answered

HOSTILE = '</dd><script>alert(1)</script><img src=x onerror="alert(2)">\u202e" autofocus x="'
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def answers() -> list[Answered]:
    found = [
        Answered(id=f"s{n}", sample="d", tier=tier, input=f"question {n}", reference=label,
                 label=label, answer=label if n % 3 else "other", score=float(bool(n % 3)),
                 failure=None if n % 4 else "invalid_output")
        for tier in ("small", "big") for n, label in enumerate(["yes", "no"] * 6)
    ]  # fmt: skip
    return [
        *found,
        Answered(
            id=HOSTILE,
            sample="d",
            tier=HOSTILE,
            input=HOSTILE,
            answer=HOSTILE,
            reference=HOSTILE,
            label=HOSTILE,
            detail=HOSTILE,
            failure=HOSTILE,
        ),
    ]


class Tags(HTMLParser):
    """Which elements a page has, and whether an attribute runs something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.risky: list[str] = []
        self.feed(page)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(name)
        keys = [key for key, _ in attributes]
        self.risky += [k for k in keys if k in ("src", "href", "style") or k.startswith("on")]


def test_hostile_answers_stay_text() -> None:
    tags = Tags(answers_page("Answers", (("run", HOSTILE),), answers(), HOSTILE))
    assert tags.names.count("script") == 1
    assert "img" not in tags.names
    assert tags.risky == []
    assert tags.names.count("article") == 25


def test_the_page_names_nothing_outside_itself() -> None:
    page = answers_page("Answers", (), answers())
    assert not re.search(r"https?://", page)
    assert "default-src &#x27;none&#x27;; style-src" in page


def test_a_filter_without_a_choice_is_not_offered() -> None:
    one = Answered(id="a", sample="d", tier="small", input="x", score=1.0)
    page = answers_page("Answers", (), [one])
    assert "<select" not in page
    assert 'type="search"' in page


PROBE = """<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const form = page.querySelector("form"), seen = () =>
    [...page.querySelectorAll("article")].filter(card => !card.hidden).length;
  const choose = (name, value) => {
    form.elements[name].value = value;
    form.dispatchEvent(new Event("input", {bubbles: true}));
    return seen();
  };
  const counts = [seen(), choose("tier", "small"), choose("label", "yes"),
    choose("outcome", "wrong"), choose("text", "QUESTION 6")];
  page.dispatchEvent(new KeyboardEvent("keydown", {key: "j"}));
  const root = page.documentElement;
  document.title = JSON.stringify({counts, said: form.querySelector("output").textContent,
    focused: page.activeElement.tagName, wide: root.scrollWidth <= root.clientWidth,
    back: page.defaultView.getComputedStyle(page.body).backgroundColor});
});
</script>"""


def opened(folder: Path, width: int, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "answers.html").write_text(answers_page("Answers", (), answers()), "utf-8")
    frame = f'<iframe src="answers.html" width="{width}" height="800"></iframe>'
    (folder / "page.html").write_text(f"<title>-</title>{frame}{PROBE}", "utf-8")
    assert BROWSER is not None
    flags = (*flags, "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        "--disable-background-networking",
        "--allow-file-access-from-files",
        *flags,
    ]
    address = (folder / "page.html").as_uri()
    return subprocess.run(
        [*command, address], capture_output=True, text=True, timeout=60, check=True
    )


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [320, 1100])
def test_in_a_browser_the_filters_hide_what_does_not_fit(tmp_path: Path, width: int) -> None:
    done = opened(tmp_path, width)
    assert "Content Security Policy" not in done.stderr
    assert '"counts":[25,12,6,2,1]' in done.stdout
    assert "1 of 25 answers" in done.stdout
    assert '"focused":"ARTICLE"' in done.stdout
    assert '"wide":true' in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_in_the_dark_the_page_is_dark(tmp_path: Path) -> None:
    done = opened(tmp_path, 900, "--blink-settings=preferredColorScheme=0")
    assert '"back":"rgb(20, 24, 27)"' in done.stdout
