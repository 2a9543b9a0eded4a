"""Hide secrets and obvious personal data in a text: what a report or a fixture must never show.

It knows shapes, not meaning: keys, tokens, passwords that are named as such, e-mail addresses,
phone numbers, cards, bank accounts, addresses of machines. Names of people and places have no
shape and stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_WORD_BEFORE = r"(?<![A-Za-z0-9])"

# Shapes that vendors document for their keys, then secrets that are named as such.
_KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    "|" + _WORD_BEFORE + r"(?:"
    r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{12,}"  # OpenAI, Anthropic, Stripe, LiteLLM, Langfuse
    r"|(?:gsk|hf|r8|pplx|fw|xai|nvapi|lsv2|dop_v1|glpat|npm|pypi|shpat|whsec)[-_][A-Za-z0-9_-]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|(?:AKIA|ASIA|AROA|ABIA)[A-Z0-9]{12,}"
    r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"  # JSON web tokens
    r")"
)
_NAMED = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_ ]?key|access[-_ ]?key|"
    r"client[-_ ]?secret|authorization|credential)s?[\"']?\s*(?:[:=]|(?<=password)\s+is\b)\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?)(?!<)([^\s\"',;]{6,})"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{16,})")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*:)([^\s/@]+)(@)")
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?!\w|[.-]\d)")
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_IP = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)"
)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:"
    r"\+\d{1,3}[ ./-]?(?:\(\d{1,5}\)[ ./-]?)?\d(?:[ ./-]?\d){5,12}"
    r"|\(\d{2,5}\)[ ./-]?\d{2,4}(?:[ ./-]?\d{2,4}){1,3}"
    r"|00\d{1,3}[ ./-]\d(?:[ ./-]?\d){5,12}"
    r"|0\d{2,4}[ /-]\d{2,4}(?:[ -]?\d{2,4}){1,3}"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"
    r")(?![\w-])"
)
_OPAQUE = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{32,}={0,2}(?![A-Za-z0-9+/_=-])")


def mask(text: str, instead: str | None = None) -> str:
    """Return the text with what must not be shown replaced by `<key>`, `<email>`, `<card>`, ...

    With `instead` all of it is replaced by that.
    """
    if len(text) < 6:
        return text

    def sign(kind: str) -> str:
        return (f"<{kind}>" if instead is None else instead).replace("\\", r"\\")

    text = _KEYS.sub(sign("key"), text)
    text = _USERINFO.sub(rf"\g<1>{sign('secret')}\g<3>", text)
    text = _NAMED.sub(rf"\g<1>{sign('secret')}", text)
    text = _BEARER.sub(rf"\g<1>{sign('secret')}", text)
    text = _EMAIL.sub(sign("email"), text)
    text = _IBAN.sub(_if(_is_iban, sign("iban")), text)
    text = _SSN.sub(sign("ssn"), text)
    text = _IP.sub(sign("ip"), text)
    text = _CARD.sub(_if(_is_card, sign("card")), text)
    text = _PHONE.sub(sign("phone"), text)
    return _OPAQUE.sub(_if(_is_opaque, sign("key")), text)


def masked(value: Any) -> Any:
    """Return plain data (JSON's own types) with every text in it masked, names of fields too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {masked(key): masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def _if(test: Callable[[str], bool], instead: str) -> Callable[[re.Match[str]], str]:
    return lambda found: instead if test(found[0]) else found[0]


def _is_card(text: str) -> bool:
    """Tell whether the check digit is right. Source: ISO/IEC 7812-1, annex B (Luhn)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Tell whether the check digits are right. Source: ISO 13616, mod 97-10."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _is_opaque(text: str) -> bool:
    """Tell a random-looking string from a long word or path: it mixes letters and digits."""
    kinds = (any(map(str.isdigit, text)), any(map(str.isalpha, text)))
    return all(kinds) and sum(map(str.isdigit, text)) >= 4 and text.count("/") < 3
