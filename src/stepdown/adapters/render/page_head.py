"""The head of a page: its title, its one style sheet, and a policy that allows nothing else."""

from stepdown.adapters.render.markup import Markup, tag


def page_head(title: str, style: str, policy: str) -> Markup:
    """Return the head; `policy` is the content security policy, `style` the whole style sheet."""
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
