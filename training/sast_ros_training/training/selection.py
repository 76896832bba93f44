# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which selection a training step uses, and how many tokens it may select."""

from __future__ import annotations

import numpy as np
from sast_ros.model import SAST
from sast_ros_training.training.config import SelectionConfig, TrainingConfig


def draw_selection(config: TrainingConfig, step: int, model: SAST) -> bool:
    """
    Set the selection of a step: as published, of all tokens, or of fewer by a larger AMP.

    The last is what the detector does in mode ``'budget'``. The draw is a function of seed and
    step alone: all processes make the same one, and so does a resumed training.

    Returns
    -------
    bool
        Whether it is the published selection.

    """
    settings, control = config.selection, model.control
    control.mode, control.amp = model.config.selection, model.config.amp
    share, factor = np.random.default_rng([config.seed, step]).random(2)
    if share < settings.dense_share:
        control.mode = 'dense'
    elif share < settings.dense_share + settings.budget_share:
        control.amp *= settings.budget_most ** float(factor)
    else:
        return True
    return False


def allowed_shares(settings: SelectionConfig, progress: float) -> list[float]:
    """
    Return the share of tokens that each stage may select, after a share of the training.

    It falls from all of them to the budget, by the same factor in equal times.
    """
    done = min(1.0, progress / settings.anneal) if settings.anneal else 1.0
    return [share**done for share in settings.budget]
