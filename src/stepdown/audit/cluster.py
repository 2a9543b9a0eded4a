"""Find the steps of calls that nobody named: by what their prompts always say, tools and answers.

The result does not depend on the order of the calls. Variables that show (numbers, dates,
addresses) are masked; those that do not are found because the rest of the prompt stays. What
differs in a few ways may be a variable or another step: the answers, the tools and whether both
stand in one session decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.audit.found import Found
from stepdown.audit.rules import Rules
from stepdown.audit.shape import Shape, Shapes, compare
from stepdown.audit.shingles import kept_shingles, shingles, words_of
from stepdown.audit.sketch import Hashes, hash64
from stepdown.audit.tree import LIMITS, Bools, leaves
from stepdown.core.request import Message

_USER_WORDS = 120
_MOST_COLUMNS = 6000
_TRIED = 60
_FEWEST = 8  # answers on each side of a split that rests on answers


class Form(Struct, frozen=True):
    """What of a request tells its step: masked words, tools, and the shape that it asks for.

    `text` is the system prompt with its slots; `key` is a digest of all of it.
    """

    system: tuple[str, ...]
    user: tuple[str, ...]
    tools: tuple[str, ...]
    asked: str
    key: int
    text: str

    @property
    def shingles(self) -> Hashes:
        """The shingles of both texts; those of different roles differ."""
        own = shingles(self.user, "user")
        return np.concatenate([kept_shingles(self.system, "system"), own])


class Seen(Struct, frozen=True):
    """One unnamed call, as discovery reads it."""

    form: Form
    shape: Shape
    session: int | None = None


def form_of(
    messages: Sequence[Message] | None, tools: Iterable[str] = (), asked: str = ""
) -> Form | None:
    """Return the form of a request, None when it says nothing."""
    said = messages or ()
    system = "\n".join(m.text for m in said if m.role in ("system", "developer")).strip()
    user = next((m.text for m in said if m.role == "user"), "")
    names = tuple(sorted(set(tools)))
    if not system and not user and not names:
        return None
    first, second = words_of(system), words_of(user)
    if system:  # then what the user writes is seldom the task
        second = second[:_USER_WORDS]
    key = hash64("\0".join((" ".join(first), " ".join(second), ",".join(names), asked)))
    return Form(first, second, names, asked, key, " ".join(first))


class _Group:
    """Rows that are one step, as far as is known."""

    def __init__(self, rows: list[int], calls: Sequence[Seen]) -> None:
        self.rows = rows
        self.shapes = Shapes()
        self.sessions: set[int] = set()
        for row in rows:
            self.shapes.add(calls[row].shape)
            if calls[row].session is not None:
                self.sessions.add(calls[row].session)  # type: ignore[arg-type]

    def merge(self, other: _Group) -> None:
        self.rows += other.rows
        self.shapes.merge(other.shapes)
        self.sessions |= other.sessions


def discover(calls: Sequence[Seen], rules: Rules) -> list[Found]:
    """Return the steps that some unnamed calls belong to, in an order of their own."""
    learnt = _learnt(calls, 2 * rules.learn)
    found = [step for facet in _facets(learnt, rules) for step in _in_facet(facet, rules)]
    return sorted({step.fingerprint: step for step in found}.values(), key=lambda s: s.fingerprint)


class StepIndex:
    """Tells which of the found steps a form belongs to."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = tuple(found)
        sets = [np.fromiter(sorted(step.always), dtype=np.uint64) for step in found]
        self._all = np.unique(np.concatenate([*sets, np.empty(0, np.uint64)]))
        self._has = np.zeros((len(sets), len(self._all)), dtype=bool)
        for place, own in enumerate(sets):
            self._has[place, np.searchsorted(self._all, own)] = True
        self._sizes = self._has.sum(axis=1)
        self._known: dict[int, int | None] = {}
        self._prompts: dict[tuple[str, ...], NDArray[np.int64]] = {}

    def find(self, form: Form) -> int | None:
        """Return the place of the step that a form belongs to, None when it fits none."""
        if form.key not in self._known:
            if len(self._known) > 20_000:
                self._known.clear()
            self._known[form.key] = self._nearest(form)
        return self._known[form.key]

    def _nearest(self, form: Form) -> int | None:
        """Return the step that is mostly there and says most; the first of equal ones."""
        common = self._of_system(form.system) + self._common(shingles(form.user, "user"))
        share = np.where(self._sizes > 0, common / np.maximum(self._sizes, 1), 0.0)
        rated = np.where(share >= _MOSTLY, common + share / 2, 0.0)
        rated = np.where(self._sizes == 0, 0.01, rated)
        for place in np.argsort(-rated, kind="stable").tolist():
            step, fits = self.found[place], rated[place] >= 0.01
            if fits and step.asked == form.asked and step.tools in (form.tools, ANY_TOOLS):
                return int(place)
        return None

    def _of_system(self, system: tuple[str, ...]) -> NDArray[np.int64]:
        """Return what a system prompt shares with each step; prompts repeat."""
        if system not in self._prompts:
            if len(self._prompts) >= 512:
                self._prompts.clear()
            self._prompts[system] = self._common(shingles(system, "system"))
        return self._prompts[system]

    def _common(self, own: Hashes) -> NDArray[np.int64]:
        """Return how many of its shingles each step shares with a form."""
        common: NDArray[np.int64] = self._has[:, _places(self._all, own)].sum(axis=1)
        return common


