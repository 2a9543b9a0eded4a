"""Bedrock Converse: signed requests, whole answers, event streams, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from bedrock_peer import (
    ACCESS,
    MODEL,
    REGION,
    SECRET,
    USAGE,
    Bedrock,
    converse,
    converse_stream,
    frame,
)
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session

from stepdown.adapters.models.wire.bedrock import BedrockModel
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.request import (
    Completion,
    ImagePart,
    Message,
    Request,
    TextPart,
    Tool,
    ToolCall,
    ToolPiece,
    Usage,
)
from stepdown.errors import ModelError, Overloaded, TimedOut, Unavailable

ASKED = Request(id="1", task="t", input="Refund 7", tools=(Tool(name="refund"),), max_tokens=64)
READ = Usage(input_tokens=1111, output_tokens=15, cached_tokens=1000, cache_write_tokens=100)
CALL = ToolCall(id="tooluse_1", name="refund", arguments='{"id": 7}')
WHOLE = b"".join(frame(kind, payload) for kind, payload in converse_stream())


@pytest.fixture
async def bedrock() -> AsyncIterator[Bedrock]:
    server = Bedrock()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.base = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    yield server
    await runner.cleanup()


def opened(server: Any, **changes: Any) -> BedrockModel:
    async def nap(_seconds: float) -> None:
        return None

    return BedrockModel(
        MODEL,
        region=REGION,
        base_url=server.base,
        credentials=Credentials(ACCESS, SECRET, "session-token"),
        settings=WireSettings(retries=1),
        sleep=nap,
        **changes,
    )


async def streamed(model: BedrockModel) -> tuple[list[str], Completion]:
    chunks = [chunk async for chunk in model.stream(ASKED)]
    assert chunks[-1].completion is not None
    return [t for c in chunks for t in c.texts or (c.text,) if t], chunks[-1].completion


async def test_a_signed_request_is_accepted_and_its_answer_read(bedrock: Bedrock) -> None:
    bedrock.steps = [converse()]
    model = opened(bedrock)
    done = await model.complete(ASKED)
    await model.aclose()
    assert bedrock.paths == ["/model/eu.anthropic.claude-x-20261001-v1%3A0/converse"]
    assert bedrock.headers[0]["X-Amz-Security-Token"] == "session-token"
    assert bedrock.bodies[0] == {
        "messages": [{"role": "user", "content": [{"text": "Refund 7"}]}],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.0},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "refund",
                        "inputSchema": {"json": {"type": "object", "properties": {}}},
                    }
                }
            ]
        },
    }
    assert (done.text, done.finish_reason, done.usage) == ("I will.", "tool_calls", READ)
    assert done.tool_calls[0].name == "refund"


async def test_a_stream_comes_in_pieces_and_counts_the_same_tokens(bedrock: Bedrock) -> None:
    bedrock.steps = [WHOLE]
    model = opened(bedrock)
    texts, done = await streamed(model)
    await model.aclose()
    assert bedrock.paths[0].endswith("/converse-stream")
    assert texts == ["I ", "will."]
    assert (done.text, done.finish_reason, done.usage) == ("I will.", "tool_calls", READ)
    assert done.tool_calls == (CALL,)


async def test_a_tool_call_is_streamed_piece_by_piece(bedrock: Bedrock) -> None:
    bedrock.steps = [WHOLE]
    model = opened(bedrock)
    pieces = [piece async for chunk in model.stream(ASKED) for piece in chunk.tools]
    await model.aclose()
    assert pieces == [
        ToolPiece(0, "tooluse_1", "refund"),
        ToolPiece(0, arguments='{"id"'),
        ToolPiece(0, arguments=": 7}"),
    ]


async def test_botocores_own_client_reads_this_peer_the_same_way(bedrock: Bedrock) -> None:
    """So the peer is no invention of ours: the vendor's own client takes its answers."""
    bedrock.steps = [converse(), WHOLE]

    def ask() -> tuple[Any, list[Any]]:
        client = Session().create_client(
            "bedrock-runtime",
            region_name=REGION,
            endpoint_url=bedrock.base,  # type: ignore[attr-defined]
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(retries={"max_attempts": 0}),
        )
        said = [{"role": "user", "content": [{"text": "Refund 7"}]}]
        whole = client.converse(modelId=MODEL, messages=said)
        events = list(client.converse_stream(modelId=MODEL, messages=said)["stream"])
        client.close()
        return whole, events

    whole, events = await asyncio.to_thread(ask)
    assert whole["usage"] == USAGE
    assert events[-1]["metadata"]["usage"] == USAGE
    mine = opened(bedrock)
    bedrock.steps = [converse()]
    await mine.complete(Request(id="1", task="t", input="Refund 7"))
    await mine.aclose()
    assert bedrock.paths[0] == bedrock.paths[2]
    assert bedrock.bodies[0]["messages"] == bedrock.bodies[2]["messages"]


