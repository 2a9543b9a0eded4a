"""Hosted models as upstream tiers, over the OpenAI wire or the Anthropic wire."""
