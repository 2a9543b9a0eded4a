"""Azure's variant of the OpenAI wire: its own address, its own header for the key.

Sources: Microsoft Learn, "Azure OpenAI in Azure AI Foundry Models REST API reference" (versioned
addresses, `api-key`) and "Azure OpenAI API version lifecycle" (the v1 address), read 2026-11.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import SystemRandom
from urllib.parse import quote

from stepdown.adapters.models.wire.address import Key, checked_base
from stepdown.adapters.models.wire.hosted import HostedModel
from stepdown.adapters.models.wire.openai import OFFERED, ChatForm
from stepdown.adapters.models.wire.retrying import Sleep
from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.request import Capabilities


class AzureModel(HostedModel):
    """Answer through a deployment of an Azure resource.

    With `api_version` at `/openai/deployments/DEPLOYMENT/chat/completions?api-version=...`, without
    at `/openai/v1/chat/completions`, which has no versions.
    """

    def __init__(
        self,
        deployment: str,
        *,
        base_url: str,
        api_version: str | None = None,
        api_key: str,
        api_key_env: str = "AZURE_OPENAI_API_KEY",
        capabilities: Capabilities = OFFERED,
        settings: WireSettings | None = None,
        clock: Callable[[], float] = time.perf_counter,
        jitter: Callable[[], float] = SystemRandom().random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep the address and the key; nothing is opened before the first call.

        Args:
            deployment: name of the deployment, which Azure takes in place of the model's.
            base_url: the resource, such as `https://NAME.openai.azure.com`.
            api_version: such as `2024-10-21`; None for the address without versions.
            api_key: the key.
            api_key_env: the variable that the key is from, for messages.
            capabilities: what this model can do, where less than the wire offers.
            settings: limits, waits and retries.
            clock: seconds, for the latency.
            jitter: draws in [0, 1) that spread retries.
            sleep: waits between tries.

        Raises:
            ConfigError: an address or a key that no request can carry.
        """
        base = checked_base(base_url).removesuffix("/openai/v1").removesuffix("/openai")
        key = Key(api_key, api_key_env)
        super().__init__(
            model=deployment,
            url=_url(base, deployment, api_version),
            key=key,
            headers={"api-key": key.reveal()},
            form=ChatForm(deployment, at_home=False),
            decides=["azure", base, deployment, api_version, {"n": 1}],
            capabilities=capabilities,
            settings=settings,
            clock=clock,
            jitter=jitter,
            sleep=sleep,
        )


def _url(base: str, deployment: str, api_version: str | None) -> str:
    if api_version is None:
        return f"{base}/openai/v1/chat/completions"
    named = f"{base}/openai/deployments/{quote(deployment, safe='')}/chat/completions"
    return f"{named}?api-version={quote(api_version, safe='')}"
