"""Vectors over the wire, with the official client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from gateway_fake_handler import FakeHandler
from openai import OpenAI

from stepdown.adapters.gateway import GatewayApp, running
from stepdown.core.request import Usage
from stepdown.errors import InputError, TimedOut


@pytest.fixture(scope="module")
def only_handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def handler(only_handler: FakeHandler) -> FakeHandler:
    only_handler.forget()
    return only_handler


@pytest.fixture(scope="module")
def url(only_handler: FakeHandler) -> Iterator[str]:
    with running(GatewayApp(only_handler)) as base:
        yield base


@pytest.fixture
def client(url: str, handler: FakeHandler) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as opened:
        yield opened


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_the_official_client_gets_the_same_vectors_in_either_form(
    client: OpenAI, handler: FakeHandler, form: Any
) -> None:
    handler.says = {"usage": Usage(input_tokens=9)}
    asked = {"model": "draft", "input": ["a", "bcd"]}
    said = client.embeddings.create(**asked, **({"encoding_format": form} if form else {}))
    if form == "base64":
        assert [one.embedding for one in said.data] == ["AAAAPwAAgD8=", "AAAAPwAAQEA="]
    else:
        assert [list(one.embedding) for one in said.data] == [[0.5, 1.0], [0.5, 3.0]]
    assert [one.index for one in said.data] == [0, 1]
    assert (said.usage.prompt_tokens, said.model) == (9, "draft")


def test_one_text_is_a_list_of_one(client: OpenAI, handler: FakeHandler) -> None:
    assert len(client.embeddings.create(model="draft", input="a", dimensions=2).data) == 1
    (call,) = handler.embeds
    assert (call.texts, call.dimensions) == (("a",), 2)


def test_the_headers_explain_a_vector_too(client: OpenAI) -> None:
    said = client.embeddings.with_raw_response.create(model="draft", input="a", user="me")
    assert said.headers["x-stepdown-tier"] == "expert"
    assert said.headers["x-stepdown-ignored"] == "user"


@pytest.mark.parametrize(
    ("wrong", "param", "message"),
    [
        ([1, 2], "input", "tokens"),
        ([[1, 2]], "input", "tokens"),
        (["a", ""], "input[1]", "empty"),
        ("", "input", "length"),
        ([], "input", "length"),
        (["a"] * 2049, "input", "length"),
    ],
)
def test_what_cannot_be_embedded_is_refused_clearly(
    client: OpenAI, handler: FakeHandler, wrong: Any, param: str, message: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        client.embeddings.create(model="draft", input=wrong)
    assert caught.value.param == param
    assert handler.embeds == []


def test_errors_raise_the_clients_own_classes(client: OpenAI, handler: FakeHandler) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nobody", input="a")
    handler.says = InputError("'draft' is no embed task.")
    with pytest.raises(openai.BadRequestError, match="no embed task"):
        client.embeddings.create(model="draft", input="a")
    handler.says = TimedOut("late.")
    with pytest.raises(openai.InternalServerError, match="late"):
        client.embeddings.create(model="draft", input="a")
