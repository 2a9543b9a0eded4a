"""Spans over OTLP/HTTP to a receiver at a real socket, decoded by OpenTelemetry's own protocol."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stepdown.adapters.telemetry.export import SpanExport
from stepdown.adapters.telemetry.spans import Target
from stepdown.core.caller_span import CallerSpan
from stepdown.core.request import Usage
from stepdown.core.trace import Attempt, Trace
from stepdown.wiring.telemetry import endpoint_in, headers_in

CANARY = "CANARY-9a"
TARGETS = {
    "small": Target("stepdown", "static-minilm-256", inside=True),
    "big": Target("openai", "gpt-big"),
}


class Receiver(HTTPServer):
    """Keep what is exported; `stall` makes it slow, `status` makes it refuse."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, Any, bytes]] = []
        self.stall = threading.Event()
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"

    def spans(self) -> list[Any]:
        found = []
        for _, _, body in self.got:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, self.headers, body))
        if self.server.stall.is_set():
            time.sleep(1)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def trace(name: str = "r1") -> Trace:
    small = Attempt(
        id=f"{name}/1",
        trace_id=name,
        number=1,
        tier="small",
        started_at="2026-11-22T10:00:00.000+00:00",
        latency_s=0.01,
        failure="invalid_output",
        failure_detail=f"got {CANARY}",
        answer=CANARY,
    )
    big = Attempt(
        id=f"{name}/2",
        trace_id=name,
        number=2,
        tier="big",
        why="invalid_output",
        started_at="2026-11-22T10:00:00.010+00:00",
        latency_s=0.5,
        first_token_s=0.2,
        cost_usd=0.25,
        usage=Usage(input_tokens=100, output_tokens=7, cached_tokens=60, cache_write_tokens=5),
        answer=CANARY,
    )
    return Trace(
        id=name,
        task="intent",
        at="2026-11-22T10:00:00.600+00:00",
        attempts=(small, big),
        answered_by="big",
        reason="last_tier",
        latency_s=0.6,
        session="abc",
        input=CANARY,
        answer=CANARY,
    )


def attributes(span: Any) -> dict[str, Any]:
    found = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind)
    return found


def test_a_request_is_a_span_with_one_inside_for_each_call_in_the_names_of_today() -> None:
    with receiver() as server:
        export = SpanExport(server.url, TARGETS, headers={"x-team": "a b"}, service="desk")
        export(trace())
        export.close()
        [(path, headers, body)] = server.got
        assert (path, headers["x-team"]) == ("/v1/traces", "a b")
        spans = {span.name: span for span in server.spans()}
    names = ("stepdown intent", "chat static-minilm-256", "chat gpt-big")
    whole, small, big = (spans[name] for name in names)
    assert small.parent_span_id == big.parent_span_id == whole.span_id
    assert {span.trace_id for span in spans.values()} == {whole.trace_id}
    assert (whole.kind, small.kind, big.kind) == (2, 1, 3)  # server, internal, client
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == 600_000_000
    assert big.end_time_unix_nano - big.start_time_unix_nano == 500_000_000
    told = attributes(big)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == "gpt-big"
    assert told["gen_ai.usage.input_tokens"] == 100
    assert told["gen_ai.usage.cache_read.input_tokens"] == 60
    assert told["gen_ai.usage.cache_write.input_tokens"] == 5
    assert told["gen_ai.response.time_to_first_chunk"] == 0.2
    assert told["gen_ai.conversation.id"] == "abc"
    assert attributes(small)["error.type"] == "invalid_output"
    assert small.status.code == 2
    assert attributes(whole)["stepdown.trace_id"] == "r1"
    assert CANARY.encode() not in body


def spans_of(one: Trace, **options: Any) -> list[Any]:
    with receiver() as server:
        export = SpanExport(server.url, TARGETS, **options)
        export(one)
        export.close()
        return server.spans()


def test_the_spans_join_the_trace_of_the_caller() -> None:
    caller = CallerSpan("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    spans = spans_of(replace(trace(), caller_span=caller))
    assert {span.trace_id.hex() for span in spans} == {caller.trace_id}
    [whole] = [span for span in spans if span.name == "stepdown intent"]
    assert whole.parent_span_id.hex() == caller.span_id
    assert all(span.parent_span_id == whole.span_id for span in spans if span is not whole)


def test_a_caller_who_does_not_record_their_trace_gets_no_spans() -> None:
    caller = CallerSpan("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=False)
    assert spans_of(replace(trace(), caller_span=caller)) == []


def test_a_call_for_vectors_is_an_operation_of_its_own() -> None:
    spans = spans_of(trace(), embeds={"intent"})
    calls = [span for span in spans if span.parent_span_id]
    assert {span.name for span in calls} == {"embeddings static-minilm-256", "embeddings gpt-big"}
    assert {attributes(span)["gen_ai.operation.name"] for span in calls} == {"embeddings"}


def test_a_collector_that_is_slow_costs_spans_and_no_time() -> None:
    with receiver() as server:
        server.stall.set()
        export = SpanExport(server.url, TARGETS, most=10)
        for number in range(5000):  # none of these waits: what finds the queue full is dropped
            export(trace(f"r{number}"))
        assert export.dropped > 0
        server.stall.clear()
        export.close()


def test_the_variables_of_opentelemetry_say_where() -> None:
    base, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    assert endpoint_in({}) is None
    assert endpoint_in({base: "http://a:4318/"}) == "http://a:4318/v1/traces"
    assert endpoint_in({base: "http://a", traces: "http://b/in"}) == "http://b/in"
    assert endpoint_in({base: "http://a", "OTEL_SDK_DISABLED": "true"}) is None
    said = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x, b = c,broken"}
    assert headers_in(said) == {"authorization": "Bearer x", "b": "c"}
