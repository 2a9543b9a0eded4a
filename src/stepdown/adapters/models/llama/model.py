"""The embedded generative tier as a Model: labels, JSON by schema, or text.

It does not know tasks: a request with labels is a choice, one with a schema is an extraction.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from stepdown.adapters.models.llama.asking import Prompt, fork_body, writing_body
from stepdown.adapters.models.llama.fields import field_probs
from stepdown.adapters.models.llama.labels import (
    Tokens,
    corrected,
    label_logprobs,
    mean_logprobs,
    uncorrected,
)
from stepdown.adapters.models.llama.prompting import lead_of, messages_of, with_input
from stepdown.adapters.models.llama.runtime import Runtime, file_digest
from stepdown.adapters.models.llama.settings import LlamaSettings
from stepdown.adapters.models.llama.worker import Worker
from stepdown.adapters.models.llama.writing import Send, Writing, read_usage
from stepdown.core.digest import digest
from stepdown.core.request import (
    Capabilities,
    Chunk,
    Completion,
    Request,
    TokenLogprob,
    Usage,
)
from stepdown.errors import ModelError, TimedOut

PRIORS_KEPT = 256


class LlamaModel:
    """Answer with a GGUF file. Loaded at the first call; one call computes at a time.

    The prompt is the request's messages in the model's own chat template. A last message of the
    assistant is not answered but continued (`Label:`). Put what every request shares first and
    the message last: the beginning is kept and not read again.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        settings: LlamaSettings | None = None,
        adapter: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._path, self._adapter = path, adapter
        self._name = name or path.stem
        self._settings = settings or LlamaSettings()
        self._clock = clock
        self._runtime: Runtime | None = None
        self._priors: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._worker = Worker(self._settings.queue_limit)

    @property
    def digest(self) -> str:
        """Digest of the file, its adapter, the runtime's version and the deciding settings.

        Raises:
            WeightsError: no such file, or not a GGUF file.
        """
        runtime = f"xllamacpp {version('xllamacpp')}"
        beside = [] if self._adapter is None else [file_digest(self._adapter)]
        return digest([file_digest(self._path), *beside, runtime, self._settings.deciding()])

    @property
    def capabilities(self) -> Capabilities:
        """Text, labels and JSON, with log-probabilities; no images, no tools."""
        return Capabilities(
            context_tokens=self._settings.context_tokens,
            logprobs=True,
            labels=True,
            schema=True,
            stream=True,
        )

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Answer in one piece.

        `latency_s` starts when the computing does: waiting in the queue is not in it.

        Raises:
            WeightsError: the file is missing or not a model.
            Unavailable: tools or images are asked for, or the prompt is longer than the context.
            Overloaded: too many calls wait.
            TimedOut: no answer within `timeout_s` seconds.
        """
        return await self._worker.run(lambda stop: self._answer(request, stop, _drop), timeout_s)

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Answer in pieces. Labels come as one piece. Raises what `complete` raises."""
        chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def send(text: str, logprobs: tuple[TokenLogprob, ...]) -> None:
            piece = Chunk(text=text, logprobs=logprobs)
            loop.call_soon_threadsafe(chunks.put_nowait, piece)

        job = asyncio.ensure_future(
            self._worker.run(lambda stop: self._answer(request, stop, send), timeout_s)
        )
        try:
            async for chunk in _until_done(chunks, job):
                yield chunk
            yield Chunk(completion=await job)
        finally:
            job.cancel()

    def steady(self) -> LlamaModel:
        """Return a twin that reads every prompt anew; a model that does so already is its own."""
        if self._settings.pinned:
            return self
        settings = msgspec.structs.replace(self._settings, pinned=True)
        return LlamaModel(
            self._path,
            name=self._name,
            settings=settings,
            adapter=self._adapter,
            clock=self._clock,
        )

    async def aclose(self) -> None:
        """Let the running call finish, then free memory, thread and socket."""
        await self._worker.close(self._unload)

    def _unload(self) -> None:
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def _answer(self, request: Request, stop: Event, send: Send) -> Completion:
        """Compute the answer. Runs in the worker's thread."""
        if self._runtime is None:
            self._runtime = Runtime(self._path, self._settings, self._adapter)
        start = self._clock()
        if request.labels:
            answer = self._choose(self._runtime, request, stop)
            send(answer.text, ())
        else:
            answer = self._write(self._runtime, request, stop, send, start)
        return msgspec.structs.replace(answer, latency_s=self._clock() - start, model=self._name)

    def _choose(self, runtime: Runtime, request: Request, stop: Event) -> Completion:
        """Return the distribution over the labels, its prior taken off."""
        messages = messages_of(request)
        lead = lead_of(messages)
        paths = {label: runtime.tokens(lead + label) + runtime.end for label in request.labels}
        prior = self._prior(runtime, request, paths, stop)
        fork = _Forks(runtime, runtime.prompt(messages), stop)
        logprobs = label_logprobs(paths, fork.branches)
        probs = uncorrected(logprobs) if prior is None else corrected(logprobs, prior)
        ordered = {label: probs[label] for label in request.labels}
        return Completion(
            text=max(ordered, key=ordered.__getitem__), label_probs=ordered, usage=fork.usage
        )

    def _prior(
        self, runtime: Runtime, request: Request, paths: Mapping[str, Tokens], stop: Event
    ) -> dict[str, float] | None:
        """Return the label log-probabilities for content-free input, kept per prompt and labels.

        None when the messages do not hold the bare input: then nothing can be left out.
        """
        emptied = [with_input(request, text) for text in self._settings.content_free]
        prompts = [runtime.prompt(messages) for messages in emptied if messages]
        if not prompts:
            return None
        key = digest([prompts, request.labels])
        if key not in self._priors:
            forks = [_Forks(runtime, prompt, stop) for prompt in prompts]
            runs = [label_logprobs(paths, fork.branches) for fork in forks]
            self._priors[key] = mean_logprobs(runs)
        self._priors.move_to_end(key)
        while len(self._priors) > PRIORS_KEPT:
            self._priors.popitem(last=False)
        return self._priors[key]

    def _write(
        self, runtime: Runtime, request: Request, stop: Event, send: Send, start: float
    ) -> Completion:
        """Return text, or JSON when the request has a schema."""
        writing = Writing(stop, send, self._clock, request)
        body = writing_body(runtime.prompt(messages_of(request)), request, self._settings)
        runtime.ask_in_pieces(body, writing.receive)
        _still_wanted(stop)
        if request.schema is not None and writing.finish_reason != "length":
            _require_json(writing.text)
        began = writing.began
        return Completion(
            text=writing.text,
            finish_reason=writing.finish_reason,
            usage=writing.usage,
            logprobs=writing.logprobs if request.logprobs else None,
            field_probs=(field_probs(writing.pieces) or None) if request.schema else None,
            first_token_s=None if began is None else began - start,
        )


