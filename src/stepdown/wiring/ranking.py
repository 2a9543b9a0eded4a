"""The second pass of an eval of embeddings: documents are embedded once, then queries are ranked.

The vectors of queries are the tiers' kept answers; those of documents are kept by their text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec.structs import replace

from stepdown.adapters.prices.tokens import estimate_tokens
from stepdown.adapters.tables.rows import read_rows
from stepdown.adapters.tables.vector_files import VectorFiles
from stepdown.core.digest import digest, seed_from
from stepdown.core.outcome import Outcome
from stepdown.core.request import Usage
from stepdown.core.task import Task
from stepdown.core.tier import Price
from stepdown.errors import ConfigError, DataError, ModelError, Unavailable
from stepdown.evals.dataset import Sample
from stepdown.evals.purse import Purse
from stepdown.evals.scorers.retrieval import RetrievalOptions
from stepdown.evals.scorers.scorer import options_of
from stepdown.evals.vector_figures import TierVectors, VectorFigures, correlations
from stepdown.stats import retrieval
from stepdown.wiring.workspace import Workspace

if TYPE_CHECKING:
    from stepdown.stats.arrays import Floats

PAIRS = "rank_agreement"
BATCH = 256  # texts between two writes: what a kill may cost


def beside(workspace: Workspace, task: Task) -> str:
    """Return the digest of the documents that decide a task's scores, "" where pairs do."""
    return "" if task.scorer == PAIRS else digest(sorted(_corpus(workspace, task).items()))


async def ranked_outcomes(
    workspace: Workspace,
    task: Task,
    samples: Sequence[Sample],
    outcomes: Sequence[Outcome],
    purse: Purse,
) -> tuple[tuple[Outcome, ...], VectorFigures]:
    """Return the outcomes with the scores of their vectors, and what is known of the vectors.

    A tier whose documents could not be embedded has no scores; the others are not held up.

    Raises:
        ConfigError: no documents are named.
        DataError: a document that is relevant is not there, or the file is not what it should be.
    """
    by_id = {sample.id: sample for sample in samples}
    ranking = _Pairs(by_id) if task.scorer == PAIRS else _Documents(workspace, task, by_id)
    prefix = task.scoring.get("text_prefix", "")
    texts = [f"{prefix}{text}" for text in ranking.texts]
    scored = list(outcomes)
    tiers = []
    for tier in dict.fromkeys(outcome.tier for outcome in outcomes):
        made = await _Shelf(workspace, tier, purse).vectors(texts)
        tiers.append(made.figures)
        if made.vectors is None:
            continue
        places = [i for i, o in enumerate(outcomes) if o.tier == tier and _has_vector(o)]
        for i in places:
            query = _vector(outcomes[i], made.vectors.shape[1])
            score = ranking.score(tier, outcomes[i].query_id, query, made.vectors)
            scored[i] = replace(outcomes[i], score=score)
        ranking.close(tier, scored, places)
    figures = VectorFigures(
        what=ranking.what, texts=len(texts), tiers=tuple(ranking.told(tiers, task.ceiling))
    )
    return tuple(scored), figures


def _has_vector(outcome: Outcome) -> bool:
    return outcome.failure is None and outcome.answer is not None


def _vector(outcome: Outcome, width: int) -> Floats:
    found = np.asarray(msgspec.json.decode(outcome.answer or "[]"), dtype=np.float64)
    if found.size != width:
        raise DataError(
            f"{outcome.tier} gave {found.size} dimensions for the query {outcome.query_id!r} and "
            f"{width} for the documents: these are vectors of two models.",
            "Remove the task's folder in .stepdown/runs and .stepdown/vectors, and run again.",
        )
    query: Floats = retrieval.unit(found[None, :].astype(np.float32))[0]
    return query


