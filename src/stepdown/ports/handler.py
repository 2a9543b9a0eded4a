"""The Handler port: what a gateway hands a caller's request to."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stepdown.core.call import Call, Reply


class Handler(Protocol):
    """Answer calls by the locked policies."""

    async def answer(self, call: Call) -> Reply:
        """Answer one call.

        Raises:
            InputError: an unknown model name, or a request that no tier may see.
            ModelError: no tier could answer.
        """
        ...

    def models(self) -> Sequence[str]:
        """Return the names that a caller may ask for: tasks, then `tier:NAME`."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Return the state of every task's guarantee, as plain JSON."""
        ...
