"""The recorded tier: replay answers that a model really gave earlier, mistakes included.

Tokens are estimated from the texts and labelled so; nobody measured the latency, so it is unknown.
It cannot answer a text that it has not seen, and cannot polish another tier's draft.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepdown.core.chat import plain_tool
from stepdown.core.digest import digest_bytes
from stepdown.core.request import (
    Capabilities,
    Chunk,
    Completion,
    ImagePart,
    Message,
    Request,
    Usage,
    encode_answer,
)
from stepdown.errors import DataError, Unavailable


class RecordedModel:
    """Answer by looking the bare input up in a recording."""

    def __init__(
        self,
        path: Path,
        task: str,
        field: str,
        inputs: Mapping[str, str],
        estimate_tokens: Callable[[str], int],
        render: Callable[[str], str] = str,
    ) -> None:
        """Read the recording.

        Args:
            path: JSONL, one object a query with its `id`.
            task: the task that it answers.
            field: dotted place of the answer in a row.
            inputs: query id -> bare input text.
            estimate_tokens: estimated tokens of a text.
            render: from the canonical answer to the shape that the recorded model was asked for.
        """
        data = _read(path)
        self._digest = digest_bytes(data + field.encode())
        self._task = task
        self._estimate = estimate_tokens
        self._render = render
        by_id = _answers(path, data, field, inputs)
        self._by_id = {(query, inputs[query].strip()): said for query, said in by_id.items()}
        self._by_text = {text: said for (_, text), said in self._by_id.items()}

    @property
    def digest(self) -> str:
        """Digest of the recording."""
        return self._digest

    @property
    def capabilities(self) -> Capabilities:
        """It can only repeat, whatever the model that was recorded saw and called."""
        return Capabilities(
            vision=True, tools=True, labels=False, schema=False, polish=False, tasks=(self._task,)
        )

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Repeat the recorded answer.

        Raises:
            Unavailable: there is no recording of this text for this task.
        """
        answer = self._find(request)
        if answer is None:
            raise Unavailable(
                "Only the recorded tier could answer this with its guarantee, and it holds no "
                f"recording of this text for the task {self._task!r}.",
                "Configure a live frontier tier, for example --frontier openai:MODEL.",
            )
        text = self._render(answer)
        told = [plain_tool(tool) for tool in request.tools]
        said = sum(self._estimate(message.text) for message in request.messages)
        said += self._estimate(_json(told)) if told else 0
        usage = Usage(input_tokens=said, output_tokens=self._estimate(text), estimated=True)
        return Completion(text=text, usage=usage, model="recorded", recorded=True)

    def _find(self, request: Request) -> str | None:
        """Return the answer to this query, otherwise to its text where that is all there is."""
        text = request.input.strip()
        found = self._by_id.get((request.id, text))
        if found is not None or not text or _has_more(request.messages):
            return found
        return self._by_text.get(text)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The recording {path.name} cannot be read: {error.strerror}.",
            'Check `model = "recorded:FILE"` in stepdown.toml.',
        ) from None


def _answers(path: Path, data: bytes, field: str, inputs: Mapping[str, str]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
            query = row["id"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path.name}, line {number}: {error}.", "Correct the line.") from None
        value = _dotted(row, field)
        if value is not None and query in inputs:
            answers[query] = value if isinstance(value, str) else _json(value)
    return answers


def _has_more(messages: Sequence[Message]) -> bool:
    """Tell whether images or earlier turns decide the answer beside the text."""
    images = (part for m in messages if isinstance(m.content, tuple) for part in m.content)
    return any(m.role in ("assistant", "tool") for m in messages) or any(
        isinstance(part, ImagePart) for part in images
    )


def _json(value: Any) -> str:
    return encode_answer(value)


def _dotted(row: Any, field: str) -> Any:
    for part in field.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row
