"""Both wires share the network, so it is tested once, over the OpenAI wire."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import shutil
import socket
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from wire_fake_vendor import KEY, Naps, Server, chat, chat_error, chat_stream, sse

from stepdown.adapters.models.wire.anthropic import AnthropicModel
from stepdown.adapters.models.wire.openai import OpenAIModel
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.request import Request
from stepdown.errors import ConfigError, ModelError, Overloaded, TimedOut, Unavailable

ASKED = Request(id="1", task="t", input="Hello")
FULL = (429, chat_error("Rate limit reached", type="rate_limit_exceeded"), {})
BROKEN = (500, chat_error("The server had an error", type="server_error"), {})


def opened(base: str, naps: Naps, **changes: Any) -> OpenAIModel:
    settings = WireSettings(**changes)
    return OpenAIModel(
        "gpt-x",
        base_url=f"{base}/v1",
        api_key=KEY,
        api_key_env="MY_KEY",
        settings=settings,
        sleep=naps,
        jitter=lambda: 0.5,
    )


@pytest.fixture
async def model(server: Server, naps: Naps) -> AsyncIterator[OpenAIModel]:
    model = opened(server.base, naps)
    yield model
    await model.aclose()


async def failed(model: OpenAIModel, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.complete(ASKED, **options)
    return caught.value


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_names_the_variable_and_never_the_key(
    server: Server, model: OpenAIModel, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.steps = [(status, chat_error(f"Incorrect API key provided: {KEY}."), {})]
    error = await failed(model)
    assert type(error) is ModelError
    assert "MY_KEY" in error.hint
    shown = [str(error), repr(error), repr(model), repr(vars(model)), caplog.text]
    shown.append("".join(traceback.format_exception(error)))
    assert not [text for text in shown if KEY in text or KEY[:12] in text]
    assert len(server.bodies) == 1


async def test_a_key_that_a_server_repeats_in_its_error_is_taken_out_before_the_cut(
    server: Server, model: OpenAIModel
) -> None:
    said = "x" * 290 + KEY
    server.steps = [(400, chat_error(said), {})]
    error = await failed(model)
    assert "xxx" in error.message
    assert KEY[:8] not in str(error)


async def test_a_peer_that_speaks_no_http_does_not_leak_the_key(naps: Naps) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"NONSENSE " + head + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    peer = await asyncio.start_server(garbage, "127.0.0.1", 0)
    model = opened(f"http://127.0.0.1:{peer.sockets[0].getsockname()[1]}", naps)
    error = await failed(model)
    assert "cannot be reached" in error.message
    assert not [part for part in _chain(error) if KEY in repr(part) or KEY in str(part)]
    await model.aclose()
    peer.close()
    await peer.wait_closed()


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error with everything that it was raised from, shown or not."""
    if error is None:
        return []
    return [error, *_chain(error.__cause__), *_chain(error.__context__)]


async def test_an_unknown_model_is_unavailable(server: Server, model: OpenAIModel) -> None:
    server.steps = [(404, chat_error("The model `gpt-x` does not exist"), {})]
    error = await failed(model)
    assert type(error) is Unavailable
    assert "gpt-x" in error.message


async def test_a_request_that_is_too_long_is_unavailable(
    server: Server, model: OpenAIModel
) -> None:
    said = chat_error("Maximum context length is 8192", code="context_length_exceeded")
    server.steps = [(400, said, {})]
    assert type(await failed(model)) is Unavailable


