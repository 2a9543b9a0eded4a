"""The question that labels shall decide: which policy of the path may replace the ceiling.

Only rows on which a policy's answer differs from the ceiling's can lose anything, so only these
need a label. It does not know who labels, or how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stepdown.certify.case import Case
from stepdown.certify.search import Searched
from stepdown.core.answers import answer_key
from stepdown.core.replay_array import UNKNOWN, Panel, replay_array
from stepdown.stats.labelling import Question
from stepdown.stats.labels import Labels

Codes = NDArray[np.int32]


class Delivered(Struct, frozen=True):
    """What each policy of the path delivers on each row: codes of answers, (policies, n).

    `keys` spells a code (`answers.answer_key`). Row 0 is the ceiling.
    """

    codes: Codes
    keys: Mapping[int, str]

    def keys_of(self, row: int) -> tuple[str, ...]:
        """Return the different answers that the policies deliver on a row, the ceiling's first."""
        codes = dict.fromkeys(int(code) for code in self.codes[:, row])
        return tuple(self.keys[code] for code in codes if code != UNKNOWN)


def delivered(along: Sequence[Searched], table: Panel) -> Delivered:
    """Return what the policies of the path deliver on the rows of `table`."""
    codes = np.array([_codes(one, table) for one in along], dtype=np.int32)
    keys: dict[int, str] = {}
    for tier, texts in table.texts.items():
        for code, text in zip(table.answers[tier].tolist(), texts, strict=True):
            if code != UNKNOWN and code not in keys and text is not None:
                keys[code] = answer_key(text)
    return Delivered(codes, keys)


def _codes(one: Searched, table: Panel) -> Codes:
    done = replay_array(one.policy, table, one.derived)
    found = np.full(table.n, UNKNOWN, dtype=np.int32)
    for tier in done.answers:
        if tier is not None and tier in table.answers:
            rows = done.answered_by(tier)
            found[rows] = table.answers[tier][rows]
    return found


def question_of(case: Case, made: Delivered, start: int, second_start: int | None) -> Question:
    """Return the question as the test will ask it. A row that a policy cannot answer disagrees."""
    agree = (made.codes == made.codes[0]) & (made.codes != UNKNOWN)
    agree[0] = True
    return Question(
        agree=agree,
        epsilon=case.task.promise.limit(case.reference),
        delta=case.delta,
        start=start,
        second_start=second_start,
        groups=case.rows.codes,
        scores="binary" if case.binary else "graded",
        seed=case.rows.seed,
    )


def labels_from(
    made: Delivered, query_ids: Sequence[str], verdicts: Mapping[str, Mapping[str, bool]]
) -> Labels:
    """Return the labels of the rows as arrays: known where every delivered answer was judged.

    Where the ceiling gave no answer nothing can be lost against it, so no label is needed.
    """
    policies, n = made.codes.shape
    known, difference = made.codes[0] == UNKNOWN, np.zeros((policies, n))
    for row, query in enumerate(query_ids):
        said = verdicts.get(query, {})
        if known[row] or (said and all(key in said for key in made.keys_of(row))):
            known[row] = True
            right = [_right(made, said, int(code)) for code in made.codes[:, row]]
            difference[:, row] = np.array(right) - right[0]
    return Labels(known, difference)


def _right(made: Delivered, said: Mapping[str, bool], code: int) -> float:
    return 0.0 if code == UNKNOWN else float(said.get(made.keys[code], False))
