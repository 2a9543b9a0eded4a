"""The HTTP server under the gateway's application; it serves any ASGI application."""

from stepdown.adapters.gateway.server.serving import running, serve

__all__ = ["running", "serve"]
