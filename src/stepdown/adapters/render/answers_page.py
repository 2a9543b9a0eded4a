"""Answers beside their references as one HTML page with filters: one small script, no network.

Its policy (CSP) allows nothing but the page's own style sheet and script, by their hashes. Without
the script every answer is shown.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

from stepdown.adapters.render.figures import number
from stepdown.adapters.render.markup import Markup, join, tag
from stepdown.adapters.render.page_head import page_head
from stepdown.core.answered import Answered

MOST_CHOICES = 200  # values of a filter
OUTCOMES = {"right": "full score", "wrong": "less than the full score", "unscored": "not scored"}


def answers_page(
    title: str, facts: Sequence[tuple[str, str]], answers: Sequence[Answered], note: str = ""
) -> str:
    """Return the whole page; `note` stands under the facts."""
    pairs = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts]
    head = [tag("h1", title), tag("dl", *pairs, class_="facts")]
    head += [tag("p", note, class_="tone warn")] if note else []
    body = tag(
        "body",
        tag("header", *head),
        _filters(answers),
        tag("main", *(_card(place, one) for place, one in enumerate(answers, 1))),
        tag("script", Markup(_script())),
        class_="answers",
    )
    return (
        f"<!DOCTYPE html>\n{tag('html', page_head(title, _style(), _policy()), body, lang='en')}\n"
    )


@cache
def _style() -> str:
    here = files(__package__)
    return "\n".join(here.joinpath(name).read_text("utf-8") for name in ("page.css", "answers.css"))


@cache
def _script() -> str:
    return files(__package__).joinpath("answers.js").read_text("utf-8")


@cache
def _policy() -> str:
    style, script = (
        b64encode(sha256(text.encode()).digest()).decode() for text in (_style(), _script())
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _filters(answers: Sequence[Answered]) -> Markup:
    outcomes = Counter(outcome(one) for one in answers)
    choices = [
        _choice("tier", "Tier", ((t, t) for t in dict.fromkeys(one.tier for one in answers))),
        _choice("outcome", "Score", ((k, v) for k, v in OUTCOMES.items() if outcomes[k])),
        _choice("label", "Reference", _common(one.label for one in answers)),
        _choice("failure", "Failure", _common(one.failure for one in answers)),
    ]
    search = tag(
        "label",
        "Text ( / )",
        tag("input", type="search", name="text", autocomplete="off"),
    )
    return tag(
        "form",
        *[choice for choice in choices if choice],
        search,
        tag("button", "Show all", type="reset"),
        tag("output", "", role="status"),
        class_="filters",
        hidden="",
        aria_label="Filters; j and k move between answers",
    )


def _choice(name: str, title: str, values: Iterable[tuple[str, str]]) -> Markup:
    """Return a drop-down, nothing where there is no choice."""
    listed = list(values)
    if len(listed) < 2 and name != "failure":
        return Markup()
    if not listed:
        return Markup()
    options = [tag("option", "any", value="")]
    options += [tag("option", shown, value=value) for value, shown in listed]
    return tag("label", title, tag("select", *options, name=name))


def _common(values: Iterable[str | None]) -> list[tuple[str, str]]:
    counts = Counter(value for value in values if value is not None)
    if len(counts) > MOST_CHOICES or (counts and max(counts.values()) == 1 and len(counts) > 12):
        return []
    return [(value, f"{value} ({n:,})") for value, n in sorted(counts.items())]


def outcome(one: Answered) -> str:
    """Return which filter of the score an answer belongs to."""
    return "unscored" if one.right is None else "right" if one.right else "wrong"


def _card(place: int, one: Answered) -> Markup:
    kind = outcome(one)
    score = "not scored" if one.score is None else f"{one.score:.2f}"
    key = f"answer-{place}"
    head = tag(
        "h2",
        one.id,
        tag("span", f"{'✓ ' if kind == 'right' else ''}{score}", class_=f"score {kind}"),
        tag("span", " · ".join(_meta(one)), class_="meta"),
        id=key,
    )
    return tag(
        "article",
        head,
        tag("dl", *_lines(one)),
        tabindex="-1",
        aria_labelledby=key,
        data_tier=one.tier,
        data_outcome=kind,
        data_label=one.label or "",
        data_failure=one.failure or "",
    )


def _meta(one: Answered) -> list[str]:
    found = [one.tier]
    found += [f"repeat {one.repeat + 1}"] if one.repeat else []
    found += [f"segment {one.segment}"] if one.segment else []
    found += [f"{one.images} images"] if one.images else []
    found += [number(one.latency_s, "s")] if one.latency_s is not None else []
    found += [number(one.cost_usd, "usd")] if one.cost_usd is not None else []
    return [*found, "kept by an earlier run"] if one.reused else found


def _lines(one: Answered) -> list[Markup]:
    lines = [
        ("before", one.before),
        ("asked", one.input),
        ("reference", "none" if one.reference is None else one.reference),
        ("answer", "none" if one.answer is None else one.answer),
        ("failure", one.failure or ""),
        ("why", one.detail),
    ]
    shown = [(name, text) for name, text in lines if text]
    return [
        join([tag("dt", name), tag("dd", text, class_="code" if _is_json(text) else None)])
        for name, text in shown
    ]


def _is_json(text: str) -> bool:
    return text[:1] in ("{", "[") and text[-1:] in ("}", "]")
