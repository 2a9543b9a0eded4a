"""The HTTP gateway: the OpenAI chat wire in front of a Handler."""

from stepdown.adapters.gateway.app import GatewayApp
from stepdown.adapters.gateway.server import running, serve

__all__ = ["GatewayApp", "running", "serve"]
