"""The adapters (what stands before the colon in `model`) whose tiers read prompts."""

READERS = ("llama", "openai", "anthropic", "azure", "bedrock", "any-llm")
