"""A head together with the encoder that it was trained on: texts in, label probabilities out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from stepdown.errors import WeightsError
from stepdown.ports.encoder import Encoder
from stepdown.train.head import Head

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class Prediction(Struct, frozen=True):
    """What an expert says about one text.

    `familiarity` is 0..1; 0 is unlike all training rows. `in_scope` adds to it how confident the
    head is: a low one says that the text belongs to none of the labels.
    """

    label: str
    label_probs: dict[str, float]
    familiarity: float
    in_scope: float


class Expert(Struct, frozen=True, eq=False):
    """A narrow classifier, ready to answer."""

    head: Head
    encoder: Encoder

    def __post_init__(self) -> None:
        """Refuse an encoder other than the one that the head was trained on.

        Raises:
            WeightsError: the digests differ; says which.
        """
        card = self.head.card
        if self.encoder.digest != card.encoder_digest:
            raise WeightsError(
                f"The head {card.name!r} was trained on {card.encoder_name} "
                f"({card.encoder_digest}), not on {self.encoder.name} ({self.encoder.digest}).",
                "Load that encoder, or train the head again.",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns."""
        return self.head.labels

    @property
    def digest(self) -> str:
        """Digest of the head's file, whose card holds the encoder's digest."""
        return self.head.digest

    def predict_proba(self, texts: Sequence[str]) -> "NDArray[float32]":
        """Return calibrated probabilities, shape (texts, labels)."""
        return self.head.predict_proba(self.encoder.embed(texts), self.lexical(texts))

    def lexical(self, texts: Sequence[str]) -> "NDArray[float32] | None":
        """Return what the head's lexicon makes of the texts; None where it has no lexicon."""
        return self.head.lexicon.embed(texts) if self.head.lexicon else None

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return what is said of each text, from one pass of the encoder."""
        embeddings = self.encoder.embed(texts)
        found = self.head.predict_proba(embeddings, self.lexical(texts))
        familiar = self.head.familiarity.score(embeddings)
        scope = self.head.familiarity.in_scope(familiar, found.max(axis=1, initial=0.0))
        told = zip(found.tolist(), familiar.tolist(), scope.tolist(), strict=True)
        return [_prediction(self.labels, *one) for one in told]


def _prediction(
    labels: tuple[str, ...], row: list[float], familiarity: float, in_scope: float
) -> Prediction:
    best = max(range(len(row)), key=row.__getitem__)
    return Prediction(labels[best], dict(zip(labels, row, strict=True)), familiarity, in_scope)