class _Documents:
    """Queries that look for documents."""

    what = "documents"

    def __init__(self, workspace: Workspace, task: Task, samples: Mapping[str, Sample]) -> None:
        corpus = _corpus(workspace, task)
        self.places = {name: place for place, name in enumerate(corpus)}
        self.texts = tuple(corpus.values())
        self._task, self._k = task, options_of(RetrievalOptions, task).k
        self._wanted = {name: self._relevant(sample) for name, sample in samples.items()}

    def score(self, _tier: str, query_id: str, query: Floats, documents: Floats) -> float:
        places, gains = self._wanted[query_id]
        ranks = retrieval.ranks_of(documents @ query, places)
        return retrieval.scores(ranks, gains, self._k)[self._task.scorer]

    def close(self, tier: str, scored: list[Outcome], places: Sequence[int]) -> None:
        """Every query was scored by itself."""

    def told(self, tiers: Sequence[TierVectors], _ceiling: str) -> Sequence[TierVectors]:
        return tiers

    def _relevant(self, sample: Sample) -> tuple[Any, Any]:
        wanted: Mapping[str, float] = sample.reference
        for name in wanted:
            if name not in self.places:
                near = difflib.get_close_matches(name, self.places, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else "Add it to the file of documents."
                raise DataError(
                    f"The row {sample.id!r}: there is no document {name!r}, which it says is "
                    "relevant.",
                    hint,
                )
        return np.array([self.places[name] for name in wanted]), np.array(list(wanted.values()))


class _Pairs:
    """Pairs of texts whose likeness people graded; a pair is ranked among all of its set."""

    what = "second texts of pairs"

    def __init__(self, samples: Mapping[str, Sample]) -> None:
        self._number = {name: number for number, name in enumerate(samples)}
        self._truth = np.array([float(s.reference["similarity"]) for s in samples.values()])
        self.texts = tuple(str(sample.reference["text"]) for sample in samples.values())
        self._found: dict[str, dict[int, float]] = {}

    def score(self, tier: str, query_id: str, query: Floats, seconds: Floats) -> None:
        number = self._number[query_id]
        self._found.setdefault(tier, {})[number] = float(seconds[number] @ query)

    def close(self, tier: str, scored: list[Outcome], places: Sequence[int]) -> None:
        """Rank what a tier found; repeats of a pair have one rank."""
        found = self._found.get(tier, {})
        numbers = sorted(found)
        agreed = retrieval.rank_agreement(
            np.array([found[n] for n in numbers]), self._truth[numbers]
        )
        value = dict(zip(numbers, agreed, strict=True))
        for i in places:
            number = self._number[scored[i].query_id]
            scored[i] = replace(scored[i], score=min(1.0, max(0.0, float(value[number]))))

    def told(self, tiers: Sequence[TierVectors], ceiling: str) -> Sequence[TierVectors]:
        """Add rank correlations, on the pairs that every tier has."""
        shared = sorted(set.intersection(*map(set, self._found.values())) if self._found else ())
        columns = {t: np.array([row[n] for n in shared]) for t, row in self._found.items()}
        seed = seed_from(digest(shared))
        claims = correlations(columns, self._truth[shared], ceiling, seed) if shared else {}
        nothing = (None, None)
        return [
            replace(
                each,
                correlation=claims.get(each.tier, nothing)[0],
                difference=claims.get(each.tier, nothing)[1],
            )
            for each in tiers
        ]


class _Made(msgspec.Struct, frozen=True):
    vectors: Any
    figures: TierVectors


class _Shelf:
    """The vectors of one tier, made where they are not kept yet."""

    def __init__(self, workspace: Workspace, tier: str, purse: Purse) -> None:
        self._tier = workspace.tiers[tier]
        self._embedder = workspace.models.embedder(tier)
        self._files = VectorFiles(workspace.project.state / "vectors")
        self._purse = purse
        self._costs: list[float | None] = []

    async def vectors(self, texts: Sequence[str]) -> _Made:
        """Return unit vectors of the texts, None where they could not all be made."""
        known = self._files.known(self._embedder.digest, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        stopped = None
        try:
            for batch in _batches(missing):
                known |= await self._batch(batch)
        except ModelError as error:
            stopped = f"{len(texts) - sum(t in known for t in texts):,} texts not embedded: {error}"
        made = None if stopped else retrieval.unit(np.stack([known[text] for text in texts]))
        unknown = any(cost is None for cost in self._costs)
        figures = TierVectors(
            tier=self._tier.name,
            dimensions=None if made is None else int(made.shape[1]),
            embedded=sum(text in known for text in missing),
            cost_usd=None if unknown else sum(cost or 0.0 for cost in self._costs),
            stopped=stopped,
        )
        return _Made(made, figures)

    async def _batch(self, texts: Sequence[str]) -> dict[str, Any]:
        reserved = await self._purse.reserve(lambda: self._expected(texts))
        if reserved is None:
            raise Unavailable(f"the ${self._purse.limit_usd:g} of --max-usd are used up")
        try:
            done = await self._embedder.embed(texts, timeout_s=self._tier.timeout_s)
        except ModelError:
            self._purse.settle(reserved, 0.0)
            raise
        cost = self._tier.price.cost_usd(done.usage, done.latency_s)
        self._purse.settle(reserved, cost)
        self._costs.append(cost)
        found = dict(zip(texts, done.vectors, strict=True))
        self._files.keep(self._embedder.digest, found)
        return found

    def _expected(self, texts: Sequence[str]) -> float | None:
        if self._tier.price == Price():
            return 0.0
        return self._tier.price.cost_usd(Usage(sum(map(estimate_tokens, texts)), 0), 0.0)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]


def _corpus(workspace: Workspace, task: Task) -> dict[str, str]:
    """Return the documents of a task: id -> text."""
    told = options_of(RetrievalOptions, task)
    if not told.corpus:
        raise ConfigError(
            f"tasks.{task.name}.scorer: {task.scorer} needs the documents that are looked for.",
            f'Write scorer = {{ name = "{task.scorer}", corpus = "documents.jsonl" }}.',
        )
    found: dict[str, str] = {}
    for line, row in read_rows(workspace.project.root / told.corpus):
        name, text = row.get(told.corpus_id), row.get(told.corpus_text)
        at = f"{told.corpus}, line {line}"
        if name is None or not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{at}: a document needs {told.corpus_id!r} and a text in {told.corpus_text!r}.",
                "Say in `corpus_id` and `corpus_text` where they stand.",
            )
        if str(name) in found:
            raise DataError(f"{at}: the id {str(name)!r} was used already.")
        found[str(name)] = text
    if not found:
        raise DataError(f"{told.corpus} holds no documents.")
    return found
