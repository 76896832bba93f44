"""The SAST network: configurations, layers, loss and checkpoints."""

from sast_ros.model.checkpoint import CheckpointError, convert_checkpoint, load_model, save_model, untrained_model
from sast_ros.model.config import CONFIGS, ModelConfig, model_config
from sast_ros.model.fusion import inference_copy
from sast_ros.model.loss import DetectionLoss, detection_loss
from sast_ros.model.sast import SAST, StepOutput, build_model

__all__ = [
    'CONFIGS',
    'SAST',
    'CheckpointError',
    'DetectionLoss',
    'ModelConfig',
    'StepOutput',
    'build_model',
    'convert_checkpoint',
    'detection_loss',
    'inference_copy',
    'load_model',
    'model_config',
    'save_model',
    'untrained_model',
]
