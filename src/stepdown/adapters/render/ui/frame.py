"""What every page of the dashboard has: head, navigation, landmarks, and its two files.

Style and script are files of their own address, so that the policy of the pages allows nothing
that stands inside a page.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.ports.pages import PREFIX, SIGN_IN, SIGN_OUT, Page, Visitor

PLACES = (
    ("Overview", PREFIX),
    ("Traces", f"{PREFIX}/traces"),
    ("Labels", f"{PREFIX}/labels"),
    ("Review", f"{PREFIX}/review"),
)
_KINDS = {"style.css": "text/css; charset=utf-8", "keys.js": "text/javascript; charset=utf-8"}
_PARTS = {"style.css": (("", "page.css"), ("ui", "ui.css")), "keys.js": (("ui", "keys.js"),)}
_FOOTNOTE = (
    "Times are in UTC. Figures come from this project's ledger and lock; each says its n and "
    "source. An unknown cost is counted, never taken as zero."
)
_STATES = {
    "certified": ("good", "✓"),
    "declared": ("warn", "!"),
    "ceiling": ("plain", "–"),
    "withdrawn": ("bad", "✗"),
    "none": ("plain", "–"),
}


def page(
    title: str,
    *body: Markup,
    visitor: Visitor,
    here: str = "",
    project: str = "",
    status: int = 200,
) -> Page:
    """Return a page; `here` is the address of the navigation's entry that it belongs to."""
    content = tag(
        "body",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        _header(project, here, visitor),
        tag("main", *body, id="main", tabindex="-1"),
        _footer(visitor),
        tag("script", src=address_of("keys.js"), defer=""),
        class_="ui",
    )
    text = f"<!DOCTYPE html>\n{tag('html', _head(title, project), content, lang='en')}\n"
    return Page(body=text.encode(), status=status)


def _head(title: str, project: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", " · ".join(part for part in (title, project, "Stepdown") if part)),
        tag("link", rel="stylesheet", href=address_of("style.css")),
        tag("link", rel="icon", href="data:,"),
    )


def _header(project: str, here: str, visitor: Visitor) -> Markup:
    name = tag("a", tag("b", "Stepdown"), Markup(" "), tag("span", project), href=PREFIX)
    links = [
        tag("li", tag("a", text, href=where, aria_current="page" if where == here else None))
        for text, where in PLACES
    ]
    nav = tag("nav", tag("ul", *links), aria_label="Dashboard")
    return tag("header", tag("p", name, class_="brand"), nav, _door(visitor), class_="top")


def _door(visitor: Visitor) -> Markup:
    if not visitor.has_key:
        return tag("p", "read only", class_="door")
    if not visitor.may_write:
        return tag("p", tag("a", "Sign in", href=SIGN_IN), class_="door")
    if not visitor.form_token:
        return Markup()
    return form(SIGN_OUT, visitor, tag("button", "Sign out", type="submit"), class_="door")


def form(action: str, visitor: Visitor, *children: Markup, **attributes: str | None) -> Markup:
    """Return a form that is sent by POST, with the visitor's token."""
    token = tag("input", type="hidden", name="form_token", value=visitor.form_token)
    return tag("form", token, *children, method="post", action=action, **attributes)


def _footer(visitor: Visitor) -> Markup:
    said = [_FOOTNOTE]
    if not visitor.has_key:
        said.append("Read only: this gateway has no key, so nothing can be changed here.")
    return tag("footer", *(tag("p", line) for line in said))


def badge(state: str) -> Markup:
    """Return the state of a guarantee as a word with a sign; colour is not its only mark."""
    tone, sign = _STATES.get(state, ("plain", "–"))
    return tag("span", tag("span", sign, aria_hidden="true"), f" {state}", class_=f"badge {tone}")


def alert(text: str, tone: str = "warn") -> Markup:
    """Return a sentence that stands out."""
    signs = {"good": "✓", "bad": "✗", "warn": "!", "plain": "i"}
    names = {"good": "Good", "bad": "Bad", "warn": "Warning", "plain": "Note"}
    sign = tag("span", signs[tone], class_="sign", aria_hidden="true")
    return tag("p", sign, tag("span", f"{names[tone]}: ", class_="sr"), text, class_=f"tone {tone}")


def listed(pairs: list[tuple[str, str]]) -> Markup:
    """Return label-value pairs."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs),
        class_="facts",
    )  # fmt: skip


def heading(title: str, *beside: str) -> Markup:
    """Return the title of a page with what stands under it."""
    return join([tag("h1", title), *(tag("p", text, class_="subtitle") for text in beside)])


@cache
def asset(name: str) -> Page | None:
    """Return one of the two files, None where there is none of this name."""
    if name not in _KINDS:
        return None
    return Page(body=_content(name).encode(), kind=_KINDS[name], lasting=True)


@cache
def address_of(name: str) -> str:
    """Return the address of a file; it changes with the content, so a browser may keep it."""
    return f"{PREFIX}/{name}?v={sha256(_content(name).encode()).hexdigest()[:12]}"


@cache
def _content(name: str) -> str:
    here = files("stepdown.adapters.render")
    return "\n".join(
        here.joinpath(*filter(None, (folder, file))).read_text("utf-8")
        for folder, file in _PARTS[name]
    )
