"""The page stands alone, is safe with any text, and can be read by everybody."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.adapters.render.html import html_document, write_html
from stepdown.adapters.render.plot import MOST_POINTS
from stepdown.core.report import (
    Claim,
    Column,
    Document,
    Plot,
    Point,
    Prose,
    Section,
    Table,
)
from stepdown.errors import InputError

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>&amp;]]>--><svg/onload=z>"
VOID = {"meta"}


class Page(HTMLParser):
    """Collect tags, attributes and text; complain about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def everywhere(text: str) -> Document:
    """Return a report with `text` in every place that holds text."""
    claim = Claim(0.5, "score", 0.4, 0.6, 0.95, source=text, note=text)
    table = Table(
        title=text,
        columns=(Column(text), Column(text, numeric=True)),
        rows=((text, claim), (text, text), (None, claim)),
        notes=(text, f"recorded: {text}"),
        total=(text, None),
    )
    points = (Point(1, 0.5, label=text, series=text), Point(2, 0.7, label=text, chosen=True))
    plot = Plot(title=text, x_label=text, y_label=text, points=points, notes=(text,))
    prose = [Prose(text, "plain"), Prose(text, "good"), Prose(text, "bad"), Prose(text, "warn")]
    section = Section(text, (*prose, table, plot))
    return Document(
        title=text, subtitle=text, facts=((text, text),), sections=(section,) * 3, footer=text
    )


def test_hostile_text_is_shown_and_never_becomes_markup() -> None:
    text = html_document(everywhere(HOSTILE))
    page, tame = Page(text), Page(html_document(everywhere("plain")))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in tame.tags]
    assert [set(a) for _, a in page.tags] == [set(a) for _, a in tame.tags]
    assert "".join(page.words).count(HOSTILE) > 20


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), min_size=1, max_size=30))
def test_any_text_gives_the_same_tags_and_attributes(text: str) -> None:
    page = Page(html_document(everywhere(f"x{text}x")))
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-:")
    assert all(set(key) <= allowed for _, attributes in page.tags for key in attributes)
    assert not page.all("script")
    html_document(everywhere(text)).encode()


def test_the_page_loads_nothing_and_runs_nothing(document: Document) -> None:
    text = html_document(document)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import|javascript:", text)
    keys = {key for _, attributes in page.tags for key in attributes}
    assert not {key for key in keys if key.startswith("on") or key in {"style", "src"}}
    assert all(a["href"].startswith("#section-") for a in page.all("a"))


def test_the_policy_allows_only_the_style_of_the_page(document: Document) -> None:
    text = html_document(document)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    metas = [m for m in Page(text).all("meta") if "http-equiv" in m]
    assert [m["content"] for m in metas] == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    ]


def test_tables_are_captioned_and_scoped(document: Document) -> None:
    page = Page(html_document(document))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in head for head in page.all("th"))
    assert {head["scope"] for head in page.all("th")} == {"col", "row"}


def test_every_reference_of_the_page_has_its_target(document: Document) -> None:
    page = Page(html_document(document))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {a[k] for _, a in page.tags for k in ("aria-labelledby", "aria-describedby") if k in a}
    wanted |= {a["href"].removeprefix("#") for a in page.all("a")}
    assert wanted <= set(ids)


def test_plots_are_named_and_described_for_screen_readers(document: Document) -> None:
    plots = [a for a in Page(html_document(document)).all("svg") if a.get("role") == "img"]
    assert len(plots) == 6
    assert all(a["aria-labelledby"] and a["aria-describedby"] for a in plots)


def test_each_row_fills_the_same_columns(document: Document) -> None:
    for table in re.findall(r"<table.*?</table>", html_document(document), re.DOTALL):
        rows = [Page(row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
        sums = {sum(int(a.get("colspan", 1)) for t, a in r.tags if t in {"td", "th"}) for r in rows}
        assert len(sums) == 1


def test_figures_intervals_and_unknowns_are_shown(document: Document) -> None:
    words = Page(html_document(document)).words
    wanted = {"0.913", "[0.88, 0.94]", "n=1,204", "unknown", "$0.0000412", ">99.9%", "Recorded"}
    assert wanted <= set(words)


def test_a_page_full_of_plots_stays_under_500_kb(scatter: Plot) -> None:
    points = tuple(
        Point(p.x, p.y, 0.1, 0.9, "a policy" * 5, series=p.series) for p in scatter.points
    )
    crowded = msgspec.structs.replace(scatter, points=points)
    for plots in ((scatter,) * 10, (crowded,) * 2):
        text = html_document(Document(title="T", sections=(Section("S", plots),)))
        assert len(text.encode()) < 500_000
    assert len(crowded.points) > MOST_POINTS


def test_a_plot_without_points_says_so() -> None:
    plot = Plot(title="T", x_label="x", y_label="y", points=(Point(float("nan"), 1),))
    text = html_document(Document(title="T", sections=(Section("S", (plot,)),)))
    assert "There is no point to draw." in text
    assert "Not drawn, because a value is unknown: 1 point." in text


def test_an_empty_report_is_a_page() -> None:
    assert "<h1>Nothing yet</h1>" in html_document(Document(title="Nothing yet"))


def test_the_colours_of_text_have_the_contrast_that_wcag_asks_for(document: Document) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", html_document(document), re.DOTALL)
    for theme in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        for name in ("ink", "soft", "accent", "picked", "good", "bad", "warn"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name
        for name in (f"s{i}" for i in range(6)):
            assert contrast(colours[name], colours["paper"]) >= 3, name


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_page_is_written_with_its_folders_and_nothing_beside_it(
    tmp_path: Path, document: Document
) -> None:
    target = tmp_path / "deep" / "er" / "report.html"
    write_html(target, document)
    assert target.read_text("utf-8") == html_document(document)
    assert list(target.parent.iterdir()) == [target]


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_says_why(
    tmp_path: Path, document: Document
) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match=r"Cannot write the report to .*report\.html"):
        write_html(tmp_path / "file" / "report.html", document)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"Cannot write the report to .*folder"):
        write_html(tmp_path / "folder", document)
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
