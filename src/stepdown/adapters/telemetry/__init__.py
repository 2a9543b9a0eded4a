"""Telemetry: traces as OpenTelemetry spans, exported by the official SDK (extra `otel`)."""