class _Forks:
    """Asks the model at the forks of the labels' tree, and counts the tokens."""

    def __init__(self, runtime: Runtime, prompt: Prompt, stop: Event) -> None:
        self._runtime = runtime
        self._prompt = prompt
        self._stop = stop
        self._asked: list[Usage] = []

    @property
    def usage(self) -> Usage:
        """The prompt once, and one generated token a fork."""
        if not self._asked:
            return Usage()
        return msgspec.structs.replace(self._asked[0], output_tokens=len(self._asked))

    def branches(self, prefix: Tokens, choices: Sequence[int]) -> dict[int, float]:
        """Return choice -> probability among the choices."""
        _still_wanted(self._stop)
        body = fork_body(self._prompt, prefix, choices)
        if self._asked:  # the same call has just read the prompt: reuse depends on nothing earlier
            body["cache_prompt"] = True
        answer = self._runtime.ask(body)
        self._asked.append(read_usage(answer))
        top = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
        return {entry["id"]: entry["prob"] for entry in top}


def _require_json(text: str) -> None:
    """llama.cpp drops a schema that it cannot compile without a word, so look at the answer."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ModelError(
            f"The embedded model wrote no JSON: {text[:80]!r}.",
            "llama.cpp may not know a keyword of the schema: keep to type, properties, required, "
            "enum, anyOf, maxLength.",
        ) from error


def _still_wanted(stop: Event) -> None:
    if stop.is_set():
        raise TimedOut("The caller stopped waiting for the embedded model.")


def _drop(_text: str, _logprobs: tuple[TokenLogprob, ...]) -> None:
    """Nobody reads the pieces."""


async def _until_done(
    chunks: asyncio.Queue[Chunk], job: asyncio.Future[Completion]
) -> AsyncGenerator[Chunk]:
    """Yield chunks as they come, until the job is done and the queue is empty."""
    while not (job.done() and chunks.empty()):
        wanted = asyncio.ensure_future(chunks.get())
        waited: set[asyncio.Future[Any]] = {wanted, job}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            yield wanted.result()
        else:
            wanted.cancel()
