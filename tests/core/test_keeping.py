"""What is kept: nothing, counts and digests, a share of the texts, all of them."""

from __future__ import annotations

import msgspec

from stepdown.core.beside import Shadow
from stepdown.core.keeping import (
    Keeping,
    own_words,
    shadow_without_texts,
    tally_of,
    tally_of_shadow,
    without_texts,
)
from stepdown.core.request import Usage
from stepdown.core.trace import Attempt, Trace

CANARY = "CANARY-7f3a"
FAILED = f"'gpt' at host failed with status 400: you wrote {CANARY}."
ATTEMPT = Attempt(
    id="r1/1",
    trace_id="r1",
    number=1,
    tier="big",
    started_at="2026-11-22T10:11:12.000+00:00",
    usage=Usage(input_tokens=77_777),
    failure="provider_error",
    failure_detail=FAILED,
    answer=CANARY,
)
TRACE = Trace(
    id="r1",
    task="intent",
    at="2026-11-22T10:11:12.345+00:00",
    attempts=(ATTEMPT,),
    answered_by="big",
    reason="entry",
    latency_s=0.12345,
    cost_usd=0.5,
    message_id="m-1",
    session="abc",
    lock_digest="sha256:1",
    input=CANARY,
    answer=CANARY,
)


def test_without_texts_nothing_of_the_request_is_left_not_even_in_an_error() -> None:
    bare = without_texts(TRACE)
    assert CANARY.encode() not in msgspec.json.encode(bare)
    assert bare.attempts[0].failure == "provider_error"
    assert bare.cost_usd == 0.5


def test_our_own_words_of_an_error_stay() -> None:
    assert own_words(FAILED).startswith("'gpt' at host failed with status 400 (")
    assert own_words("'gpt' did not answer within 3 s.") == "'gpt' did not answer within 3 s."


def test_a_tally_holds_nothing_that_is_of_one_request_alone() -> None:
    written = msgspec.json.encode(tally_of(TRACE, lambda: "random")).decode()
    for part in (CANARY, "r1", "m-1", "abc", "sha256", "77777", "10:11"):
        assert part not in written
    assert '"hour":"2026-11-22T10"' in written


def test_a_shadow_without_texts_keeps_its_verdict_and_a_digest() -> None:
    shadow = Shadow(
        id="r1~shadow",
        trace_id="r1",
        task="intent",
        at="2026-11-22T10:11:12.345+00:00",
        agreed=False,
        attempts=(ATTEMPT,),
        input_digest="sha256:9",
        input=CANARY,
        answer=CANARY,
        caller_answer=CANARY,
    )
    bare = shadow_without_texts(shadow)
    assert CANARY.encode() not in msgspec.json.encode(bare)
    assert (bare.agreed, bare.input_digest) == (False, "sha256:9")
    tally = msgspec.json.encode(tally_of_shadow(shadow, lambda: "random")).decode()
    assert "sha256" not in tally
    assert '"agreed":false' in tally


def test_a_sample_keeps_its_share_and_the_same_ones_each_time() -> None:
    keeping = Keeping("sample", 0.1)
    kept = [keeping.texts(5, f"r{n}") for n in range(5000)]
    assert abs(sum(kept) - 500) < 5 * (5000 * 0.1 * 0.9) ** 0.5
    assert kept == [keeping.texts(5, f"r{n}") for n in range(5000)]


def test_all_and_none_are_all_and_none() -> None:
    assert Keeping("full").texts(5, "r1")
    assert not Keeping("metadata").texts(5, "r1")
    assert not Keeping("none").texts(5, "r1")
