"""Text against reference texts, 0..1, by the libraries whose numbers others report.

chrF and BLEU are sacrebleu's, ROUGE is rouge-score's; both come with the extra `stepdown[text]` and
are loaded at the first text. Token F1 is here twice, because tools that share its name differ. With
several references each metric takes the best, or what its library does with several.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from stepdown.errors import ConfigError

Metric = Callable[[str, Sequence[str]], float]

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = frozenset(string.punctuation)


def chrf(answer: str, references: Sequence[str]) -> float:
    """Return chrF2: character n-grams up to 6, beta 2. Source: Popovic (2015); sacrebleu."""
    return _percent(_chrf(0).sentence_score(answer, list(references)))


def chrf_plus_plus(answer: str, references: Sequence[str]) -> float:
    """Return chrF++: chrF2 with words and pairs of words. Source: Popovic (2017); sacrebleu."""
    return _percent(_chrf(2).sentence_score(answer, list(references)))


def bleu(answer: str, references: Sequence[str]) -> float:
    """Return sentence BLEU: 13a tokens, exponential smoothing, effective order.

    Source: Papineni et al. (2002); Chen and Cherry (2014), method 3; sacrebleu.
    """
    return _percent(_bleu().sentence_score(answer, list(references)))


def rouge(kind: str) -> Metric:
    """Return ROUGE's F-measure of a kind (`rouge1`, `rouge2`, `rougeL`), without stemming.

    Its tokens are runs of a-z and 0-9: text in other scripts has none, and scores 0.
    Source: Lin (2004); rouge-score.
    """

    def scored(answer: str, references: Sequence[str]) -> float:
        found = _rouge(kind).score_multi(list(references), answer)
        return float(found[kind].fmeasure)

    return scored


def token_f1_squad(answer: str, references: Sequence[str]) -> float:
    """Return F1 of the tokens as multisets, after SQuAD's normalisation.

    Lower case, no punctuation, no articles, single spaces; two empty texts are equal.
    Source: Rajpurkar et al. (2016, 2018), the official evaluation script.
    """
    tokens = _squad_tokens(answer)
    return max(_f1(tokens, _squad_tokens(each)) for each in references)


def token_f1_set(answer: str, references: Sequence[str]) -> float:
    """Return F1 of the sets of tokens, after the same normalisation: repetition costs nothing.

    This is what several eval tools call F1. Source: the definition, over sets.
    """
    tokens = Counter(set(_squad_tokens(answer)))
    return max(_f1(tokens, Counter(set(_squad_tokens(each)))) for each in references)


def squad_normalised(text: str) -> str:
    """Return a text as SQuAD's script compares it; doing it twice changes nothing."""
    bare = "".join(char for char in text.lower() if char not in PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", bare).split())


def _squad_tokens(text: str) -> Counter[str]:
    return Counter(squad_normalised(text).split())


def _f1(answer: Counter[str], reference: Counter[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    shared = (answer & reference).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / answer.total(), shared / reference.total()
    return 2 * precision * recall / (precision + recall)


def _percent(found: Any) -> float:
    """Return sacrebleu's 0..100 as 0..1; its sums may pass the end by a rounding."""
    return min(1.0, max(0.0, float(found.score) / 100))


@cache
def _chrf(word_order: int) -> Any:
    return _metrics().CHRF(word_order=word_order)


@cache
def _bleu() -> Any:
    return _metrics().BLEU(effective_order=True)


def _metrics() -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise missing("sacrebleu") from None
    return metrics


@cache
def _rouge(kind: str) -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise missing("rouge-score") from None
    return RougeScorer([kind], use_stemmer=False)


def missing(library: str) -> ConfigError:
    """Return the error for a library that is not installed."""
    return ConfigError(
        f"This scorer needs {library}, which is not installed.",
        "Install it with: pip install 'stepdown[text]'.",
    )
