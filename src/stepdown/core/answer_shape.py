"""Read off an answer what needs no model: its length, its numbers, its sums, its form.

It knows no task. What a figure says about an answer being right is learned by `certify.verifier`;
a figure that an answer does not have (no sum to check, no JSON) is left out, not 0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise

READ = 2_000  # characters of a prompt, and of an answer from its end, that are read
SUMS = 8  # the last sums of an answer that are checked
SIDE = 48  # characters on the left of an equals sign that are read as a sum
NEAR = 1e-2  # relative error up to which a sum counts as right: answers round to cents
SUM_CHARACTERS = "0123456789.,+-*/x×÷·%$€£() \\"

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_RESULT = re.compile(r"[\s$€£]*(-?\d[\d,]*(?:\.\d+)?)(?:/(\d+))?(?![\d.]*\s*[-+*/x×÷%])")
_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?%?|[-+*/x×÷·()]")
_HEDGES = frozenset((
    "approximately", "about", "roughly", "around", "maybe", "perhaps", "possibly", "probably",
    "likely", "unclear", "uncertain", "assume", "assuming", "assumed", "assumption", "seem",
    "seems", "appear", "appears", "might", "could", "would", "however", "actually", "wait", "but",
    "unless", "depends", "unsure", "unknown", "rounded", "rounding", "round", "nearest", "≈"
))  # fmt: skip
_COMPARED = frozenset((
    "half", "twice", "third", "quarter", "double", "triple", "times", "more", "less", "fewer",
    "than", "most", "least", "larger", "smaller", "higher", "lower", "before", "after"
))  # fmt: skip
_REFUSALS = (
    "i'm sorry", "i am sorry", "i'm unable", "i am unable", "i cannot", "i can't", "as an ai",
    "cannot be determined", "i don't know", "i do not know", "not enough information",
)  # fmt: skip
ARITHMETIC = frozenset((
    "plus", "minus", "times", "divided", "equals", "no_sums", "longest_sum", "sums_right",
    "sums_wrong", "loose", "steps", "final_worked_out", "final_last_result", "fractions",
    "below_zero"
))  # fmt: skip
"""The figures that only answers with sums have: left out, what remains is general."""
_OPERATIONS = {"plus": " + ", "minus": " - ", "times": "*", "divided": "/"}
_ENDINGS = tuple(".!?:;)]}\"'`*0123456789")


def shape_signals(prompt: str, answer: str) -> dict[str, float]:
    """Return the figures of one answer under bare names that begin with `shape_`.

    Counts are logarithms (ln(1 + count)), shares and flags lie in 0..1.
    """
    prompt, answer = prompt[:READ], answer[-READ:]
    asked, said = _numbers(prompt), _numbers(answer)
    made = {**_asked(prompt, asked), **_form(answer), **_figures(asked, said)}
    made |= _sums(answer, asked, said)
    return {f"shape_{name}": value for name, value in made.items()}


def _numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text)]


def _asked(prompt: str, asked: Sequence[float]) -> dict[str, float]:
    """What makes a question long or involved, whoever answers."""
    words = prompt.lower().split()
    return {
        "prompt_words": math.log1p(len(words)),
        "prompt_numbers": math.log1p(len(asked)),
        "prompt_commas": math.log1p(prompt.count(",")),
        "prompt_sentences": math.log1p(prompt.count(". ")),
        "prompt_compared": math.log1p(len(_COMPARED.intersection(words))),
        "prompt_percent": float("%" in prompt or "percent" in words),
    }


def _form(answer: str) -> dict[str, float]:
    low, ending = answer.lower(), answer.rstrip()
    words, lines = low.split(), [line for line in low.splitlines() if line.strip()]
    found = {
        "words": math.log1p(len(words)),
        "lines": math.log1p(len(lines)),
        "hedges": math.log1p(len(_HEDGES.intersection(words))),
        "refusal": float(any(said in low for said in _REFUSALS)),
        "cut": float(bool(ending) and not ending.endswith(_ENDINGS)),
        "repeated": 1 - len(set(lines)) / len(lines) if lines else 0.0,
        "empty": float(not ending),
        "question": float("?" in answer),
        "brackets": math.log1p(answer.count("(")),
        "percent": math.log1p(answer.count("%")),
    }
    return found | _json(ending)


def _json(answer: str) -> dict[str, float]:
    bare = answer.lstrip()
    if bare[:1] not in ("{", "["):
        return {}
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return {"json": 0.0}
    return {"json": 1.0}


def _figures(asked: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """What the numbers of the answer have to do with those of the prompt."""
    found = {"numbers": math.log1p(len(said))}
    if asked:
        known = set(said)
        found["unused"] = sum(number not in known for number in asked) / len(asked)
    if said:
        last = said[-1]
        found["final_whole"] = float(last % 1 == 0)
        found["final_size"] = math.log1p(min(last, 1e15))
        found["final_copied"] = float(last in asked)
        found["final_repeated"] = math.log1p(said.count(last))
    return found


def _sums(answer: str, asked: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    """Check every `a op b = c`, and whether its numbers were given or worked out before."""
    parts = answer.split("=")[-SUMS - 1 :]
    found = {name: math.log1p(answer.count(sign)) for name, sign in _OPERATIONS.items()}
    found["equals"] = math.log1p(answer.count("="))
    read = [
        (_operands(left), result)
        for left, after in pairwise(parts)
        if (result := _result(after)) is not None
    ]
    if not read:
        return found | {"no_sums": 1.0}
    results = [result for _, result in read]
    return found | _checks(read) | _sources(read, asked) | _results(results, said)


Read = Sequence[tuple[Sequence[str], float]]


def _checks(read: Read) -> dict[str, float]:
    values = [(_evaluate(tokens), result) for tokens, result in read if tokens]
    known = [(value, result) for value, result in values if value is not None]
    longest = math.log1p(max(len(tokens) for tokens, _ in read))
    found = {"longest_sum": longest, "no_sums": float(not known)}
    if known:
        good = sum(abs(made - told) <= NEAR * max(1.0, abs(told)) for made, told in known)
        found["sums_right"] = good / len(known)
        found["sums_wrong"] = float(good < len(known))
    return found


def _sources(read: Read, asked: Sequence[float]) -> dict[str, float]:
    """The share of numbers in sums that were neither given nor worked out before."""
    known, total, loose = {*asked, 1.0, 2.0, 100.0}, 0, 0
    for tokens, result in read:
        used = [_plain(token) for token in tokens if token[0].isdigit()]
        total += len(used)
        loose += sum(number not in known for number in used)
        known.add(result)
    return {"loose": loose / total} if total else {}


def _results(results: Sequence[float], said: Sequence[float]) -> dict[str, float]:
    broken = sum(result % 1 != 0 for result in results)
    return {
        "steps": math.log1p(len(set(results))),
        "final_worked_out": float(said[-1] in results),
        "final_last_result": float(said[-1] == abs(results[-1])),
        "fractions": broken / len(results),
        "below_zero": float(min(results) < 0),
    }


def _result(text: str) -> float | None:
    match = _RESULT.match(text[:SIDE])
    if match is None:
        return None
    value, divisor = float(match[1].replace(",", "")), float(match[2] or 1)
    return value / divisor if divisor else None


def _operands(left: str) -> Sequence[str]:
    """Return the tokens of the sum that ends at an equals sign, none where there is no sum."""
    near = left[-SIDE:]
    tail = near[len(near.rstrip(SUM_CHARACTERS)) :]
    tokens = _TOKEN.findall(tail)
    return tokens if sum(token[0].isdigit() for token in tokens) > 1 else ()


def _plain(token: str) -> float:
    return float(token.removesuffix("%").replace(",", ""))


def _evaluate(tokens: Sequence[str]) -> float | None:
    """Return the value of a sum with the usual precedence, None where it is none."""
    reader = _Sum(tokens)
    try:
        value = reader.total()
    except (IndexError, ValueError, ZeroDivisionError):
        return None
    return value if reader.at == len(tokens) and math.isfinite(value) else None


class _Sum:
    """Read `+ - * /` and brackets; a bracket inside SIDE characters cannot nest deep."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.at = tokens, 0

    def total(self) -> float:
        value = self.product()
        while self.at < len(self.tokens) and self.tokens[self.at] in "+-":
            sign = 1.0 if self.take() == "+" else -1.0
            value += sign * self.product()
        return value

    def product(self) -> float:
        value = self.factor()
        while self.at < len(self.tokens) and self.tokens[self.at] in "*/x×÷·":
            divides = self.take() in "/÷"
            other = self.factor()
            value = value / other if divides else value * other
        return value

    def factor(self) -> float:
        part = self.take()
        if part == "-":
            return -self.factor()
        if part == "(":
            value = self.total()
            if self.take() != ")":
                raise ValueError(part)
            return value
        value = _plain(part)
        return value / 100 if part.endswith("%") else value

    def take(self) -> str:
        token = self.tokens[self.at]
        self.at += 1
        return token
