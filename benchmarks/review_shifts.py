"""Recorded outcomes of one domain, then another: what each way of watching lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stepdown.certify.watched import QUANTILES
from stepdown.core.digest import draw
from stepdown.core.lock import Guarantee, LockedTask, Marked, Watched, task_digest
from stepdown.core.policy import cascade
from stepdown.review.assessing import Asked, assess
from stepdown.review.seen import Audit, Day, FirstCall, Seen
from stepdown.review.withdrawing import Certificate
from stepdown.train.familiarity import fit_familiarity

Floats = NDArray[np.float64]
START = date(2026, 1, 1)


class Domain:
    """Requests of one domain in a shuffled order: confidence, familiarity, loss of keeping."""

    def __init__(self, confidence: Floats, familiarity: Floats, lost: Floats) -> None:
        self.confidence, self.familiarity, self.lost = confidence, familiarity, lost

    def take(self, rows: NDArray[np.intp]) -> Domain:
        return Domain(self.confidence[rows], self.familiarity[rows], self.lost[rows])

    def then(self, other: Domain) -> Domain:
        both = ((self.confidence, other.confidence), (self.familiarity, other.familiarity))
        lost = np.concatenate([self.lost, other.lost])
        return Domain(np.concatenate(both[0]), np.concatenate(both[1]), lost)


SHARE, LOOK, SHIFT, WINDOW, WITHIN = 0.05, 20, 300, 100, 300
MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
LLAMA, QWEN, GEMMA = "llama-3.1-8b-instruct", "qwen2.5-7b-instruct", "gemma-2-9b-it"
SHIFTS = (
    ("GSM8K, then MMLU; Mixtral", "routellm_gsm8k", "", "routellm_mmlu", "", MIXTRAL),
    (
        "GSM8K, then MMLU; Qwen 7B",
        "llmrouter_dcrouter",
        "gsm8k",
        "llmrouter_dcrouter",
        "mmlu",
        QWEN,
    ),
    (
        "GSM8K, then MATH; Llama 8B",
        "llmrouter_dcrouter",
        "gsm8k",
        "llmrouter_dcrouter",
        "math",
        LLAMA,
    ),
    (
        "GSM8K, then GPQA; Llama 8B",
        "llmrouter_dcrouter",
        "gsm8k",
        "llmrouter_dcrouter",
        "gpqa",
        LLAMA,
    ),
    (
        "GSM8K, then NQ; Gemma 9B",
        "llmrouter_dcrouter",
        "gsm8k",
        "llmrouter_dcrouter",
        "natural_qa",
        GEMMA,
    ),
    ("GSM8K, then GSM8K; Mixtral", "routellm_gsm8k", "", "routellm_gsm8k", "", MIXTRAL),
)


def recorded(data: Path, shuffles: int) -> list[dict[str, Any]]:
    """Play every shift with every shuffle."""
    from stepdown.adapters.encoders.static import load_static

    encoder = load_static()
    vectors: dict[str, Any] = {}

    def embed(texts: Sequence[str]) -> Any:
        key = f"{len(texts)} {texts[0][:40]} {texts[-1][:40]}"
        if key not in vectors:
            vectors[key] = encoder.embed(texts)
        return vectors[key]

    return [shifted(data, shift, shuffles, embed) for shift in SHIFTS]


def shifted(
    data: Path, shift: tuple[str, ...], shuffles: int, embed: Callable[[Sequence[str]], Any]
) -> dict[str, Any]:
    """Return what each way of watching makes of one shift, over all shuffles."""
    name, first, task, then, other, model = shift
    home, away = rows_of(data, first, task, model), rows_of(data, then, other, model)
    at_home, at_away = embed(home[0]), embed(away[0])
    runs = [play(at_home, home[1], at_away, away[1], seed, name) for seed in range(shuffles)]
    ways = {way: [run["ways"][way] for run in runs] for way in runs[0]["ways"]}
    return {
        "name": name,
        "shuffles": shuffles,
        "promise": float(np.mean([run["promise"] for run in runs])),
        "kept_at_home": float(np.mean([run["kept_at_home"] for run in runs])),
        "broken_by_shift": sum(run["away_error"] > 1.5 * run["promise"] for run in runs),
        "away_error": float(np.mean([run["away_error"] for run in runs])),
        "ways": {way: summed(found) for way, found in ways.items()},
    }


def summed(found: list[dict[str, Any]]) -> dict[str, Any]:
    back = [one["back_after"] for one in found]
    known = [one["error_300"] for one in found if one["error_300"] is not None]
    late = [one["error_after_300"] for one in found if one["error_after_300"] is not None]
    return {
        "back_within_300": sum(b is not None and b <= WITHIN for b in back),
        "median_back": float(np.median([np.inf if b is None else b for b in back])),
        "error_0_300": float(np.mean(known)) if known else None,
        "error_after_300": float(np.mean(late)) if late else None,
        "kept_after_300": float(np.mean([one["kept_after_300"] for one in found])),
        "before_shift": sum(one["early"] for one in found),
        "rang_after": [one["rang"] for one in found],
        "kinds": sorted({one["kind"] for one in found if one["kind"]}),
        "n": len(found),
    }


def rows_of(data: Path, source: str, task: str, model: str) -> tuple[list[str], Floats]:
    """Return the prompts and the error (1 - score) of a model, contaminated rows left out."""
    import pandas as pd

    asked = pd.read_parquet(data / f"{source}.queries.parquet")
    scores = pd.read_parquet(data / f"{source}.scores.parquet")
    if "contaminated" in asked:
        asked = asked[~asked["contaminated"]]
    if task:
        asked = asked[asked["task"] == task]
    asked = asked.drop_duplicates("prompt")
    mine = scores[scores["model"] == model].set_index("query_id")["score"]
    found = asked[asked["query_id"].isin(mine.index)].sort_values("query_id")
    error = 1 - mine.loc[found["query_id"]].to_numpy(dtype=np.float64)
    return found["prompt"].tolist(), error


def play(
    home: Any, home_lost: Floats, away: Any, away_lost: Floats, seed: int, name: str
) -> dict[str, Any]:
    """Fit, certify and serve at home, then serve away; one shuffle."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(home_lost))
    fit, tune = order[: len(order) // 3], order[len(order) // 3 : 2 * len(order) // 3]
    live = order[2 * len(order) // 3 :][:SHIFT]
    sure, familiar = learned(home[fit], home_lost[fit])
    certify = Domain(sure(home[tune]), familiar(home[tune]), home_lost[tune])
    threshold, promise = certified(certify)
    same = name.startswith("GSM8K, then GSM8K")
    rest = order[2 * len(order) // 3 :][SHIFT:] if same else rng.permutation(len(away_lost))[:900]
    where, lost = (home, home_lost) if same else (away, away_lost)
    begin = Domain(sure(home[live]), familiar(home[live]), home_lost[live])
    then = Domain(sure(where[rest]), familiar(where[rest]), lost[rest])
    stream, at = begin.then(then), len(begin.lost)
    kept = then.confidence >= threshold
    ways = {
        "static threshold": static(stream, threshold),
        "adaptive conformal, 5%": adaptive(stream, threshold, certify, promise, seed, SHARE),
        "adaptive conformal, all": adaptive(stream, threshold, certify, promise, seed, 1.0),
        "loss alone": stepdown(stream, threshold, certify, promise, seed, ()),
        "loss, confidence": stepdown(stream, threshold, certify, promise, seed, ("confidence",)),
        "all alarms": stepdown(
            stream, threshold, certify, promise, seed, ("confidence", "familiarity")
        ),
    }
    return {
        "promise": promise,
        "kept_at_home": float((certify.confidence >= threshold).mean()),
        "away_error": float(then.lost[kept].mean()) if kept.any() else 0.0,
        "ways": {way: judged(*found, stream, at, promise) for way, found in ways.items()},
    }


def learned(vectors: Any, lost: Floats) -> tuple[Callable[[Any], Floats], Callable[[Any], Floats]]:
    """Fit the chance of an error on vectors (ridge regression), and how familiar a vector is."""
    mean = vectors.mean(axis=0)
    centred, target = (vectors - mean).astype(np.float64), 1 - lost
    inner = centred.T @ centred + 1.0 * np.eye(centred.shape[1])
    weights = np.linalg.solve(inner, centred.T @ (target - target.mean()))
    known = fit_familiarity(vectors, np.zeros(len(vectors), dtype=np.intp), 1)

    def sure(some: Any) -> Floats:
        return np.clip(target.mean() + (some - mean) @ weights, 0.0, 1.0)

    def familiar(some: Any) -> Floats:
        return known.score(some).astype(np.float64)

    return sure, familiar


def certified(rows: Domain) -> tuple[float, float]:
    """Keep the surer half; promise the upper end (95%) of its error on the certify rows."""
    threshold = float(np.quantile(rows.confidence, 0.5))
    lost = rows.lost[rows.confidence >= threshold]
    wrong, n = round(lost.sum()), lost.size
    return threshold, float(stats.beta.ppf(0.95, wrong + 1, n - wrong))


Played = tuple[NDArray[np.bool_], int | None, str]


def static(stream: Domain, threshold: float) -> Played:
    return stream.confidence >= threshold, None, ""


def adaptive(
    stream: Domain, threshold: float, certify: Domain, promise: float, seed: int, share: float
) -> Played:
    """Gibbs and Candes (2021), eq. 2: alpha moves by gamma x (promise - error) at each audit.

    The threshold is the lowest at which the certify rows above it err at most alpha; gamma is .05.
    """
    order = np.argsort(-certify.confidence)
    rate = np.cumsum(certify.lost[order]) / np.arange(1, order.size + 1)
    cuts, alpha, gamma = certify.confidence[order], promise, 0.05
    kept = np.zeros(stream.lost.size, dtype=bool)
    for place, sure in enumerate(stream.confidence):
        passes = np.flatnonzero(rate <= alpha)
        cut = threshold if alpha == promise else (cuts[passes[-1]] if passes.size else np.inf)
        kept[place] = sure >= cut
        if draw(seed, f"aci:{place}") < share:
            error = stream.lost[place] if kept[place] else 0.0
            alpha = float(np.clip(alpha + gamma * (promise - error), 0.0, 1.0))
    return kept, None, ""


def stepdown(
    stream: Domain,
    threshold: float,
    certify: Domain,
    promise: float,
    seed: int,
    signs: Sequence[str],
) -> Played:
    """Serve; look every 20 requests with `review.assess`; after an alarm do what it says."""
    task = locked(certify, promise, threshold, signs)
    kept, cut, rang, kind = np.zeros(stream.lost.size, dtype=bool), threshold, None, ""
    audits: list[Audit] = []
    calls: list[FirstCall] = []
    for place in range(stream.lost.size):
        kept[place] = stream.confidence[place] >= cut
        if rang is None:
            record(stream, place, bool(kept[place]), seed, audits, calls)
            if place % LOOK == LOOK - 1:
                found = assess(asked(task, place), seen(audits, calls, place + 1)).withdrawal
                if found is not None:
                    rang, kind = place + 1, found.kind
                    cut = found.threshold if found.acts == "raised" else np.inf
    return kept, rang, kind


def record(
    stream: Domain,
    place: int,
    is_kept: bool,
    seed: int,
    audits: list[Audit],
    calls: list[FirstCall],
) -> None:
    at = f"{(START + timedelta(place // 100)).isoformat()}T10:00:00+00:00"
    sure, name = float(stream.confidence[place]), f"r{place}"
    familiar = float(stream.familiarity[place])
    calls.append(FirstCall(trace_id=name, at=at, group=name, confidence=sure, familiarity=familiar))
    if draw(seed, f"audit:{name}") < SHARE:
        lost = float(stream.lost[place]) if is_kept else 0.0
        why = "" if is_kept else "ceiling"
        audits.append(
            Audit(
                trace_id=name,
                at=at,
                group=name,
                propensity=SHARE,
                loss=lost,
                why_not=why,
                confidence=sure,
                tier="small",
            )
        )


def locked(certify: Domain, promise: float, threshold: float, signs: Sequence[str]) -> LockedTask:
    watched = Watched(
        n=certify.lost.size,
        tier="small",
        signals={name: marked(getattr(certify, name)) for name in signs},
    )
    return LockedTask(
        policy=cascade(("small", "big"), (threshold,)),
        contract="",
        settings="",
        guarantee=Guarantee(
            state="certified", promise="min_agreement", level=1 - promise, delta=0.1
        ),
        tiers={},
        watched=watched,
    )


def marked(values: Floats) -> Marked:
    cuts = np.unique(np.quantile(values, QUANTILES))
    below = tuple(int((values < cut).sum()) for cut in cuts)
    return Marked(tuple(cuts.tolist()), below, values.size)


def asked(task: LockedTask, place: int) -> Asked:
    day = (START + timedelta(place // 100)).isoformat()
    certificate = Certificate("task", task_digest(task), "lock")
    return Asked(certificate=certificate, locked=task, promise="", now=f"{day}T23:00:00+00:00")


def seen(audits: Sequence[Audit], calls: Sequence[FirstCall], n: int) -> Seen:
    day = Day(day=START.isoformat(), requests=n, open=n, open_kept=n)
    return Seen(audits=tuple(audits), calls=tuple(calls), days=(day,), requests=n, covered=n)


def judged(
    kept: NDArray[np.bool_], rang: int | None, kind: str, stream: Domain, at: int, promise: float
) -> dict[str, Any]:
    """Return the error of accepted answers after the shift, and when it was back for good."""
    early = rang is not None and rang <= at
    after = slice(at, None)
    mine, lost = kept[after], stream.lost[after]
    bad = [
        end
        for end in range(WINDOW, mine.size + 1, 10)
        if mine[end - WINDOW : end].any()
        and lost[end - WINDOW : end][mine[end - WINDOW : end]].mean() > 1.5 * promise
    ]
    # A window ends `end` requests after the shift; it is back once none that begins later is bad.
    back = 0 if not bad else bad[-1] - WINDOW + 10
    return {
        "back_after": back if back <= mine.size - WINDOW else None,
        "error_300": mean_of(lost[:WITHIN][mine[:WITHIN]]),
        "error_after_300": mean_of(lost[WITHIN:][mine[WITHIN:]]),
        "kept_after_300": float(mine[WITHIN:].mean()) if mine.size > WITHIN else 0.0,
        "early": early,
        "rang": None if rang is None else rang - at,
        "kind": kind,
    }


def mean_of(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None
