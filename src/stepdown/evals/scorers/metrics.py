"""Scorers of free text against reference texts, and of what a text must and must not say."""

from __future__ import annotations

from stepdown.core.task import TEXTS, Task
from stepdown.evals import text_metrics
from stepdown.evals.dataset import Sample
from stepdown.evals.patterns import plain_checklist
from stepdown.evals.references import texts_of
from stepdown.evals.scorers.scorer import Score, Scorer

SACREBLEU = "sacrebleu: sentence"
ROUGE = "rouge-score: F-measure of"
NEEDS = {"sacrebleu": "sacrebleu", "rouge-score": "rouge_score"}  # library -> its module


def checklist(_task: Task, sample: Sample, answer: str) -> Score:
    """Score the share of the demands that the answer meets; 0 when it says what it must not."""
    wanted = plain_checklist(sample.reference)
    if wanted.refused_in(answer):
        return Score(0.0, detail="says what it must not")
    made = wanted.made_in(answer)
    missed = [str(i + 1) for i in range(len(wanted.points)) if i not in made]
    share = len(made) / len(wanted.points) if wanted.points else 1.0
    return Score(share, detail=f"misses demand {', '.join(missed)}" if missed else "")


def checklist_all(task: Task, sample: Sample, answer: str) -> Score:
    """Score 1 when every demand is met and nothing is said that must not be."""
    found = checklist(task, sample, answer)
    return Score(float(found.value == 1.0), found.failure, found.detail)


def _scorer(name: str, metric: text_metrics.Metric, source: str) -> Scorer:
    def score(_task: Task, sample: Sample, answer: str) -> Score:
        return Score(metric(answer, texts_of(sample.reference)))

    needs = {"sacrebleu": "sacrebleu", "rouge-score": "rouge_score"}.get(
        source.split(":", maxsplit=1)[0], ""
    )
    return Scorer(name, 1, source, score, kinds=TEXTS, needs=needs)


METRICS = (
    _scorer("chrf", text_metrics.chrf, f"{SACREBLEU} chrF2 (Popovic 2015)"),
    _scorer("chrf_plus_plus", text_metrics.chrf_plus_plus, f"{SACREBLEU} chrF++ (Popovic 2017)"),
    _scorer("bleu", text_metrics.bleu, f"{SACREBLEU} BLEU (Papineni et al. 2002)"),
    _scorer("rouge_1", text_metrics.rouge("rouge1"), f"{ROUGE} words (Lin 2004)"),
    _scorer("rouge_2", text_metrics.rouge("rouge2"), f"{ROUGE} pairs of words (Lin 2004)"),
    _scorer("rouge_l", text_metrics.rouge("rougeL"), f"{ROUGE} the longest sequence (Lin 2004)"),
    _scorer("token_f1_squad", text_metrics.token_f1_squad, "SQuAD: F1 of tokens as a multiset"),
    _scorer("token_f1_set", text_metrics.token_f1_set, "F1 of tokens as a set"),
    Scorer("checklist", 1, "share of demands met, by plain words or patterns", checklist),
    Scorer("checklist_all", 1, "every demand met", checklist_all, binary=True),
)