ANY_TOOLS = ("*",)
_MOSTLY = 0.6  # share of what a step always says that its calls say at least


def _learnt(calls: Sequence[Seen], most: int) -> list[Seen]:
    """Return at most `most` calls of different forms, those with the smallest digests.

    Of one form a few calls are kept, because their answers tell.
    """
    by_form: dict[int, list[Seen]] = defaultdict(list)
    for call in calls:
        kept = by_form[call.form.key]
        if len(kept) < 40:
            kept.append(call)
    chosen = sorted(by_form)[:most]
    rows = [call for key in chosen for call in by_form[key]]
    return sorted(rows, key=lambda c: (c.form.key, c.shape.form, c.shape.detail, c.session or 0))


def _facets(calls: Sequence[Seen], rules: Rules) -> list[list[Seen]]:
    """Return calls by the tools and the shape that they ask for.

    One system prompt with very many lists of tools has a list that varies: it is one facet.
    """
    lists: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for call in calls:
        lists[call.form.system].add(call.form.tools)
    facets: dict[tuple[tuple[str, ...], str], list[Seen]] = defaultdict(list)
    for call in calls:
        many = len(lists[call.form.system]) > rules.variable_values
        facets[(ANY_TOOLS if many else call.form.tools, call.form.asked)].append(call)
    return [facets[key] for key in sorted(facets)]


def _in_facet(calls: list[Seen], rules: Rules) -> list[Found]:
    has, system, columns = _matrix(calls)
    rows = {call.form.key: place for place, call in enumerate(calls)}
    firsts = sorted(set(rows.values()))  # one row for each form
    place_of = {calls[row].form.key: i for i, row in enumerate(firsts)}
    members: dict[int, list[int]] = defaultdict(list)
    for row, call in enumerate(calls):
        members[place_of[call.form.key]].append(row)
    small = has[firsts]
    groups: list[_Group] = []
    for leaf in leaves(small, system):
        for part in _by_system(leaf.rows, firsts, calls, rules):
            own = [row for place in part for row in members[place]]
            groups += _by_answers(own, calls, has, system)
    merged = _merged(groups, calls, (has, system), rules)
    return [_found(group, calls, has, columns) for group in merged]


def _matrix(calls: Sequence[Seen]) -> tuple[Bools, Bools, tuple[int, ...]]:
    """Return which call has which shingle, which are of system prompts, and their digests."""
    forms = {call.form.key: call.form for call in calls}
    sets = {key: form.shingles for key, form in forms.items()}
    found, count = np.unique(np.concatenate(list(sets.values())), return_counts=True)
    least = 1 if len(forms) <= 12 else 2
    chosen = np.argsort(-count, kind="stable")[:_MOST_COLUMNS]
    columns = np.sort(found[chosen[count[chosen] >= least]])
    has = np.zeros((len(calls), len(columns)), dtype=bool)
    for row, call in enumerate(calls):
        has[row, _places(columns, sets[call.form.key])] = True
    system = np.zeros(len(columns), dtype=bool)
    for prompt in {form.system for form in forms.values()}:
        system[_places(columns, kept_shingles(prompt, "system"))] = True
    return has, system, tuple(columns.tolist())


def _places(columns: Hashes, own: Hashes) -> NDArray[np.intp]:
    """Return where in sorted columns some shingles stand, those that stand there."""
    if not len(columns):
        return np.empty(0, dtype=np.intp)
    places = np.minimum(np.searchsorted(columns, own), len(columns) - 1)
    found: NDArray[np.intp] = places[columns[places] == own]
    return found


def _by_system(
    places: Sequence[int], firsts: Sequence[int], calls: Sequence[Seen], rules: Rules
) -> list[list[int]]:
    """Return rows by their system prompt where it has few texts; many are one with a variable."""
    texts: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place in places:
        texts[calls[firsts[place]].form.system].append(place)
    if len(texts) > rules.variable_values:
        return [list(places)]
    return [texts[text] for text in sorted(texts)]


