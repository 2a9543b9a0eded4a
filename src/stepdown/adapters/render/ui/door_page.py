"""The sign-in page, and pages that say what went wrong."""

from __future__ import annotations

from stepdown.adapters.render.markup import tag
from stepdown.adapters.render.ui.frame import alert, heading, page
from stepdown.ports.pages import PREFIX, SIGN_IN, Page, Visitor

_TITLES = {
    400: "That cannot be done",
    403: "Not allowed",
    404: "There is nothing here",
    500: "Something failed",
}


def sign_in_page(back: str, refused: str, visitor: Visitor, project: str) -> Page:
    """Return the form for the key; `back` is where the browser goes on."""
    if visitor.may_write:
        return Page(goto=PREFIX)
    if not visitor.has_key:
        return problem_page(404, "This gateway has no key, so there is nothing to sign in to.",
                            visitor, project)  # fmt: skip
    field = tag(
        "input", type="password", name="key", id="key", required="",
        autocomplete="current-password",
    )  # fmt: skip
    form = tag(
        "form",
        tag("input", type="hidden", name="next", value=back),
        tag("label", "API key of the gateway", field, for_="key"),
        tag("button", "Sign in", type="submit", class_="main"),
        method="post",
        action=SIGN_IN,
        class_="filters",
    )
    said = (
        "The key is sent once and kept nowhere in the browser: a ticket that is good for 12 hours "
        "takes its place."
    )
    body = [heading("Sign in"), *([alert(refused, "bad")] if refused else []), form, tag("p", said)]
    return page("Sign in", *body, visitor=visitor, project=project)


def problem_page(status: int, message: str, visitor: Visitor, project: str) -> Page:
    """Return a page that says what went wrong."""
    title = _TITLES.get(status, "Something failed")
    body = [heading(title), alert(message, "bad" if status >= 500 else "warn"),
            tag("p", tag("a", "Back to the overview", href=PREFIX))]  # fmt: skip
    return page(title, *body, visitor=visitor, project=project, status=status)
