"""Prompts for training are what the embedded model reads when it serves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
from stepdown.adapters.models.llama.prompter import LlamaPrompter
from stepdown.adapters.models.llama.runtime import Runtime
from stepdown.core.request import Message, Request

LABELS = ("billing", "technical support")
ASKED = Request(
    id="1",
    task="t",
    input="I was charged twice",
    messages=(
        Message(role="system", content="Choose: billing or technical support."),
        Message(role="user", content="Message: I was charged twice"),
    ),
    labels=LABELS,
)


@pytest.fixture(scope="module")
def prompter(gguf: Path) -> Iterator[LlamaPrompter]:
    opened = LlamaPrompter(gguf, LlamaSettings(context_tokens=1024))
    yield opened
    opened.close()


async def test_the_runtime_reads_as_many_tokens_as_the_prompt_has(
    prompter: LlamaPrompter, pinned: LlamaModel
) -> None:
    answer = await pinned.complete(ASKED)
    assert answer.usage.input_tokens == len(prompter.prompt(ASKED))


def test_a_prompt_of_tokens_continues_as_the_prompt_of_text_does(
    prompter: LlamaPrompter, gguf: Path
) -> None:
    runtime = Runtime(gguf, LlamaSettings(context_tokens=1024, pinned=True))
    told = [{"role": m.role, "content": m.text} for m in ASKED.messages]
    asked = {"max_tokens": 1, "temperature": 0.0, "n_probs": 5}
    texts, tokens = (
        runtime.ask({**asked, "prompt": prompt})
        for prompt in (list(runtime.prompt(told)), list(prompter.prompt(ASKED)))
    )
    runtime.close()
    first, second = (a["choices"][0]["logprobs"]["content"][0] for a in (texts, tokens))
    assert first["id"] == second["id"]
    assert first["logprob"] == pytest.approx(second["logprob"], abs=1e-6)


def test_answers_end_with_the_tokens_that_end_a_turn(prompter: LlamaPrompter, gguf: Path) -> None:
    runtime = Runtime(gguf, LlamaSettings(context_tokens=1024))
    end = runtime.end
    runtime.close()
    answers = [prompter.answer(ASKED, label) for label in LABELS]
    assert end
    assert [answer[-len(end) :] for answer in answers] == [end, end]
    assert answers[0] != answers[1]


def test_a_begun_answer_is_continued_after_a_space(prompter: LlamaPrompter) -> None:
    begun = Request(
        id="1",
        task="t",
        input="x",
        messages=(*ASKED.messages, Message(role="assistant", content="Label:")),
        labels=LABELS,
    )
    assert prompter.answer(begun, "billing") != prompter.answer(ASKED, "billing")
    assert prompter.prompt(begun) != prompter.prompt(ASKED)
