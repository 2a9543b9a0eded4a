"""A judge: a tier that scores answers, by a rubric of named grades or beside another answer.

What it is asked, and how its verdict is read, is in `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

FIRST, SECOND, TIE = "first", "second", "tie"
WORTH: Mapping[str, float] = {FIRST: 1.0, TIE: 0.5, SECOND: 0.0}  # of the answer shown first


class Judge(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tier with a rubric. `grades` maps the words of a rubric judge to scores 0..1.

    A pairwise judge sets an answer beside the ceiling's or the reference, in both orders. A new
    wording is a new `version`. `repeats` asks again; `human` is where people's grades stand in the
    data, by which the judge itself is measured.
    """

    tier: str
    name: str = ""
    kind: Literal["rubric", "pairwise"] = "rubric"
    rubric: str = ""
    rubric_file: str | None = None
    grades: Mapping[str, float] = {}
    against: Literal["ceiling", "reference"] = "ceiling"
    version: str = "1"
    repeats: int = 1
    temperature: float = 0.0
    max_tokens: int = 512
    human: str | None = None

    def __post_init__(self) -> None:
        """Refuse a judge that could not tell answers apart."""
        if self.kind == "rubric":
            _check_grades(self.grades)
        elif self.grades:
            raise ValueError("a pairwise judge says first, second or tie; it takes no `grades`")
        if self.repeats < 1 or self.max_tokens < 1 or not 0 <= self.temperature <= 2:
            raise ValueError(
                "a judge needs repeats and max_tokens of 1 or more and a temperature from 0 to 2, "
                f"got {self.repeats}, {self.max_tokens} and {self.temperature}"
            )

    @property
    def needs_no_reference(self) -> bool:
        """Whether rows without a right answer can be judged too."""
        return self.kind == "rubric" or self.against == "ceiling"

    @property
    def words(self) -> tuple[str, ...]:
        """What it may say."""
        return tuple(self.grades) if self.kind == "rubric" else tuple(WORTH)

    def worth(self, word: str) -> float:
        """Return the score of a word; of a pairwise judge that of the answer shown first."""
        return float(self.grades[word] if self.kind == "rubric" else WORTH[word])

    @property
    def binary(self) -> bool:
        """Whether only 0 and 1 can occur."""
        whole = set(self.grades.values()) <= {0.0, 1.0}
        return self.kind == "rubric" and whole and self.repeats == 1


def _check_grades(grades: Mapping[str, float]) -> None:
    if len(set(grades.values())) < 2:
        raise ValueError(
            "a rubric judge needs `grades` with at least two scores, such as "
            "{ good = 1.0, fair = 0.5, bad = 0.0 }"
        )
    wrong = {word: score for word, score in grades.items() if not 0 <= score <= 1 or not word}
    if wrong:
        raise ValueError(f"grades must be words with scores from 0 to 1, got {wrong}")
