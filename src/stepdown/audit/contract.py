"""Infer a step's task contract from its calls: what stands around the input and the answer.

What it returns was checked on the calls that it was inferred from; a template that does not fit
nearly all of them is not returned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from stepdown.audit.rules import Rules
from stepdown.audit.skeleton import joined, skeleton
from stepdown.audit.tally import Seen
from stepdown.core.contract import ANSWER, INPUT, SYSTEM_ROLES, Contract
from stepdown.core.pattern import OPEN, end_of, found_after, start_of
from stepdown.core.request import Message
from stepdown.core.usage_log import LoggedCall

# A template ends and begins at a sign, so that letters which all inputs share stay in the input.
_BEFORE = frozenset(" \t\n\"'`:=>([{|#*-")
_AFTER = frozenset(" \t\n\"'`<)]}|#*-")


def infer_contract(
    calls: Iterable[LoggedCall | Seen], rules: Rules | None = None
) -> Contract | None:
    """Return the contract that the calls of one step follow, None when they follow none.

    None: a call without content is left out; fewer than two are left, or the last message is not
    the user's in nearly all calls. Where other messages stand before it in more than a few calls
    (turns, worked examples), the contract takes many turns.
    """
    limits = rules or Rules()
    seen = [content for content in map(_content, calls) if content is not None]
    single = [content for content in seen if _is_plain(content)]
    many = len(single) < limits.matches * len(seen)
    plain = [content for content in seen if _ends_with_user(content)] if many else single
    if len(plain) < 2 or len(plain) < limits.matches * len(seen):
        return None
    answers = [content.answer for content in plain]
    contract = Contract(
        user=_user_template(plain, limits),
        system=_system(plain, limits),
        output=_output_template(answers, limits),
        turns="many" if many else "one",
    )
    fits = sum(contract.take_input(content.messages) is not None for content in plain)
    return contract if fits >= limits.matches * len(plain) else None


def labels_of(answers: Counter[str] | None, contract: Contract | None) -> Counter[str] | None:
    """Return the canonical answers with their counts, most frequent first; None: not bounded."""
    if not answers:
        return None
    found: Counter[str] = Counter()
    for answer, count in answers.items():
        label = contract.parse(answer) if contract else answer.strip()
        found[answer.strip() if label is None else label] += count
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return Counter(dict(ordered))


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, with or without a code fence, or None."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = msgspec.json.decode(text[start : end + 1])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _content(call: LoggedCall | Seen) -> Seen | None:
    if isinstance(call, Seen):
        return call
    if not call.messages or call.answer is None or call.status != "ok":
        return None
    return Seen(call.messages, call.answer, call.tools)


def _is_plain(content: Seen) -> bool:
    """Tell whether the request is one user message of text, with or without a system prompt."""
    *before, last = content.messages
    system = all(message.role in ("system", "developer") for message in before)
    return system and last.role == "user" and isinstance(last.content, str)


def _ends_with_user(content: Seen) -> bool:
    last = content.messages[-1]
    return last.role == "user" and last.is_text


def _system(plain: Sequence[Seen], rules: Rules) -> str | None:
    """Return the system prompt, with open places where a variable of the caller's stands."""
    prompts = Counter(system_of(content.messages) for content in plain)
    (prompt, count), *_ = sorted(prompts.items(), key=lambda item: (-item[1], item[0]))
    if count >= rules.matches * len(plain):
        return prompt or None
    parts = skeleton(list(prompts))
    said = sum(len(part.split()) for part in parts)
    middle = sorted(len(text.split()) for text in prompts)[len(prompts) // 2]
    return joined(parts) if said >= max(rules.fixed_words, rules.fixed * middle) else None


def system_of(messages: Sequence[Message]) -> str:
    """Return all that the system says in a request."""
    return " ".join(m.text for m in messages if m.role in SYSTEM_ROLES)


def _user_template(plain: Sequence[Seen], rules: Rules) -> str:
    texts = sorted({content.user for content in plain})
    if len(texts) < rules.template_inputs:
        return INPUT
    parts = skeleton(texts)
    values = [slots for text in texts if (slots := _values(parts, text)) is not None]
    if len(parts) < 2 or len(values) < rules.matches * len(texts):
        return INPUT
    place = _input_place(list(zip(*values, strict=True)))
    marks = [INPUT if slot == place else OPEN for slot in range(len(parts) - 1)]
    template = parts[0] + "".join(map("".join, zip(marks, parts[1:], strict=True)))
    return template if template.count(INPUT) == 1 else INPUT


def _values(parts: Sequence[str], text: str) -> tuple[str, ...] | None:
    """Return what stands in the open places of a text, None where it is not of the template."""
    at, found = start_of(parts[0], text), []
    end = end_of(parts[-1], text)
    for part in parts[1:-1]:
        after = None if at is None else found_after(part.split(), text, at)
        if at is None or after is None:
            return None
        found.append(text[at : after - len(part.strip())].strip())
        at = after
    if at is None or end is None or at > end:
        return None
    return (*found, text[at:end].strip())


def _input_place(slots: Sequence[Sequence[str]]) -> int:
    """Return which open place holds the input: of the most varied ones the longest, else the last.

    Names, dates and worked examples repeat; the message that a step is about seldom does.
    """
    different = [len(set(values)) for values in slots]
    varied = [slot for slot, n in enumerate(different) if 10 * n >= 9 * max(different)]
    length = {slot: sum(map(len, slots[slot])) for slot in varied}
    return max(slot for slot in varied if 3 * length[slot] >= 2 * max(length.values()))


def _output_template(answers: Sequence[str], rules: Rules) -> str:
    objects = [found for found in map(json_object, answers) if found is not None]
    if len(objects) < len(answers):
        texts = sorted(set(answers))
        template = _around(texts, ANSWER) if len(texts) > 1 else ANSWER
    elif _is_single(objects):
        template = _single_field(answers)
    else:
        template = _fenced(answers)
    return template if _fits(template, answers, rules) else ANSWER


def _is_single(objects: Sequence[dict[str, Any]]) -> bool:
    keys = {tuple(found) for found in objects}
    return len(keys) == 1 and len(next(iter(keys))) == 1


def _single_field(answers: Sequence[str]) -> str:
    """Return the commonest wrapping of an object with one field: `{"intent": "{answer}"}`."""
    wrapped = Counter(found for found in map(_wrapping, answers) if found is not None)
    return min(wrapped, key=lambda name: (-wrapped[name], name)) if wrapped else ANSWER


def _wrapping(answer: str) -> str | None:
    value = next(iter((json_object(answer) or {"": None}).values()))
    written = str(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
    before, found, after = answer.rpartition(written)
    return f"{before}{ANSWER}{after}" if found and written else None


def _fenced(answers: Sequence[str]) -> str:
    """Return what stands around whole JSON objects: nothing, or a code fence."""
    around = Counter((text[: text.index("{")], text[text.rindex("}") + 1 :]) for text in answers)
    before, after = min(around, key=lambda pair: (-around[pair], pair))
    return f"{before}{ANSWER}{after}"


def _fits(template: str, answers: Sequence[str], rules: Rules) -> bool:
    if template.count(ANSWER) != 1:
        return False
    parsed = sum(bool(Contract(output=template).parse(answer)) for answer in answers)
    return parsed >= rules.matches * len(answers)


def _around(texts: Sequence[str], mark: str) -> str:
    """Return the common beginning and end of different texts, with `mark` between them."""
    before = _common_start(texts)
    rest = [text[len(before) :] for text in texts]
    after = _common_start([text[::-1] for text in rest])[::-1]
    template = f"{_cut_back(before)}{mark}{_cut_forward(after)}"
    return template if template.count(mark) == 1 else mark


def _common_start(texts: Sequence[str]) -> str:
    """Return the letters that all texts begin with; the first and last in order bound the rest."""
    least, most = min(texts), max(texts)
    same = 0
    while same < len(least) and least[same] == most[same]:
        same += 1
    return least[:same]


def _cut_back(before: str) -> str:
    while before and before[-1] not in _BEFORE:
        before = before[:-1]
    return before


def _cut_forward(after: str) -> str:
    while after and after[0] not in _AFTER:
        after = after[1:]
    return after
