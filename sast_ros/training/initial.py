"""The weights that a training starts with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import tempfile

from sast_ros.model import (
    CheckpointError,
    convert_checkpoint,
    load_model,
    ModelConfig,
    SAST,
    untrained_model,
)
from sast_ros.training.config import TrainingConfig
from sast_ros.training.errors import TrainingConfigError
import torch
from torch import Tensor

_BY_CLASS = 'yolox_head.cls_preds.'


def initial_model(config: TrainingConfig, init: Path | None, say: Callable[[str], None]) -> SAST:
    """
    Return the network, random or with the weights of a checkpoint.

    Parameters
    ----------
    config:
        of the training.
    init:
        a ``.safetensors`` file, an official ``.ckpt``, or the ``last.ckpt`` of a training (its
        average weights are taken); its classes may be others: what predicts a class of the same
        name is copied, what predicts another one starts at random.
    say:
        called with one sentence about what was copied.

    Raises
    ------
    CheckpointError: the file cannot be read.
    TrainingConfigError: it is of another network.

    """
    wanted = config.network()
    fields = ('classes', 'layer_scale', 'window_ms', 'stride_ms')
    model = untrained_model(
        wanted.name, config.seed, **{name: getattr(wanted, name) for name in fields}
    )
    if init is None:
        return model
    tensors, source = _read(init)
    state = model.state_dict()
    classes = [name for name in wanted.classes if name in source.classes]
    for name, value in state.items():
        if name.startswith(_BY_CLASS):
            for label in classes:
                given = tensors[name][source.classes.index(label)]
                value[wanted.classes.index(label)] = given.to(value.dtype)
        elif name in tensors and tensors[name].shape == value.shape:
            value.copy_(tensors[name])
        elif not name.endswith('num_batches_tracked'):
            raise TrainingConfigError(
                f'{init}: is a {source.name}, whose {name} does not fit {wanted.name}; set '
                'model.name of the configuration, or give other weights'
            )
    new = [name for name in wanted.classes if name not in classes]
    say(
        f'weights of {init}; predictors copied for {", ".join(classes) or "no class"}'
        + (f', new for {", ".join(new)}' if new else '')
    )
    return model


def _read(path: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    from sast_ros.training.module import CHECKPOINT_KEY

    if path.suffix == '.ckpt':
        try:
            content = torch.load(path, map_location='cpu', weights_only=True)
        except Exception:  # noqa: B902 - convert_checkpoint says what is wrong
            content = None
        if isinstance(content, dict) and CHECKPOINT_KEY in content:
            kept = content[CHECKPOINT_KEY]
            return kept['average']['model'], ModelConfig(**kept['model'])
        with tempfile.TemporaryDirectory() as folder:
            converted = convert_checkpoint(path, Path(folder) / 'weights.safetensors')
            model = load_model(converted.path)
    elif path.suffix == '.safetensors':
        model = load_model(path)
    else:
        raise CheckpointError(
            f'{path}: is neither .safetensors nor .ckpt; give weights of a SAST detector'
        )
    return model.state_dict(), model.config
