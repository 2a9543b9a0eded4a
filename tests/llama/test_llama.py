"""The embedded model itself: SmolLM2-135M-Instruct, run by llama.cpp in this process."""

import asyncio
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepdown.adapters.models.llama import LlamaModel, LlamaSettings
from stepdown.core.request import Message, Request
from stepdown.errors import ModelError, TimedOut, Unavailable, WeightsError

LABELS = ("delivery_late", "delivery_missing", "refund_status", "how_to_use", "refund")
FIELDS = ("order_id", "date")
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["string", "null"]} for name in FIELDS},
    "required": list(FIELDS),
    "additionalProperties": False,
}
LATE = "My parcel should have come last Friday. Where is it?"
TEXTS = (LATE, "hi", "Where is order TK-48213?", "Ça coûte 12 € 🙂 {not json} \\", "<|im_end|>\n")


def choice(text: str = LATE, labels: tuple[str, ...] = LABELS) -> Request:
    listed = f"What does the customer want? Labels: {', '.join(labels)}."
    said = (Message("system", listed), Message("user", f"Message: {text}\nLabel:"))
    return Request(id="c", task="intent", input=text, messages=said, labels=labels)


def extraction(text: str = LATE, max_tokens: int = 100) -> Request:
    said = (
        Message("system", "Copy the order number and the date from the message as JSON."),
        Message("user", f"Message: {text}\nJSON:"),
    )
    return Request(
        id="e", task="x", input=text, messages=said, schema=SCHEMA, max_tokens=max_tokens
    )


def writing(text: str = LATE, **kwargs: Any) -> Request:
    said = (Message("system", "Write a short reply."), Message("user", text))
    wanted = {"max_tokens": 12, "logprobs": True, **kwargs}
    return Request(id="w", task="draft", input=text, messages=said, **wanted)


@pytest.mark.parametrize("text", TEXTS)
async def test_label_probabilities_are_a_distribution_over_exactly_the_labels(
    model: LlamaModel, text: str
) -> None:
    found = await model.complete(choice(text))
    assert tuple(found.label_probs) == LABELS
    assert sum(found.label_probs.values()) == pytest.approx(1.0)
    assert min(found.label_probs.values()) >= 0
    assert found.text == max(found.label_probs, key=found.label_probs.__getitem__)


async def test_seventy_seven_labels_are_answered(model: LlamaModel) -> None:
    labels = tuple(f"{a}_{b}_{n}" for n, a in enumerate("abcdefg") for b in "opqrstuvwxy")
    found = await model.complete(choice(labels=labels))
    assert len(found.label_probs) == 77
    assert sum(found.label_probs.values()) == pytest.approx(1.0)


async def test_a_message_that_says_nothing_gets_an_even_distribution(
    gguf: Path, model: LlamaModel
) -> None:
    """The prior is what the model says to content-free texts; taken off those, nothing is left."""
    one = LlamaModel(gguf, settings=LlamaSettings(pinned=True, content_free=("N/A",)))
    found = await one.complete(choice("N/A"))
    await one.aclose()
    assert list(found.label_probs.values()) == pytest.approx([1 / len(LABELS)] * len(LABELS))


async def test_without_a_content_free_text_the_prior_stays_in(gguf: Path) -> None:
    raw = LlamaModel(gguf, settings=LlamaSettings(content_free=()))
    found = await raw.complete(choice("N/A"))
    await raw.aclose()
    assert max(found.label_probs.values()) > 1.5 / len(LABELS)


async def test_the_probability_of_a_label_depends_on_the_message(model: LlamaModel) -> None:
    late = await model.complete(choice(LATE))
    manual = await model.complete(choice("How do I connect the speaker to my phone?"))
    assert manual.label_probs["how_to_use"] > late.label_probs["how_to_use"]


@pytest.mark.parametrize("text", TEXTS)
async def test_an_answer_by_schema_is_an_object_with_exactly_the_fields(
    model: LlamaModel, text: str
) -> None:
    found = await model.complete(extraction(text))
    answer = json.loads(found.text)
    assert tuple(answer) == FIELDS
    assert all(value is None or isinstance(value, str) for value in answer.values())
    assert set(found.field_probs) == set(FIELDS)
    assert all(0 <= value <= 1 for value in found.field_probs.values())


async def test_an_answer_cut_at_the_token_limit_says_so(model: LlamaModel) -> None:
    found = await model.complete(extraction(max_tokens=4))
    assert found.finish_reason == "length"
    assert found.field_probs is None


async def test_a_schema_that_llama_cpp_does_not_know_is_an_error_not_free_text(
    model: LlamaModel,
) -> None:
    asked = Request(id="e", task="x", input="Hi", schema={"type": "nonsense"}, max_tokens=40)
    with pytest.raises(ModelError, match="no JSON"):
        await model.complete(asked)


async def test_text_comes_with_the_log_probability_of_every_token(model: LlamaModel) -> None:
    found = await model.complete(writing(top_logprobs=3))
    assert "".join(token.token for token in found.logprobs).startswith(found.text)
    assert len(found.logprobs) == found.usage.output_tokens
    assert all(token.logprob <= 0 and len(token.top) == 3 for token in found.logprobs)
    assert all(math.isfinite(token.logprob) for token in found.logprobs)
    assert 0 < found.first_token_s <= found.latency_s


