"""From a text to its fields: the value of each, and how likely it is right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from stepdown.errors import WeightsError
from stepdown.ports.encoder import TokenEncoder
from stepdown.train.extractor.candidates import Reach, Spans, spans_within, squashed
from stepdown.train.extractor.dense import token_vectors
from stepdown.train.extractor.hashing import features
from stepdown.train.extractor.model import Extractor, FieldCard
from stepdown.train.extractor.spans import scores
from stepdown.train.extractor.tokens import Tokens, tokenise

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

_LEAST = 1e-4
"""Spans below this probability are not added to those that say the same."""


class Found(Struct, frozen=True):
    """A span as it is written, None for "absent", and its probability before calibration."""

    span: str | None
    probability: float


class Extraction(Struct, frozen=True):
    """The values of one text by field, and the calibrated confidence of each, 0..1."""

    values: Mapping[str, str | None]
    sure: Mapping[str, float]


class Extracting(Struct, frozen=True, eq=False):
    """An extractor together with its encoder, ready to answer."""

    extractor: Extractor
    encoder: TokenEncoder

    def __post_init__(self) -> None:
        """Refuse an encoder other than the one that it was trained on.

        Raises:
            WeightsError: the digests differ; says which.
        """
        card = self.extractor.card
        if self.encoder.piece_digest != card.encoder_digest:
            raise WeightsError(
                f"The extractor {card.name!r} was trained on {card.encoder_name} "
                f"({card.encoder_digest}), not on {self.encoder.name} "
                f"({self.encoder.piece_digest}).",
                "Load that encoder, or train the extractor again.",
            )

    def read(self, text: str) -> Extraction:
        """Return the fields of a text."""
        tokens = tokenise(text)
        answers = dict(self._learned(tokens)) if len(tokens) else {}
        values, sure = {}, {}
        for field in self.extractor.card.fields:
            found = answers.get(field.name)
            values[field.name], sure[field.name] = _answer(field, found, empty=not len(tokens))
        return Extraction(values, sure)

    def _learned(self, tokens: Tokens) -> "list[tuple[str, Found]]":
        parts = self.extractor.parts(features(tokens), token_vectors(tokens, self.encoder))
        spans: dict[Reach, Spans] = {}
        found = []
        for at, field in enumerate(self.extractor.card.learned):
            assert field.reach is not None
            if field.reach not in spans:
                spans[field.reach] = spans_within(tokens, field.reach)
            mine = spans[field.reach]
            given = scores(parts[:, at], mine, self.extractor.sizes[at])
            found.append((field.name, best_value(tokens, mine, given)))
        return found


def _answer(field: FieldCard, found: Found | None, *, empty: bool) -> tuple[str | None, float]:
    """Return the value and its confidence; of an empty text every field is absent."""
    if found is None:
        return None, field.uncopied if empty else field.unlearned
    value = None if found.span is None else field.writing.write(found.span)
    return value or None, field.sure(found.probability)


def best_value(tokens: Tokens, spans: Spans, given: "NDArray[float64]") -> Found:
    """Return the most probable value: spans that say the same are one, "absent" scores 0.

    White space and case do not part values. Of equal spans the likeliest is the one shown.
    """
    if not len(spans):
        return Found(None, 1.0)
    top = max(float(given.max()), 0.0)
    odds = np.exp(given - top)
    total = float(odds.sum()) + float(np.exp(-top))
    shown: dict[str, str] = {}
    share: dict[str, float] = {}
    for at in _likely(odds, total):
        span = tokens.span(int(spans.first[at]), int(spans.last[at]))
        key = squashed(span)
        shown.setdefault(key, span)
        share[key] = share.get(key, 0.0) + float(odds[at]) / total
    key = max(share, key=share.__getitem__)
    absent = float(np.exp(-top)) / total
    return Found(None, absent) if absent >= share[key] else Found(shown[key], share[key])


def _likely(odds: "NDArray[float64]", total: float) -> list[int]:
    """Return the spans above the least probability, the likeliest first; one at least."""
    some = np.flatnonzero(odds > _LEAST * total)
    if not len(some):
        return [int(odds.argmax())]
    found: list[int] = some[np.argsort(-odds[some], kind="stable")].tolist()
    return found
