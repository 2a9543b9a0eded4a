"""Export spans where the environment names a collector, by the variables of OpenTelemetry.

Source: OpenTelemetry specification, "OTLP Exporter Configuration", 2026-11. The SDK itself reads
the rest of its variables (time-out, compression, certificate).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from stepdown import __version__
from stepdown.adapters.telemetry.spans import Target
from stepdown.core.tier import Tier
from stepdown.wiring.workspace import Workspace

if TYPE_CHECKING:
    from stepdown.adapters.telemetry.export import SpanExport

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
OFF = "OTEL_SDK_DISABLED"
PROVIDERS = {  # adapter: its provider's name in the conventions
    "openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
}


def span_export(workspace: Workspace) -> SpanExport | None:
    """Return the export that the environment asks for, None where it asks for none.

    Raises:
        ConfigError: it asks for one, and the extra is not installed.
    """
    said = workspace.environment.variables
    endpoint = endpoint_in(said)
    if endpoint is None:
        return None
    from stepdown.adapters.telemetry.export import SpanExport

    return SpanExport(
        endpoint,
        {name: target_of(tier) for name, tier in workspace.project.tiers.items()},
        {name for name, task in workspace.project.tasks.items() if task.kind == "embed"},
        headers=headers_in(said),
        service=said.get("OTEL_SERVICE_NAME") or "stepdown",
        version=__version__,
    )


def endpoint_in(said: Mapping[str, str]) -> str | None:
    """Return the URL that spans are sent to; the common variable names the part before it."""
    if said.get(OFF, "").lower() == "true":
        return None
    if said.get(TRACES):
        return said[TRACES]
    return f"{said[BASE].rstrip('/')}/v1/traces" if said.get(BASE) else None


def headers_in(said: Mapping[str, str]) -> dict[str, str]:
    """Return the headers, `name=value` separated by commas, values URL-encoded."""
    found = {}
    for variable in HEADERS:
        for pair in said.get(variable, "").split(","):
            name, equals, value = pair.partition("=")
            if equals and name.strip():
                found[name.strip().lower()] = unquote(value.strip())
    return found


def target_of(tier: Tier) -> Target:
    """Return what a tier calls, in the words of the conventions."""
    provider = PROVIDERS.get(tier.adapter, "stepdown")
    return Target(provider, tier.target, inside=tier.place == "embedded")
