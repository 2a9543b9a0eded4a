"""`stepdown reconcile`: the difference by line, against exports in documented shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_project import envelope, stepdown

DAY = 1_793_059_200  # 2026-10-27 00:00 UTC


def log(tmp_path: Path, n: int = 10, model: str = "gpt-5.1") -> Path:
    """Return a log of n calls with 1,000 input and 100 output tokens: 0.00225 dollars each."""
    rows = [
        {
            "request": {"model": model, "messages": [{"role": "user", "content": f"hello {i}"}]},
            "response": {
                "id": f"c{i}",
                "object": "chat.completion",
                "created": DAY + i,
                "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}],
                "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 100_000},
            },
            "provider": "openai",
        }
        for i in range(n)
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def export(tmp_path: Path, *results: dict[str, Any], **bucket: Any) -> Path:
    page = {
        "object": "page",
        "data": [{"object": "bucket", "start_time": DAY, **bucket, "results": list(results)}],
        "has_more": False,
    }
    path = tmp_path / "export.json"
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def run(*said: str) -> tuple[int, dict[str, Any]]:
    done = stepdown("reconcile", *said, "--json")
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, envelope(done)["data"]


OURS = 10 * (1.25 + 1.0)  # dollars at 1.25 and 10 a million


def test_equal_sums_of_openai_costs_end_well(tmp_path: Path) -> None:
    paid = {"object": "organization.costs.result", "amount": {"value": OURS, "currency": "usd"}}
    code, data = run(str(log(tmp_path)), "--usage", str(export(tmp_path, paid)))
    assert code == 0
    assert data["ours_usd"] == pytest.approx(OURS)
    assert data["theirs_usd"] == pytest.approx(OURS)


def test_calls_that_our_log_misses_are_told_by_tokens(tmp_path: Path) -> None:
    used = {
        "object": "organization.usage.completions.result",
        "input_tokens": 12_000_000,
        "input_cached_tokens": 0,
        "output_tokens": 1_200_000,
        "num_model_requests": 12,
        "model": "gpt-5.1",
        "batch": False,
    }
    code, data = run(str(log(tmp_path)), "--usage", str(export(tmp_path, used)))
    assert code == 1
    assert sum(part["usd"] for part in data["parts"]) == pytest.approx(2 * 2.25)
    assert {part["why"] for part in data["parts"]} == {"tokens"}
    assert "2 calls more" in data["parts"][0]["said"]
    assert data["unexplained_usd"] == pytest.approx(0)


def test_amounts_of_anthropic_are_cents_as_a_decimal_string(tmp_path: Path) -> None:
    price = 10 * (5.0 + 2.5)
    paid = {"amount": f"{price * 100:.2f}", "currency": "USD", "model": "claude-opus-4-5"}
    path = export(tmp_path, paid, starting_at="2026-10-27T00:00:00Z", start_time=None)
    code, data = run(str(log(tmp_path, model="claude-opus-4-5")), "--usage", str(path))
    assert data["theirs_usd"] == pytest.approx(price)
    assert code in (0, 1)


def test_a_discount_is_a_difference_of_price(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text(
        "day,model,input_tokens,output_tokens,cost\n"
        f"2026-10-27,gpt-5.1,10000000,1000000,{0.8 * OURS}\n",
        encoding="utf-8",
    )
    code, data = run(str(log(tmp_path)), "--usage", str(path))
    assert code == 1
    (part,) = data["parts"]
    assert part["why"] == "price"
    assert part["usd"] == pytest.approx(-0.2 * OURS)


def test_an_invoice_leaves_the_difference_unexplained(tmp_path: Path) -> None:
    code, data = run(str(log(tmp_path)), "--invoice", "30")
    assert code == 1
    assert data["unexplained_usd"] == pytest.approx(30 - OURS)
    code, _ = run(str(log(tmp_path)), "--invoice", "22.6", "--tolerance", "1%")
    assert code == 0


def test_a_period_leaves_other_days_out(tmp_path: Path) -> None:
    code, data = run(str(log(tmp_path)), "--invoice", "0.01", "--period", "2026-11")
    assert code == 1
    assert data["ours_usd"] is None


@pytest.mark.parametrize(
    "said",
    [
        ["--invoice", "1", "--tolerance", "wide"],
        ["--invoice", "1", "--period", "autumn"],
        [],
        ["--usage", "nowhere.json"],
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, said: list[str]) -> None:
    assert stepdown("reconcile", str(log(tmp_path)), *said).exit_code == 2
