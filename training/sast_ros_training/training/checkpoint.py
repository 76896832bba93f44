# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint of a training holds beside the state of Lightning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sast_ros.model import ModelConfig
from sast_ros.model.conversion import require_safe_unpickling
import torch
from torch import Tensor

#: Name of the checkpoint that is replaced again and again.
LAST = 'last.ckpt'

#: Key of our own content in a Lightning checkpoint.
CHECKPOINT_KEY = 'sast_ros'


@dataclass(frozen=True)
class TrainingCheckpoint:
    """Steps done and to do, best mean average precision or ``-inf``, and the average weights."""

    steps: int
    max_steps: int
    best: float
    network: ModelConfig
    average: dict[str, Tensor]


def read_checkpoint(path: Path) -> TrainingCheckpoint | None:
    """
    Return the content of a file, ``None`` if it is not an intact checkpoint of a training.

    A ``CheckpointError`` where this PyTorch could execute code in it.
    """
    require_safe_unpickling(path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        kept = content[CHECKPOINT_KEY]
        network = ModelConfig(**kept['model'])
        average = kept['average']['model']
        steps = content['global_step']
        return TrainingCheckpoint(
            steps, kept.get('max_steps', steps), kept['best'], network, average
        )
    except Exception:  # noqa: B902 - torch.load raises errors of many types
        return None
