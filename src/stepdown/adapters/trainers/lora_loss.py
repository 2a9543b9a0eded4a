"""Losses on the tokens of answers: cross-entropy, and doubt where the model is wrong.

`logits` has one row for each token of the answers of a batch, in their order: (tokens, vocabulary).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stepdown.ports.learner import Turn
from stepdown.ports.prompter import Tokens


def right_loss(logits: Any, batch: Sequence[Turn]) -> Any:
    """Return the mean over turns of the summed cross-entropy of an answer's tokens.

    A sum, not a mean over tokens: it is the negative log-probability of the whole answer, so a
    long label counts no more than a short one.
    """
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, _wanted(logits, batch), reduction="sum") / len(batch)


def doubting_loss(logits: Any, batch: Sequence[Turn], share: float) -> Any:
    """Return `share` x cross-entropy of right tokens + (1 - `share`) x KL to uniform of wrong ones.

    A token is right when it is the most probable of its choices and its turn is not marked wrong.
    Uniform is over the choices of the place, which is what is renormalised when labels are served;
    over the vocabulary where the answer is free.
    Source: Rabanser et al. (2025), "Gatekeeper", section 3; for language models by token.
    """
    import torch
    from torch.nn.functional import cross_entropy, log_softmax

    losses = cross_entropy(logits, _wanted(logits, batch), reduction="none")
    parts = []
    for row, (token, choices, wrong) in enumerate(_tokens(batch)):
        allowed = torch.tensor(choices, device=logits.device) if choices else None
        scores = logits[row] if allowed is None else logits[row][allowed]
        best = int(scores.argmax())
        found = best if allowed is None else choices[best]
        if found == token and not wrong:
            parts.append(share * losses[row])
        else:
            logs = log_softmax(scores, dim=-1)
            away = (logs.exp() * logs).sum() + torch.log(torch.tensor(float(len(scores))))
            parts.append((1 - share) * away)
    return torch.stack(parts).sum() / len(batch)


def _tokens(batch: Sequence[Turn]) -> Iterator[tuple[int, Tokens, bool]]:
    for turn in batch:
        for at, token in enumerate(turn.answer):
            yield token, turn.choices[at] if turn.choices else (), turn.wrong


def _wanted(logits: Any, batch: Sequence[Turn]) -> Any:
    import torch

    return torch.tensor([token for turn in batch for token in turn.answer], device=logits.device)