async def test_an_account_without_money_is_not_asked_again(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [(429, chat_error("You exceeded your quota", code="insufficient_quota"), {})]
    assert type(await failed(model)) is Unavailable
    assert len(server.bodies) == 1


async def test_retry_after_is_waited_out(server: Server, model: OpenAIModel, naps: Naps) -> None:
    server.steps = [(429, FULL[1], {"Retry-After": "3"}), chat()]
    assert (await model.complete(ASKED)).text == "card_arrival"
    assert naps.taken == [3 + 0.5 * 0.75]


async def test_retry_after_as_a_date_is_read_against_the_servers_clock(
    server: Server, model: OpenAIModel, naps: Naps
) -> None:
    then = {
        "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "Retry-After": "Sun, 22 Nov 2026 10:00:07 GMT",
    }
    server.steps = [(429, FULL[1], then), chat()]
    await model.complete(ASKED)
    assert naps.taken == [7 + 0.5 * 0.75]


@pytest.mark.parametrize("asked", ["inf", "nan", "-5", "soon"])
async def test_a_retry_after_that_makes_no_sense_does_no_harm(
    server: Server, model: OpenAIModel, naps: Naps, asked: str
) -> None:
    server.steps = [(429, FULL[1], {"Retry-After": asked}), chat()]
    with contextlib.suppress(Overloaded):
        await model.complete(ASKED)
    assert naps.taken in ([], [0.5 * 0.75])


async def test_a_wait_that_is_too_long_is_overloaded_at_once(
    server: Server, model: OpenAIModel, naps: Naps
) -> None:
    server.steps = [(429, FULL[1], {"Retry-After": "3600"})]
    error = await failed(model)
    assert type(error) is Overloaded
    assert "3600" in error.message
    assert naps.taken == []


async def test_a_wait_beyond_the_deadline_is_overloaded_at_once(
    server: Server, model: OpenAIModel, naps: Naps
) -> None:
    server.steps = [(429, FULL[1], {"Retry-After": "5"})]
    assert type(await failed(model, timeout_s=2.0)) is Overloaded
    assert naps.taken == []


async def test_retries_are_bounded_and_their_waits_grow(
    server: Server, model: OpenAIModel, naps: Naps
) -> None:
    server.steps = [FULL] * 9
    assert type(await failed(model)) is Overloaded
    assert naps.taken == [0.5 * 0.75, 1.0 * 0.75]
    assert len(server.bodies) == 3


async def test_a_server_error_is_tried_again_and_then_answered(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [BROKEN, chat()]
    assert (await model.complete(ASKED)).text == "card_arrival"


async def test_a_server_error_that_stays_is_a_model_error(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [BROKEN] * 3
    error = await failed(model)
    assert type(error) is ModelError
    assert "status 500" in error.message


async def test_a_server_that_says_not_to_retry_is_not_asked_again(
    server: Server, model: OpenAIModel
) -> None:
    server.steps = [(500, BROKEN[1], {"x-should-retry": "false"})]
    await failed(model)
    assert len(server.bodies) == 1


async def test_a_refused_connection_is_tried_again_and_named(naps: Naps) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        model = opened(f"http://{address}", naps)
        error = await failed(model)
    assert address in error.message
    assert len(naps.taken) == 2
    await model.aclose()


async def test_a_late_answer_is_timed_out(server: Server, model: OpenAIModel) -> None:
    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    server.steps = [late, late]
    assert type(await failed(model, timeout_s=0.1)) is TimedOut
    with pytest.raises(TimedOut, match=r"within 0\.1 s"):
        [chunk async for chunk in model.stream(ASKED, timeout_s=0.1)]


async def test_a_stream_that_stalls_is_timed_out(server: Server, model: OpenAIModel) -> None:
    async def stalls(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(sse(chat_stream()[:3]))
        await asyncio.sleep(5)
        return response

    server.steps = [stalls]
    seen: list[str] = []

    async def collect() -> None:
        async for chunk in model.stream(ASKED, timeout_s=0.3):
            seen.extend(chunk.texts or (chunk.text,))  # what came before the error counts

    with pytest.raises(TimedOut):
        await collect()
    assert seen == ["card_", "arrival \N{SNOWMAN}"]


@pytest.mark.parametrize(
    "body",
    ["{", "", "<html>502</html>", "[]", "null", '{"choices": []}', '{"choices": 3}', "[" * 9999],
)
async def test_a_body_of_another_shape_is_a_model_error(
    server: Server, model: OpenAIModel, body: str
) -> None:
    server.steps = [(200, body, {})]
    error = await failed(model)
    assert type(error) is ModelError
    assert "cannot be read" in error.message


async def test_negative_counts_are_refused(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat(usage={"prompt_tokens": -1, "completion_tokens": 1})]
    assert "usage.prompt_tokens" in (await failed(model)).message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "No provider", "code": 502}}, ModelError),
        ({"error": {"message": "Slow down", "code": 429}}, Overloaded),
        ({"error": "model runner has stopped"}, ModelError),
        ({"error": {"message": "m", "type": "not_found_error"}}, Unavailable),
    ],
)
async def test_an_error_that_comes_with_status_200_is_an_error(
    server: Server, model: OpenAIModel, body: dict[str, Any], kind: type[ModelError]
) -> None:
    server.steps = [body]
    assert type(await failed(model)) is kind


