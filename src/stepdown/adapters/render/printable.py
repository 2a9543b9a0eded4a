"""Make text that strangers wrote safe to show: no control characters, no lone surrogates."""

import re

# C0 and C1 controls (escape sequences), lone surrogates, noncharacters, and the marks that
# reorder text on the screen (Unicode 16, UAX #9) so that a label cannot pose as another.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """Return `text` with every unsafe character replaced; tabs and line ends are kept."""
    return _UNSAFE.sub(_REPLACEMENT, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return `text` printable and on one line, with single spaces."""
    return " ".join(printable(text).split())