def _by_answers(rows: list[int], calls: Sequence[Seen], has: Bools, system: Bools) -> list[_Group]:
    """Return rows split by the words of the system prompt that change what is answered."""
    part = has[rows]
    share = part.mean(axis=0) if len(rows) else np.zeros(has.shape[1])
    balance = np.where(system & (share < 0.95), np.minimum(share, 1 - share), 0.0)
    at, tried = np.asarray(rows), set[bytes]()
    for column in np.argsort(-balance, kind="stable")[:_TRIED].tolist():
        if balance[column] * len(rows) < _FEWEST:
            break
        own = part[:, column]
        if (same := own.tobytes()) in tried:
            continue
        tried.add(same)
        sides = [at[own].tolist(), at[~own].tolist()]
        first, second = (_Group(side, calls) for side in sides)
        if compare(first.shapes, second.shapes) == "different":
            return [group for side in sides for group in _by_answers(side, calls, has, system)]
    return [_Group(list(rows), calls)]


def _merged(
    groups: list[_Group], calls: Sequence[Seen], matrix: tuple[Bools, Bools], rules: Rules
) -> list[_Group]:
    """Merge groups that are one step, the most alike first, until none are."""
    has, system = matrix
    groups = sorted(groups, key=lambda group: (-len(group.rows), group.rows[0]))
    groups = groups[: rules.most_groups]
    said = [_always(group, has) for group in groups]
    neutral = _neutral(groups, said)
    pairs = {
        (i, j): _likeness((groups[i], said[i]), (groups[j], said[j]), (neutral, system), rules)
        for j in range(len(groups))
        for i in range(j)
    }
    while pairs and max(pairs.values()) > 0:
        i, j = min(pairs, key=lambda pair: (-pairs[pair], pair))
        groups[i].merge(groups[j])
        said[i] = _always(groups[i], has)
        pairs = {pair: rate for pair, rate in pairs.items() if j not in pair}
        for a, b in [pair for pair in pairs if i in pair]:
            pairs[a, b] = _likeness(
                (groups[a], said[a]), (groups[b], said[b]), (neutral, system), rules
            )
        groups[j] = _Group([], calls)
    return [group for group in groups if group.rows]


def _neutral(groups: Sequence[_Group], said: Sequence[Bools]) -> Bools:
    """Return the shingles that groups with different answers share: they tell no step.

    They are what all prompts of a house say, and values that vary in more than one step.
    """
    classes: list[tuple[_Group, Bools]] = []
    for group, own in zip(groups, said, strict=True):
        home = next((c for c in classes if compare(c[0].shapes, group.shapes) != "different"), None)
        if home is None:
            classes.append((group, own.copy()))
        else:
            home[1][own] = True
    found: Bools = sum(every.astype(int) for _, every in classes) >= 2  # type: ignore[assignment]
    return found


def _always(group: _Group, has: Bools) -> Bools:
    found: Bools = has[group.rows].mean(axis=0) >= LIMITS.always
    return found


def _likeness(
    first: tuple[_Group, Bools],
    second: tuple[_Group, Bools],
    columns: tuple[Bools, Bools],
    rules: Rules,
) -> float:
    """Return how sure it is that two groups are one step, 0 when they are not."""
    (a, said_a), (b, said_b), (neutral, system) = first, second, columns
    told = compare(a.shapes, b.shapes)
    together = _together(a.sessions, b.sessions)
    if told in ("different", "unknown") or (together is not None and together > 0.3):
        return 0.0
    if _shared(said_a & system, said_b & system) < 1:  # then what users write is no matter
        said_a, said_b = said_a & system, said_b & system
    share = _shared(said_a, said_b)
    if told == "same" or (together is not None and together < 0.02):
        return share if share >= rules.alike_same else 0.0
    own_a, own_b = said_a & ~neutral, said_b & ~neutral
    if own_a.any() and own_b.any():
        share = _shared(own_a, own_b)
    return share if share >= rules.alike else 0.0


def _shared(first: Bools, second: Bools) -> float:
    """Return the share of the smaller one's shingles that the other has too."""
    least = min(int(first.sum()), int(second.sum()))
    return int((first & second).sum()) / least if least else float(first.any() == second.any())


def _together(first: set[int], second: set[int]) -> float | None:
    """Return the share of the rarer group's sessions that hold both, None where unknown."""
    least = min(len(first), len(second))
    return len(first & second) / least if least >= 5 else None


def _found(group: _Group, calls: Sequence[Seen], has: Bools, columns: Sequence[int]) -> Found:
    always = frozenset(columns[i] for i in np.flatnonzero(_always(group, has)).tolist())
    forms = [calls[row].form for row in group.rows]
    shown = min(forms, key=lambda form: (len(form.text), form.text))
    lists = {form.tools for form in forms}
    tools = shown.tools if len(lists) == 1 else ANY_TOOLS
    said = shown.text or " ".join(shown.user[:40])
    digest = hash64("\0".join((*map(str, sorted(always)), ",".join(tools), shown.asked)))
    return Found(f"{digest:016x}", said, tools, shown.asked, always)
