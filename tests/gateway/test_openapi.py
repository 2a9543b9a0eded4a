"""The served OpenAPI document, and schemathesis against it: never a 500, every answer as told."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from gateway_fake_handler import FakeHandler
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as conformance

from stepdown.adapters.gateway import GatewayApp, running

CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(GatewayApp(FakeHandler(), version="1.2.3", max_body_bytes=50_000)) as base:
        yield base


@pytest.fixture(scope="module")
def document(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        return json.load(answer)


def test_the_document_lists_every_path_that_is_answered(document: Any) -> None:
    assert document["info"]["version"] == "1.2.3"
    assert {path: list(said) for path, said in document["paths"].items()} == {
        "/v1/chat/completions": ["post"],
        "/v1/messages": ["post"],
        "/v1/embeddings": ["post"],
        "/": ["get"],
        "/healthz": ["get"],
        "/openapi.json": ["get"],
        "/v1/models": ["get"],
    }


def test_the_document_says_of_each_field_what_the_decoder_takes(document: Any) -> None:
    chat = document["components"]["schemas"]["ChatRequest"]
    assert chat["required"] == ["model", "messages"]
    assert chat["properties"]["messages"]["maxItems"] == 2048
    assert chat["properties"]["n"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 8}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"])
def test_schemathesis_finds_no_request_that_is_answered_otherwise_than_the_document_says(
    url: str, document: Any, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    calm = list(HealthCheck)

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=calm)
    @seed(20261128)
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        response = case.call(base_url=url)
        case.validate_response(response, checks=CHECKS)

    answered()
