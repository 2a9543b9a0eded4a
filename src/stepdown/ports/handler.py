"""The Handler port: what a gateway hands a caller's request to, and how pieces come back."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stepdown.core.call import Call, EmbedCall, EmbedReply, Reply
from stepdown.core.request import Chunk


class Sink(Protocol):
    """Where the pieces of an answer go that is sent while it is written.

    Each method returns when the caller can take more, so a slow reader slows the tier down. A
    handler that is cancelled (the caller hung up) must let go of the tier.
    """

    async def begin(self, opening: Reply) -> None:
        """Say whose answer follows: it is decided and will not be taken back.

        Called once, before the first piece. `opening` has no text yet, and its trace holds what
        is known by now: the cost and the last attempt's figures come with the final reply.
        """
        ...

    async def piece(self, chunk: Chunk) -> None:
        """Take the next piece: text, log-probabilities, or parts of tool calls."""
        ...


class Handler(Protocol):
    """Answer calls by the locked policies."""

    async def answer(self, call: Call, sink: Sink | None = None) -> Reply:
        """Answer one call; the trace is kept before this returns or raises.

        With a sink, an answer that the policy is certain to send goes there as it is written; the
        reply is returned all the same, whole. Any other answer is only returned: the sink is not
        touched, and the surface sends the whole reply as one stream.

        Raises:
            InputError: an unknown model name, or a request that no tier may see.
            ModelError: no tier could answer, or the answer broke off after `sink.begin`.
        """
        ...

    async def embed(self, call: EmbedCall) -> EmbedReply:
        """Return a vector for each text; the trace is kept before this returns or raises.

        Raises:
            InputError: a model that embeds nothing, or dimensions that it does not give.
            ModelError: the tier could not answer.
        """
        ...

    def knows(self, model: str) -> bool:
        """Return whether a caller may ask for this model."""
        ...

    def models(self) -> Sequence[str]:
        """Return the names that a caller may ask for: tasks, `tier:NAME`, then mapped names."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Return the state of every task's guarantee, as plain JSON."""
        ...
