"""A browser shows the page as it is meant: the style applies, and nothing runs off the paper."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stepdown.adapters.render.html import html_document
from stepdown.core.report import Document

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="chromium is not installed"),
]
# Measures a page inside a frame of 400 pixels, and the boxes of the names on its plots.
PROBE = """<script>
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  const boxes = [...page.querySelectorAll(".names text")].map(t => t.getBoundingClientRect())
    .filter(b => b.width > 0);
  const meet = boxes.filter((a, i) => boxes.some((b, j) => j > i && a.left < b.right - 1
    && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)).length;
  const root = page.documentElement;
  document.title = JSON.stringify({wide: root.scrollWidth, room: root.clientWidth, meet,
    names: boxes.length, font: page.defaultView.getComputedStyle(page.body).maxWidth});
});
</script>"""


def dump(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    (folder / "page.html").write_text(page, "utf-8")
    assert BROWSER is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--allow-file-access-from-files", "--enable-logging=stderr"]
    command = [BROWSER, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    address = (folder / "page.html").as_uri()
    return subprocess.run(
        [*command, address], capture_output=True, text=True, timeout=60, check=True
    )


def test_the_policy_of_the_page_refuses_nothing_of_its_own(
    tmp_path: Path, document: Document
) -> None:
    result = dump(tmp_path, html_document(document))
    assert "Content Security Policy" not in result.stderr
    assert "Table 1." in result.stdout


@pytest.mark.parametrize("width", [320, 400, 800, 1200])
def test_nothing_runs_off_the_paper_and_no_name_covers_another(
    tmp_path: Path, document: Document, width: int
) -> None:
    (tmp_path / "report.html").write_text(html_document(document), "utf-8")
    frame = f'<iframe src="report.html" width="{width}" height="900"></iframe>'
    result = dump(tmp_path, f"<title>-</title>{frame}{PROBE}")
    seen = re.search(
        r'<title>\{"wide":(\d+),"room":(\d+),"meet":(\d+),"names":(\d+)', result.stdout
    )
    assert seen is not None, result.stdout[:400]
    wide, room, meet, names = map(int, seen.groups())
    assert wide <= room
    assert meet == 0
    assert names >= 8
