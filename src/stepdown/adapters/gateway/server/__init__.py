"""The HTTP server under the gateway's application; it serves any ASGI application."""

from stepdown.adapters.gateway.server.listening import base_url, bind_all, raise_file_limit
from stepdown.adapters.gateway.server.serving import running, serve, serve_on
from stepdown.adapters.gateway.server.workers import Worker, Workers

__all__ = [
    "Worker",
    "Workers",
    "base_url",
    "bind_all",
    "raise_file_limit",
    "running",
    "serve",
    "serve_on",
]