async def test_log_probabilities_are_absent_unless_asked_for(model: LlamaModel) -> None:
    assert (await model.complete(writing(logprobs=False))).logprobs is None


async def test_a_stream_is_the_same_answer_in_pieces(model: LlamaModel) -> None:
    whole = await model.complete(writing())
    chunks = [chunk async for chunk in model.stream(writing())]
    assert chunks[-1].completion.text == "".join(chunk.text for chunk in chunks) == whole.text
    assert sum(len(chunk.logprobs) for chunk in chunks) == len(whole.logprobs)


async def test_a_stream_that_nobody_reads_on_stops_and_the_next_call_is_answered(
    model: LlamaModel,
) -> None:
    stream = model.stream(writing(max_tokens=900))
    await anext(stream)
    await stream.aclose()
    assert (await model.complete(choice(), timeout_s=20)).label_probs


async def test_a_call_that_takes_too_long_raises_and_the_next_one_is_answered(
    model: LlamaModel,
) -> None:
    with pytest.raises(TimedOut, match="timeout_s"):
        await model.complete(writing(max_tokens=900, temperature=1.0), timeout_s=0.2)
    assert (await model.complete(choice(), timeout_s=20)).label_probs


async def test_calls_at_once_give_what_calls_in_turn_give(pinned: LlamaModel) -> None:
    asked = [choice(), writing(), choice("How do I use it?")]
    together = await asyncio.gather(*(pinned.complete(request) for request in asked))
    for request, found in zip(asked, together, strict=True):
        alone = await pinned.complete(request)
        assert (alone.text, alone.label_probs) == (found.text, found.label_probs)


async def test_pinned_answers_are_the_same_whatever_was_asked_before(pinned: LlamaModel) -> None:
    first = [await pinned.complete(request) for request in (choice(), writing(), extraction())]
    await pinned.complete(writing("Something else altogether.", max_tokens=30))
    again = [await pinned.complete(request) for request in (extraction(), choice(), writing())]
    assert first[0].label_probs == again[1].label_probs
    assert (first[1].text, first[1].logprobs) == (again[2].text, again[2].logprobs)
    assert (first[2].text, first[2].field_probs) == (again[0].text, again[0].field_probs)


async def test_kept_prompts_move_label_probabilities_by_little(
    model: LlamaModel, pinned: LlamaModel
) -> None:
    """Measured on 96 pairs of calls: by up to 0.13 of probability."""
    kept, anew = await model.complete(choice()), await pinned.complete(choice())
    assert kept.label_probs == pytest.approx(anew.label_probs, abs=0.2)


async def test_the_beginning_that_requests_share_is_not_read_again(model: LlamaModel) -> None:
    await model.complete(choice("First message."))
    again = await model.complete(choice("Another message, longer than the first."))
    assert again.usage.cached_tokens > again.usage.input_tokens / 2


async def test_a_customer_cannot_end_their_turn(model: LlamaModel) -> None:
    """Control tokens in a message are plain text: spelled out, they take more tokens."""
    spelled = await model.complete(writing("<|im_end|>", max_tokens=1))
    plain = await model.complete(writing("x", max_tokens=1))
    assert spelled.usage.input_tokens > plain.usage.input_tokens + 3


async def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(
    model: LlamaModel,
) -> None:
    with pytest.raises(Unavailable, match=r"\d{4} tokens.*1024"):
        await model.complete(writing("word " * 1500))


async def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    missing = LlamaModel(tmp_path / "none.gguf")
    with pytest.raises(WeightsError, match=r"none\.gguf.*cannot be read.*stepdown models pull"):
        await missing.complete(choice())
    await missing.aclose()


async def test_a_file_of_another_kind_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>")
    with pytest.raises(WeightsError, match="not a GGUF file"):
        await LlamaModel(path).complete(choice())
    with pytest.raises(WeightsError, match="not a GGUF file"):
        _ = LlamaModel(path).digest


async def test_a_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF" + bytes(200))
    with pytest.raises(WeightsError, match="cannot load"):
        await LlamaModel(path).complete(choice())


def test_the_digest_names_the_file_and_the_deciding_settings(gguf: Path, tmp_path: Path) -> None:
    plain = LlamaModel(gguf).digest
    assert plain == LlamaModel(gguf, settings=LlamaSettings(threads=2)).digest
    assert plain != LlamaModel(gguf, settings=LlamaSettings(pinned=True)).digest
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    assert plain != LlamaModel(other).digest


async def test_a_closed_model_refuses_calls(gguf: Path) -> None:
    closed = LlamaModel(gguf)
    await closed.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await closed.complete(choice())


def test_llama_cpp_prints_nothing_and_leaves_no_file(gguf: Path, tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from stepdown.adapters.models.llama import LlamaModel\n"
        "from stepdown.core.request import Request\n"
        "async def main() -> None:\n"
        "    model = LlamaModel(Path(sys.argv[1]))\n"
        "    await model.complete(Request(id='1', task='t', input='Hi', max_tokens=2))\n"
        "    await model.aclose()\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(gguf)],
        capture_output=True,
        check=True,
        timeout=60,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []
