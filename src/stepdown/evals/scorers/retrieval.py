"""The names under which vectors are scored: the scores come once all vectors are there."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stepdown.core.task import Task
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers.scorer import Score, Scorer

Count = Annotated[int, Meta(ge=1)]


class RetrievalOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the documents are (a file of rows with an id and a text), and how many are looked at.

    The prefixes stand before every query and every document, for encoders that were trained so.
    """

    corpus: str = ""
    corpus_id: str = "id"
    corpus_text: str = "text"
    k: Count = 10
    query_prefix: str = ""
    text_prefix: str = ""


class PairOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """A prefix before both texts of a pair."""

    text_prefix: str = ""


def query_prefix(task: Task) -> str:
    """Return what stands before every query of an embed task; both texts of a pair are alike."""
    key = "text_prefix" if task.scorer == "rank_agreement" else "query_prefix"
    return str(task.scoring.get(key, ""))


def _later(_task: Task, _sample: Sample, _answer: str) -> Score:
    return Score(0.0, "unranked", "vectors are scored together, not one by one")


def _scorer(name: str, source: str, options: type[Struct]) -> Scorer:
    return Scorer(name, 1, source, _later, kinds=("embed",), options=options)


RETRIEVAL = (
    _scorer("recall_at_k", "share of relevant documents among the first k", RetrievalOptions),
    _scorer("mrr", "reciprocal rank of the first relevant one (Voorhees 1999)", RetrievalOptions),
    _scorer("ndcg_at_k", "nDCG, linear gains (Järvelin and Kekäläinen 2002)", RetrievalOptions),
    _scorer("rank_agreement", "scaled footrule of ranks (Diaconis and Graham 1977)", PairOptions),
)
