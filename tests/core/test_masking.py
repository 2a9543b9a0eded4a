"""What a report must never show is masked, and what it must show is not."""

import pytest

from stepdown.core.masking import mask, masked

SECRETS = [
    "sk-proj-abcdef1234567890abcd",
    "sk-ant-api03-abcdefghijklmnop",
    "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz0123",
    "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl",
    "jane.doe+x@mail.example.com",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "+49 170 1234567",
    "(555) 123-4567",
    "123-45-6789",
    "192.168.10.27",
    "4f1c9a7e2b8d4c6f9e0a1b2c3d4e5f60718293a4",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_inside_a_sentence_is_masked(secret: str) -> None:
    shown = mask(f"Please look at {secret}, thank you.")
    assert secret not in shown
    assert shown.startswith("Please look at <")
    assert shown.endswith(", thank you.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It runs at 10.20.30.40.", "It runs at <ip>."),
        ("password: hunter2hunter", "password: <secret>"),
        ('{"api_key": "abcdef123"}', '{"api_key": "<secret>"}'),
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer <secret>"),
        ("postgres://me:pw1234@host/db", "postgres://me:<secret>@host/db"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "<key>"),
    ],
)
def test_a_secret_that_is_named_is_masked_and_its_name_stays(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01 to 2026-11-30, 12,345 calls",
        "2026-11-01T00:00:00Z",
        "genai-prices 0.2.3, list price of openai/gpt-4.1 in force since 2025-04-14",
        "claude-sonnet-4-5-20250929",
        "keys: amount, currency, order_id",
        "order 12345678901234",
        "the token is refreshed",
        "prompts up to 200000 tokens",
        "/var/log/pipelines/production/2026/november/calls.jsonl:12",
    ],
)
def test_what_a_report_must_show_stays(text: str) -> None:
    assert mask(text) == text


def test_every_text_of_plain_data_is_masked() -> None:
    found = masked({"a@b.example": ["c@d.example", 3, None, {"x": "sk-abcdefghijklmnop"}]})
    assert found == {"<email>": ["<email>", 3, None, {"x": "<key>"}]}