async def test_an_api_key_is_sent_as_it_is_and_needs_no_credentials(bedrock: Bedrock) -> None:
    bedrock.steps = [converse()]
    model = BedrockModel(
        MODEL,
        region=REGION,
        base_url=bedrock.base,  # type: ignore[attr-defined]
        api_key="bedrock-api-key",
    )
    assert (await model.complete(ASKED)).text == "I will."
    await model.aclose()


async def test_a_retry_is_signed_anew(bedrock: Bedrock) -> None:
    bedrock.steps = [(429, {"message": "Too many tokens"}), converse()]
    model = opened(bedrock)
    done = await model.complete(ASKED)
    await model.aclose()
    assert (done.retries, done.unpriced) == (1, 0)


@pytest.mark.parametrize(
    ("status", "kind", "free"),
    [
        (429, Overloaded, True),
        (503, Overloaded, True),
        (408, TimedOut, True),
        (404, Unavailable, True),
        (400, ModelError, True),
        (424, ModelError, True),
        (500, ModelError, False),
    ],
)
async def test_each_status_is_the_error_that_it_means(
    bedrock: Bedrock, status: int, kind: type[ModelError], free: bool
) -> None:
    bedrock.steps = [(status, {"message": "no"})] * 2
    model = opened(bedrock)
    with pytest.raises(ModelError) as caught:
        await model.complete(ASKED)
    await model.aclose()
    assert type(caught.value) is kind
    assert caught.value.free is free
    assert caught.value.blames == ("request" if status == 400 else "tier")


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        ("throttlingException", Overloaded),
        ("modelStreamErrorException", ModelError),
        ("internalServerException", ModelError),
    ],
)
async def test_an_exception_in_the_stream_is_an_error_that_may_have_cost_something(
    bedrock: Bedrock, exception: str, kind: type[ModelError]
) -> None:
    start = b"".join(frame(name, payload) for name, payload in converse_stream()[:4])
    bedrock.steps = [start + frame(exception, {"message": "no more"}, failed=True)]
    model = opened(bedrock)
    with pytest.raises(ModelError) as caught:
        await streamed(model)
    await model.aclose()
    assert type(caught.value) is kind
    assert "no more" in str(caught.value)
    assert not caught.value.free


@pytest.mark.parametrize("cut", [1, 5, len(WHOLE) // 2, len(WHOLE) - 1])
async def test_a_stream_that_is_cut_anywhere_is_no_clean_end(bedrock: Bedrock, cut: int) -> None:
    bedrock.steps = [WHOLE[:-cut]]
    model = opened(bedrock)
    with pytest.raises(ModelError, match="cut"):
        await streamed(model)
    await model.aclose()


async def test_a_frame_with_a_wrong_checksum_is_refused(bedrock: Bedrock) -> None:
    bedrock.steps = [WHOLE[:200] + bytes([WHOLE[200] ^ 1]) + WHOLE[201:]]
    model = opened(bedrock)
    with pytest.raises(ModelError, match="cannot be read"):
        await streamed(model)
    await model.aclose()


async def test_a_conversation_with_tools_and_images_takes_the_shape_of_the_wire(
    bedrock: Bedrock,
) -> None:
    said = (
        Message(role="system", content="Be short."),
        Message(role="user", content=(TextPart("Look"), ImagePart("data:image/png;base64,AAAA"))),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", tool_call_id="tooluse_1", content="done"),
    )
    bedrock.steps = [converse()]
    model = opened(bedrock)
    await model.complete(Request(id="1", task="t", input="x", messages=said))
    assert bedrock.bodies[0]["system"] == [{"text": "Be short."}]
    assert bedrock.bodies[0]["messages"] == [
        {
            "role": "user",
            "content": [
                {"text": "Look"},
                {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "tooluse_1", "name": "refund", "input": {"id": 7}}}
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "done"}]}}],
        },
    ]
    elsewhere = Message(role="user", content=(ImagePart("https://example.org/a.png"),))
    with pytest.raises(Unavailable, match="data URL"):
        await model.complete(Request(id="1", task="t", input="x", messages=(elsewhere,)))
    await model.aclose()
