"""When two answers count as the same: the key under which tiers are compared.

It knows no task: a label, a number, a JSON object and a sentence all get a key. Whether an answer
is right is a scorer's business.
"""

from __future__ import annotations

import msgspec


def answer_key(answer: str) -> str:
    """Return the key of an answer: JSON with sorted keys, a number in its shortest form, else text
    without regard to case, white space and a final full stop.
    """
    text = " ".join(answer.split()).casefold()
    if text[:1] in ("{", "["):
        return _canonical(answer, text)
    return _number(text) or text.rstrip(".")


def _canonical(answer: str, otherwise: str) -> str:
    try:
        return msgspec.json.encode(msgspec.json.decode(answer), order="sorted").decode().casefold()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return otherwise


def _number(text: str) -> str | None:
    """Return the shortest form of a plain decimal number, None when it is none.

    A leading zero is kept: `007` names something, it does not count.
    """
    bare = text.removeprefix("$").replace(",", "")
    digits = bare.removeprefix("-").replace(".", "", 1)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return None
    if bare.lstrip("-").startswith("0") and not bare.lstrip("-").startswith("0.") and bare != "0":
        return None
    return repr(float(bare))
