"""Azure's variant: its addresses, its header, and the parameters that old versions refuse."""

from __future__ import annotations

import pytest
from wire_fake_vendor import KEY, Naps, Server, chat, chat_error, chat_stream, sse

from stepdown.adapters.models.wire.azure import AzureModel
from stepdown.core.request import Request, Usage

ASKED = Request(id="1", task="t", input="Hello", max_tokens=8)


@pytest.mark.parametrize(
    ("version", "path", "query"),
    [
        ("2024-10-21", "/openai/deployments/my%20gpt/chat/completions", "api-version=2024-10-21"),
        (None, "/openai/v1/chat/completions", ""),
    ],
)
async def test_a_deployment_is_asked_at_its_address_with_the_key_in_its_header(
    server: Server, naps: Naps, version: str | None, path: str, query: str
) -> None:
    server.steps = [chat()]
    model = AzureModel(
        "my gpt", base_url=f"{server.base}/", api_version=version, api_key=KEY, sleep=naps
    )
    done = await model.complete(ASKED)
    await model.aclose()
    assert done.text == "card_arrival"
    assert server.urls == [path + ("?" + query if query else "")]
    assert server.headers[0]["api-key"] == KEY
    assert "Authorization" not in server.headers[0]


async def test_a_version_that_knows_no_stream_options_streams_with_unknown_tokens(
    server: Server, naps: Naps
) -> None:
    said = "Unrecognized request argument supplied: stream_options"
    server.steps = [(400, chat_error(said), {}), sse(chat_stream()[:-1], done=True)]
    model = AzureModel("gpt", base_url=server.base, api_key=KEY, sleep=naps)
    chunks = [chunk async for chunk in model.stream(ASKED)]
    await model.aclose()
    assert chunks[-1].completion is not None
    assert chunks[-1].completion.usage == Usage()
    assert "stream_options" not in server.bodies[1]


def test_the_digest_tells_versions_and_deployments_apart() -> None:
    made = [
        AzureModel(name, base_url="https://x.openai.azure.com", api_version=version, api_key=KEY)
        for name in ("a", "b")
        for version in (None, "2024-10-21")
    ]
    assert len({model.digest for model in made}) == 4
    assert all(KEY not in repr(vars(model)) for model in made)
