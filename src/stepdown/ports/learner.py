"""The Learner port: weights that learn from batches, and can be saved, restored and exported.

What is learned from (turns of a language model, texts with labels) is the learner's own business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from stepdown.ports.prompter import Tokens

Item_contra = TypeVar("Item_contra", contravariant=True)


class Turn(Struct, frozen=True):
    """A prompt with the answer that is to be learned, in tokens of the model.

    `choices` holds, where the answer is one of a closed set, the tokens that may stand at each
    place of it; empty where the answer is free. `wrong` tells that the tier is known to be wrong
    here, so that it may learn doubt.
    """

    prompt: Tokens
    answer: Tokens
    choices: tuple[Tokens, ...] = ()
    wrong: bool = False

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.prompt) + len(self.answer)


class Text(Struct, frozen=True):
    """A text with the number of its label."""

    text: str
    label: int

    @property
    def length(self) -> int:
        """Number of characters: batches are made of texts that are about as long."""
        return len(self.text)


class Learner(Protocol[Item_contra]):
    """Something that learns. Calls block; one thread at a time."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Plain facts for the card: device, precision, number of trained parameters."""
        ...

    def train(self, batch: Sequence[Item_contra], rate: float, *, doubt: bool = False) -> float:
        """Take one step at the share `rate` (0..1) of the learning rate; return the mean loss.

        `doubt`: what it answers wrongly is pulled towards uniform instead of towards the answer.
        """
        ...

    def loss(self, items: Sequence[Item_contra], *, doubt: bool = False) -> float:
        """Return the mean loss without learning."""
        ...

    def save(self, path: Path, *, whole: bool) -> None:
        """Write the trained weights; `whole`: with all that is needed to go on learning."""
        ...

    def load(self, path: Path) -> None:
        """Take what `save` wrote.

        Raises:
            WeightsError: the file is damaged or of another training.
        """
        ...

    def export(self, folder: Path) -> Mapping[str, Any]:
        """Write the files that are served, and return what a card should say of them."""
        ...
