"""Label noise of a training set: reported always, dropped only where that was measured to help."""

from __future__ import annotations

from msgspec.structs import replace

from stepdown.core.task import Task
from stepdown.ports.trainer import TrainingSet
from stepdown.train.composing import without
from stepdown.train.data_card import Noise
from stepdown.train.noise import gain_of_dropping, noise_of
from stepdown.wiring.encoders import STATIC
from stepdown.wiring.workspace import Workspace

MOST_ROWS = 30_000  # beyond it the report would take longer than the training that follows


def noise_in(workspace: Workspace, task: Task, data: TrainingSet) -> Noise | None:
    """Return the report; None where answers are no labels, or there are too few or many rows."""
    rows = sorted((*data.train, *data.validation), key=lambda row: row.id)
    if not task.labels or len(rows) > MOST_ROWS:
        return None
    return noise_of(rows, workspace.models.encoder(STATIC))


def without_noise(
    workspace: Workspace, data: TrainingSet, noise: Noise
) -> tuple[TrainingSet, Noise]:
    """Return the set without suspect rows if validation gains beyond its interval, else as it is.

    Only rows of the train part are dropped: the validation rows are what is measured on.
    """
    suspects = frozenset(noise.suspects)
    encoder = workspace.models.encoder(STATIC)
    gain = gain_of_dropping(data.train, data.validation, suspects, encoder)
    if gain is None:
        return data, noise
    told = replace(
        noise, dropped=gain.pays, gain=gain.value, gain_low=gain.low, gain_high=gain.high
    )
    return (without(data, suspects) if gain.pays else data), told