async def test_a_body_that_is_too_large_is_not_read_to_its_end(server: Server, naps: Naps) -> None:
    model = opened(server.base, naps, body_limit_bytes=10_000)
    server.steps = [chat(content="x" * 1_000_000), sse(chat_stream() * 100)]
    assert "larger than 10000 bytes" in (await failed(model)).message
    with pytest.raises(ModelError, match="larger than 10000 bytes"):
        [chunk async for chunk in model.stream(ASKED)]
    await model.aclose()


async def test_a_body_that_grows_when_unpacked_is_counted_unpacked(
    server: Server, naps: Naps
) -> None:
    async def packed(request: web.Request) -> web.Response:
        response = web.Response(text="x" * 1_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    model = opened(server.base, naps, body_limit_bytes=50_000)
    server.steps = [packed]
    assert "larger than 50000 bytes" in (await failed(model)).message
    await model.aclose()


async def test_a_redirect_is_not_followed(server: Server, model: OpenAIModel) -> None:
    server.steps = [(307, {}, {"Location": f"{server.base}/elsewhere"}), chat()]
    error = await failed(model)
    assert "redirects" in error.message
    assert server.paths == ["/v1/chat/completions"]


async def test_an_untrusted_certificate_is_refused_without_a_retry(
    naps: Naps, tmp_path: Path
) -> None:
    pem = _self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def reached(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("the handshake must fail")

    peer = await asyncio.start_server(reached, "127.0.0.1", 0, ssl=context)
    model = opened(f"https://127.0.0.1:{peer.sockets[0].getsockname()[1]}", naps)
    error = await failed(model)
    assert "not trusted" in error.message
    assert naps.taken == []
    await model.aclose()
    peer.close()
    await peer.wait_closed()


def _self_signed(folder: Path) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("making a certificate needs the openssl command")
    pem = folder / "server.pem"
    said = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    made = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(pem)]
    # With one file for both, openssl appends the certificate to the key.
    subprocess.run([openssl, *said.split(), *made], check=True, capture_output=True)
    return pem


def test_one_model_serves_several_loops(naps: Naps) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = opened(f"http://127.0.0.1:{port}", naps)

    async def with_server() -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(chat())

        app = web.Application()
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        assert (await model.complete(ASKED)).text == "card_arrival"
        await runner.cleanup()

    for _ in range(3):
        asyncio.run(with_server())
        gc.collect()  # a session that was left open would warn here
    asyncio.run(model.aclose())


async def test_a_closed_model_opens_again(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat(), chat()]
    await model.complete(ASKED)
    await model.aclose()
    await model.aclose()
    assert (await model.complete(ASKED)).text == "card_arrival"


async def test_calls_at_the_same_time_share_one_session(server: Server, model: OpenAIModel) -> None:
    server.steps = [chat() for _ in range(20)]
    done = await asyncio.gather(*(model.complete(ASKED) for _ in range(20)))
    assert {c.text for c in done} == {"card_arrival"}


@pytest.mark.parametrize(
    "base",
    ["", "api.openai.com", "ftp://host/v1", "http://", "https://u:secret@host/v1", "https://h?a=1"],
)
def test_an_address_that_no_request_can_use_is_refused(base: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAIModel("m", base_url=base, api_key=KEY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["a b", "sk-1\n", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY") as caught:
        AnthropicModel("m", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("changes", [{"timeout_s": 0}, {"retries": -1}, {"connections": 0}])
def test_settings_under_which_nothing_runs_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WireSettings(**changes)
