# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The weights that a training starts with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
from pathlib import Path
import tempfile

from sast_ros.evaluation.labels import canonical
from sast_ros.model import (
    bundled_model_names,
    CheckpointError,
    convert_checkpoint,
    load_model,
    ModelConfig,
    SAST,
    untrained_model,
)
from sast_ros_training.training.checkpoint import read_checkpoint
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError
from torch import Tensor

_BY_CLASS = 'yolox_head.cls_preds.'


def initial_model(
    config: TrainingConfig, init: Sequence[Path] | None, log: Callable[[str], None]
) -> SAST:
    """
    Return the network, random or with the weights of checkpoints, in evaluation mode.

    Parameters
    ----------
    config : TrainingConfig
        Of the training.
    init : sequence of Path
        ``'default'``, the bundled weights, ``.safetensors`` files, official ``.ckpt``, or
        ``last.ckpt`` of trainings (their average weights are taken); of several, the mean. Their
        classes may be others: the predictor of a class of the same name, as ``evaluate`` compares
        them, is copied, that of another one starts at random. ``None``: a checkpoint follows.
    log : callable
        Called with one sentence about what was copied.

    Raises
    ------
    CheckpointError
        A file cannot be read.
    TrainingConfigError
        One is of another network, or several are of different classes; or weights would stay as
        random as they are, because ``optimizer.trained`` leaves them out.

    """
    wanted = config.network()
    fields = ('classes', 'layer_scale', 'window_ms', 'stride_ms')
    model = untrained_model(
        wanted.name, config.seed, **{name: getattr(wanted, name) for name in fields}
    )
    if init:
        if _copy_weights(model, init, log):
            _require_trained(model, config, _BY_CLASS, f'add {_BY_CLASS}*')
    elif init is not None:
        _require_trained(model, config, '', 'begin with weights (--init)')
    controls = model.get_parameter('backbone.stages.0.att_blocks.0.att.to_controls.weight')
    controls.data.sub_(math.log(config.model.contrast))
    return model


def read_network(init: Sequence[Path]) -> ModelConfig:
    """Return the configuration of the network whose weights ``initial_model`` would take."""
    return _read_mean(init)[1]


def _copy_weights(model: SAST, init: Sequence[Path], log: Callable[[str], None]) -> list[str]:
    """Copy the weights of files into the model; return the classes that they do not have."""
    tensors, source = _read_mean(init)
    files, wanted = ', '.join(map(str, init)), model.config
    known = [canonical(name) for name in source.classes]
    classes = [name for name in wanted.classes if canonical(name) in known]
    for name, value in model.state_dict().items():
        if name.startswith(_BY_CLASS):
            for label in classes:
                given = tensors[name][known.index(canonical(label))]
                value[wanted.classes.index(label)] = given.to(value.dtype)
        elif name in tensors and tensors[name].shape == value.shape:
            value.copy_(tensors[name])
        elif not name.endswith('num_batches_tracked'):
            raise TrainingConfigError(
                f'{files}: is a {source.name}, whose {name} does not fit {wanted.name}; set '
                'model.name of the configuration, or give other weights'
            )
    new = [name for name in wanted.classes if name not in classes]
    log(
        f'weights of {files}; predictors copied for {", ".join(classes) or "no class"}'
        + (f', new for {", ".join(new)}' if new else '')
    )
    return new


def _require_trained(model: SAST, config: TrainingConfig, prefix: str, advice: str) -> None:
    """Refuse a training that leaves out random weights, whose names begin with the prefix."""
    random = [name for name, _ in model.named_parameters() if name.startswith(prefix)]
    trained = config.trained_weights(random)
    if left := [name for name in random if name not in trained]:
        raise TrainingConfigError(
            f'optimizer.trained has no {left[0]}, which starts at random and would stay so; '
            f'{advice}'
        )


def _read_mean(paths: Sequence[Path]) -> tuple[dict[str, Tensor], ModelConfig]:
    """Return the mean of the weights of files, which must be of one network and its classes."""
    mean, config = _read(paths[0])
    for count, path in enumerate(paths[1:], start=2):
        tensors, other = _read(path)
        if other.classes != config.classes:
            raise TrainingConfigError(
                f'{path}: has the classes {", ".join(other.classes)}, but {paths[0]} '
                f'{", ".join(config.classes)}; give weights of the same classes'
            )
        for name, value in mean.items():
            if name not in tensors or tensors[name].shape != value.shape:
                raise TrainingConfigError(
                    f'{path}: is a {other.name}, whose {name} does not fit that of {paths[0]}; '
                    'give weights of the same network'
                )
            if value.is_floating_point():
                value.lerp_(tensors[name].to(value.dtype), 1 / count)
    return mean, config


def _read(path: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    if path.suffix == '.ckpt':
        checkpoint = read_checkpoint(path)
        if checkpoint is not None:
            return checkpoint.average, checkpoint.network
        with tempfile.TemporaryDirectory() as folder:
            converted = convert_checkpoint(path, Path(folder) / 'weights.safetensors')
            model = load_model(converted.path)
    elif path.suffix == '.safetensors' or str(path) in bundled_model_names():
        model = load_model(path)
    else:
        raise CheckpointError(
            f'{path}: is neither .safetensors nor .ckpt nor "default"; give weights of a SAST '
            'detector'
        )
    return model.state_dict(), model.config
