# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The SAST network: configurations, layers, loss and checkpoints."""

from sast_ros.model.calibration import Calibration
from sast_ros.model.checkpoint import (
    add_calibration,
    bundled_model_names,
    CheckpointError,
    load_model,
    save_model,
    untrained_model,
)
from sast_ros.model.choice import choose_model
from sast_ros.model.config import CONFIGS, model_config, ModelConfig
from sast_ros.model.conversion import convert_checkpoint
from sast_ros.model.device import choose_device
from sast_ros.model.loss import detection_loss, DetectionLoss
from sast_ros.model.sast import build_model, SAST, StepOutput

__all__ = [
    'CONFIGS',
    'SAST',
    'Calibration',
    'CheckpointError',
    'DetectionLoss',
    'ModelConfig',
    'StepOutput',
    'add_calibration',
    'build_model',
    'bundled_model_names',
    'choose_device',
    'choose_model',
    'convert_checkpoint',
    'detection_loss',
    'load_model',
    'model_config',
    'save_model',
    'untrained_model',
]
