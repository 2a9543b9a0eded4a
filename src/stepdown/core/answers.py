"""When two answers count as the same: the key under which tiers are compared.

It knows no task: a label, a number, a JSON object and a sentence all get a key. Whether an answer
is right is a scorer's business. Two keys that differ for one answer cost an agreement; one key for
two answers would break a promise, so in doubt the keys differ.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

# A currency or sign, digits without a leading zero (commas only between thousands), a fraction.
NUMBER = re.compile(r"([-$€£]*)([1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]*|0)(\.[0-9]+)?")
DIGIT = re.compile(r"\d")


def answer_key(answer: str) -> str:
    """Return the key of an answer.

    JSON: keys sorted, every value to the letter, numbers as they were written; calls of functions
    (`tool_answer`) in any order, since they are asked for at once. A plain number:
    without commas between thousands and without a fraction of zeros. Other text: in NFC, without
    regard to white space and one final full stop, and to case unless it holds a digit or a word
    of mixed case (`mW`, `A1b`), which name things.
    """
    if answer.lstrip()[:1] in ("{", "["):
        return _json(answer)
    text = " ".join(unicodedata.normalize("NFC", answer).split())
    if text.endswith(".") and not text.endswith("..") and len(text) > 1:
        text = text[:-1].rstrip()
    if DIGIT.search(text):
        return _number(text)
    return text.lower() if all(map(_plain, text.split())) else text


def _plain(word: str) -> bool:
    """Say whether a word is written in one case, or with a capital in front."""
    return word.islower() or word.isupper() or word[1:].islower() or not word.strip("'-,;:!?()")


def _number(text: str) -> str:
    found = NUMBER.fullmatch(text)
    if found is None:
        return text
    sign, whole, fraction = found.groups(default="")
    return sign + whole.replace(",", "") + ("" if not fraction.strip(".0") else fraction)


def _json(answer: str) -> str:
    """Return JSON with sorted keys; what is no JSON is compared to the letter."""
    try:
        found = _DECODER.decode(answer)
        if isinstance(found, list) and len(found) > 1 and all(map(_is_call, found)):
            found.sort(key=lambda call: msgspec.json.encode(call, order="sorted"))
        return msgspec.json.encode(found, order="sorted").decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return answer


def _is_call(found: object) -> bool:
    return isinstance(found, dict) and found.keys() == {"name", "arguments"}


def _as_written(number: str) -> msgspec.Raw:
    """Keep a number with a fraction or an exponent to the last digit."""
    return msgspec.Raw(number.encode())


_DECODER = msgspec.json.Decoder(float_hook=_as_written)
