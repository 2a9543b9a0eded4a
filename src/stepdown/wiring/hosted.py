"""Build the model of a hosted tier: which wire, at which address, with whose key, within limits."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stepdown.adapters.models.wire.settings import WireSettings
from stepdown.core.request import Capabilities
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError
from stepdown.ports.model import Model
from stepdown.wiring.environment import Environment

KEY_LIMIT_BYTES = 64_000  # a longer file is no key


def hosted_model(tier: Tier, environment: Environment, root: Path) -> Model:
    """Return the model of a hosted tier; `root` is the project's folder.

    Raises:
        ConfigError: a key is missing, an address cannot be, or a package is not installed.
    """
    maker = _MAKERS[tier.adapter]
    return maker(tier, environment, root)


def wire_settings(tier: Tier) -> WireSettings:
    """Return how the tier's server is called."""
    said = tier.limits
    return WireSettings(
        timeout_s=tier.timeout_s,
        connect_s=said.connect_s,
        first_byte_s=said.first_byte_s,
        silence_s=said.idle_s,
        retries=said.retries,
        connections=said.concurrency or WireSettings().connections,
    )


def secret_of(tier: Tier, environment: Environment, root: Path, variable: str) -> tuple[str, str]:
    """Return a tier's key and where it is from; `variable` is the vendor's usual one.

    A tier with an address of its own and no named key needs none: a server at home.

    Raises:
        ConfigError: it is named and not there.
    """
    if tier.api_key_file is not None:
        where = f"tiers.{tier.name}.api_key_file: {tier.api_key_file}"
        path = root / Path(tier.api_key_file).expanduser()
        return key_in_file(where, path), f"the file {tier.api_key_file}"
    named = tier.api_key_env or variable
    if tier.base_url is not None and tier.api_key_env is None:
        return environment.variables.get(named, ""), named
    return environment.secret(named, f"The tier {tier.name!r}"), named


def key_in_file(where: str, path: Path) -> str:
    """Return the key that a file holds; `where` is the key of stepdown.toml that names it.

    Raises:
        ConfigError: it cannot be read, is empty, or is not text.
    """
    try:
        with path.open("rb") as file:
            found = file.read(KEY_LIMIT_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"{where} cannot be read: {why}.", "Name the file with the key."
        ) from None
    if not found:
        raise ConfigError(f"{where} is empty.", "Put the key into it, and nothing else.")
    return found


def _able(offered: Capabilities, tier: Tier) -> Capabilities:
    """Return what a wire offers, less what the project says that the tier cannot do."""
    return replace(offered, vision=offered.vision and tier.vision is not False)


def _openai(tier: Tier, environment: Environment, root: Path) -> Model:
    from stepdown.adapters.models.wire.openai import DEFAULT_BASE, OFFERED, OpenAIModel

    value, origin = secret_of(tier, environment, root, "OPENAI_API_KEY")
    return OpenAIModel(
        tier.target,
        capabilities=_able(OFFERED, tier),
        base_url=tier.base_url or DEFAULT_BASE,
        api_key=value,
        api_key_env=origin,
        settings=wire_settings(tier),
    )


def _anthropic(tier: Tier, environment: Environment, root: Path) -> Model:
    from stepdown.adapters.models.wire.anthropic import DEFAULT_BASE, OFFERED, AnthropicModel

    value, origin = secret_of(tier, environment, root, "ANTHROPIC_API_KEY")
    return AnthropicModel(
        tier.target,
        capabilities=_able(OFFERED, tier),
        base_url=tier.base_url or DEFAULT_BASE,
        api_key=value,
        api_key_env=origin,
        settings=wire_settings(tier),
    )


def _azure(tier: Tier, environment: Environment, root: Path) -> Model:
    from stepdown.adapters.models.wire.azure import AzureModel

    if tier.base_url is None:
        raise ConfigError(
            f"tiers.{tier.name}: an azure tier needs the address of its resource.",
            'Write base_url = "https://NAME.openai.azure.com".',
        )
    variable = tier.api_key_env or "AZURE_OPENAI_API_KEY"
    if tier.api_key_file is None:
        value, origin = environment.secret(variable, f"The tier {tier.name!r}"), variable
    else:
        value, origin = secret_of(tier, environment, root, variable)
    return AzureModel(
        tier.target,
        base_url=tier.base_url,
        api_version=tier.api_version,
        api_key=value,
        api_key_env=origin,
        settings=wire_settings(tier),
    )


def _bedrock(tier: Tier, environment: Environment, root: Path) -> Model:
    from stepdown.adapters.models.wire.bedrock import BedrockModel

    known = environment.variables
    region = tier.region or known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigError(
            f"tiers.{tier.name}: a bedrock tier needs a region.",
            'Write region = "eu-central-1", or set AWS_REGION.',
        )
    value, origin = _optional(tier, environment, root, "AWS_BEARER_TOKEN_BEDROCK")
    return BedrockModel(
        tier.target,
        region=region,
        base_url=tier.base_url,
        api_key=value,
        api_key_env=origin,
        settings=wire_settings(tier),
    )


def _any_llm(tier: Tier, environment: Environment, root: Path) -> Model:
    from stepdown.adapters.models.any_llm import AnyModel

    value, origin = _optional(tier, environment, root, "")
    return AnyModel(
        tier.target,
        api_key=value,
        api_key_env=origin,
        base_url=tier.base_url,
        timeout_s=tier.timeout_s,
    )


def _optional(tier: Tier, environment: Environment, root: Path, variable: str) -> tuple[str, str]:
    """Return a key that may be missing: then the adapter knows another way."""
    if tier.api_key_file is not None or tier.api_key_env is not None:
        return secret_of(tier, environment, root, variable)
    return environment.variables.get(variable, "") if variable else "", variable


_MAKERS = {
    "openai": _openai,
    "anthropic": _anthropic,
    "azure": _azure,
    "bedrock": _bedrock,
    "any-llm": _any_llm,
}
