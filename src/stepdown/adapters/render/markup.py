"""Build HTML and SVG that is escaped by construction: a plain str can never become markup."""

from collections.abc import Iterable
from html import escape

from stepdown.adapters.render.printable import printable

_VOID = frozenset({"input", "link", "meta"})

Attribute = str | int | float | None


class Markup(str):
    """Text that is HTML already. Everything made from it by str methods is plain text again."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """Return an element; children that are not Markup, and all attributes, are escaped.

    `class_` and `aria_label` become `class` and `aria-label`; an attribute that is None is left
    out, a float is written with at most two decimals.
    """
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{head}>")
    return Markup(f"<{name}{head}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Put parts next to each other, escaping those that are not Markup."""
    return Markup("".join(map(_safe, parts)))


def _safe(part: str) -> str:
    return part if isinstance(part, Markup) else escape(printable(part), quote=False)


def _attribute(key: str, value: Attribute) -> str:
    if value is None:
        return ""
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {key.strip("_").replace("_", "-")}="{escape(printable(text), quote=True)}"'
