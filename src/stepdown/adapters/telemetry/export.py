"""Send spans over OTLP/HTTP with the official SDK, from a thread of its own behind a bounded queue.

Source: opentelemetry-python 1.45, `BatchSpanProcessor`, `OTLPSpanExporter`. A collector that is
slow or down costs spans, which are counted, and nothing else.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Collection, Mapping
from typing import Any

from stepdown.adapters.telemetry.spans import Target, write_spans
from stepdown.core.trace import Trace
from stepdown.errors import ConfigError

MOST = 2048  # the default queue of the SDK's own processor
_STOP_S = 5.0
_log = logging.getLogger("stepdown.telemetry")


class SpanExport:
    """Turn traces into spans and send them to `endpoint` (a whole URL, `/v1/traces` included).

    Raises:
        ConfigError: the extra is not installed.
    """

    def __init__(
        self,
        endpoint: str,
        targets: Mapping[str, Target],
        embeds: Collection[str] = (),
        *,
        headers: Mapping[str, str] = {},
        service: str = "stepdown",
        version: str = "",
        most: int = MOST,
    ) -> None:
        self._targets = targets
        self._embeds = embeds
        self._provider = _provider(endpoint, headers, service, version)
        self._tracer = self._provider.get_tracer("stepdown", version)
        self._queue: queue.Queue[Trace | None] = queue.Queue(most)
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="stepdown-spans", daemon=True)
        self._thread.start()

    def __call__(self, trace: Trace) -> None:
        """Take a trace; one that finds the queue full is dropped and counted."""
        try:
            self._queue.put_nowait(trace)
        except queue.Full:
            self.dropped += 1

    def _work(self) -> None:
        while (trace := self._queue.get()) is not None:
            try:
                write_spans(self._tracer, trace, self._targets, self._embeds)
            except Exception:  # noqa: BLE001 the edge: telemetry must not end with one bad trace
                self.dropped += 1
                _log.warning("a trace could not be exported", exc_info=True)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        try:
            self._queue.put(None, timeout=_STOP_S)
        except queue.Full:
            _log.warning("the span queue did not empty; its rest is lost")
        self._thread.join(_STOP_S)
        self._provider.shutdown()


def _provider(endpoint: str, headers: Mapping[str, str], service: str, version: str) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the OpenTelemetry SDK is not installed.",
            'Install it with `pip install "stepdown[otel]"`, or unset the variable.',
        ) from None
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers))
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST))
    return provider
