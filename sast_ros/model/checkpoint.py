# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: safetensors with the configuration inside, written and read strictly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import save
from sast_ros.errors import SastError
from sast_ros.foreign_file import foreign_content
from sast_ros.model.attention import ALIASES
from sast_ros.model.calibration import Calibration
from sast_ros.model.config import CONFIGS, model_config, ModelConfig, vary
from sast_ros.model.device import choose_device
from sast_ros.model.sast import SAST
from sast_ros.output import write_file
import torch
from torch import Tensor

_CONFIG_KEY = 'sast_ros.config'
_DIGEST_KEY = 'sast_ros.sha256'
_CONFIG_DIGEST_KEY = 'sast_ros.config_sha256'
_CALIBRATION_KEY = 'sast_ros.calibration'
_CALIBRATION_DIGEST_KEY = 'sast_ros.calibration_sha256'
#: Counters of batch norm that take no part in inference and may be missing.
_OPTIONAL = 'num_batches_tracked'
#: Ending by which files of weights are known, of those that are written as of those that are read.
_ENDING = '.safetensors'
#: Folder of the weights that come with the package, and of the card that says what they are.
_BUNDLED = Path(__file__).parent / 'weights'


class CheckpointError(SastError, ValueError):
    """A weights file that is missing, damaged, unsafe to read, or not of this network."""


def bundled_model_names() -> tuple[str, ...]:
    """Return the names of the trained networks that come with the package."""
    return tuple(sorted(path.stem for path in _BUNDLED.glob('*.safetensors')))


def load_model(path: str | Path, device: str | torch.device = 'cpu', **overrides: Any) -> SAST:
    """
    Return a trained network in evaluation mode.

    Its configuration is in ``.config``, the calibration of its scores in ``.calibration``.

    Parameters
    ----------
    path : str or Path
        Name of a bundled network, ``'default'``, or a ``.safetensors`` file made by
        ``sast-ros convert`` or ``save_model``. A file without a configuration inside is accepted
        if its tensors have exactly the shapes of a published configuration and as many classes.
    device : str or torch.device, optional
        Where to put it, as for ``choose_device``.
    **overrides : Any
        Fields of ``ModelConfig`` that the weights do not decide: ``partition_size``, ``amp``,
        ``bounce``, ``selection``, ``context_broadcasting``, ...

    Raises
    ------
    CheckpointError
        No such file, not a safetensors file, damaged, or any missing, extra or mis-shaped tensor
        (all listed).
    SettingError
        A device that cannot be used, or an impossible override.

    """
    path, place = _file_of(path), choose_device(device)
    tensors, metadata = _read_safetensors(path)
    digest = _digest(tensors)
    if _CONFIG_KEY in metadata:
        if metadata.get(_DIGEST_KEY) != digest:
            raise CheckpointError(
                f'{path}: its tensors do not match their SHA-256; copy or convert the file again'
            )
        # Files of earlier versions have none
        expected = _block_digest(metadata[_CONFIG_KEY], digest)
        if metadata.get(_CONFIG_DIGEST_KEY, expected) != expected:
            raise CheckpointError(
                f'{path}: its configuration block does not match its SHA-256; copy or convert the '
                'file again'
            )
        try:
            config = ModelConfig(**json.loads(metadata[_CONFIG_KEY]))
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f'{path}: its configuration block is damaged ({error}); convert it again'
            ) from None
        _check_shapes(config, tensors, str(path))
    else:
        config = infer_config(tensors, str(path))
    model = load_strictly(vary(config, **overrides), tensors, str(path))
    model.calibration = _read_calibration(config, digest, metadata, str(path))
    return model.to(place).eval()


def _read_calibration(
    config: ModelConfig, digest: str, metadata: dict[str, str], where: str
) -> Calibration | None:
    """Return the calibration in a file, None without one; refuse that of another ``digest``."""
    block = metadata.get(_CALIBRATION_KEY)
    if block is None:
        return None
    if metadata.get(_CALIBRATION_DIGEST_KEY) != _block_digest(block, digest):
        raise CheckpointError(
            f'{where}: its calibration is not that of these tensors; calibrate it again with '
            '"sast-ros calibrate"'
        )
    try:
        calibration = Calibration(**json.loads(block))
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f'{where}: its calibration is damaged ({error}); calibrate it again with "sast-ros '
            'calibrate"'
        ) from None
    if len(calibration.offsets) != len(config.classes):
        raise CheckpointError(
            f'{where}: its calibration has {len(calibration.offsets)} classes, its configuration '
            f'{len(config.classes)}; calibrate it again with "sast-ros calibrate"'
        )
    return calibration


def _file_of(path: str | Path) -> Path:
    """Return the file of weights, of a bundled network by its name."""
    return _BUNDLED / f'{path}.safetensors' if str(path) in bundled_model_names() else Path(path)


def _check_shapes(config: ModelConfig, tensors: dict[str, Tensor], where: str) -> None:
    """Refuse, before the network takes its memory, a configuration of another size."""
    first = tensors.get('backbone.stages.0.downsample_cf2cl.conv.weight')
    if first is not None and tuple(first.shape[:2]) != (config.embed_dim, config.channels):
        raise CheckpointError(
            f'{where}: its configuration block has {config.embed_dim} channels for an input of '
            f'{config.channels}, its tensors {list(first.shape[:2])}; convert it again'
        )


def untrained_model(name: str, seed: int = 0, **overrides: Any) -> SAST:
    """
    Return a network of a published configuration with random weights, in evaluation mode.

    The weights depend on the seed only.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # others draw other numbers
    try:
        with torch.random.fork_rng(devices=[]), torch.device('cpu'):
            torch.manual_seed(seed)
            return SAST(model_config(name, **overrides)).eval()
    finally:
        torch.set_default_dtype(default)


def save_model(
    model: SAST, path: str | Path, *, half: bool = False, metadata: dict[str, str] | None = None
) -> str:
    """
    Write weights, configuration and calibration as safetensors; return the SHA-256 of the file.

    ``half`` stores float16.

    Raises
    ------
    CheckpointError
        The name does not end in ``.safetensors``, or float16 cannot hold a weight.

    """
    require_ending(path)
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value)
        .detach()
        .cpu()
        .contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith(_OPTIONAL)
    }
    large = [name for name, value in tensors.items() if half and not value.isfinite().all()]
    if large:
        raise CheckpointError(
            f'{path}: is not written as float16, which ends at 65504 and cannot hold {large[0]}; '
            'store float32, without --half'
        )
    config, digest = json.dumps(model.config.as_dict()), _digest(tensors)
    header = {
        'format': 'pt',
        _CONFIG_KEY: config,
        _DIGEST_KEY: digest,
        _CONFIG_DIGEST_KEY: _block_digest(config, digest),
        **_calibration_entries(model.calibration, digest),
        **(metadata or {}),
    }
    path = Path(path)
    write_file(path, save(tensors, header))  # save_file would deny it to other users
    return file_sha256(path)


def require_ending(path: str | Path) -> None:
    """Raise a ``CheckpointError`` where no file of weights is called so."""
    if Path(path).suffix != _ENDING:
        raise CheckpointError(
            f'{path}: a file of weights must end in {_ENDING}; choose another name'
        )


def add_calibration(
    source: str | Path, target: str | Path, calibration: Calibration | None
) -> None:
    """
    Write weights with another calibration, or none; the tensors stay bit by bit.

    Parameters
    ----------
    source : str or Path
        As for ``load_model``.
    target : str or Path
        File to write; may be ``source``.
    calibration : Calibration or None
        Of the classes of the weights.

    Raises
    ------
    CheckpointError
        As of ``load_model``, the classes are not as many, or ``target`` does not end in
        ``.safetensors``.

    """
    require_ending(target)
    model = load_model(source)
    tensors, metadata = _read_safetensors(_file_of(source))
    digest = _digest(tensors)
    entries = _calibration_entries(calibration, digest)
    kept = {
        name: value
        for name, value in metadata.items()
        if name not in (_CALIBRATION_KEY, _CALIBRATION_DIGEST_KEY)
    }
    _read_calibration(model.config, digest, entries, str(source))
    write_file(Path(target), save(tensors, {'format': 'pt', **kept, **entries}))


def _calibration_entries(calibration: Calibration | None, digest: str) -> dict[str, str]:
    if calibration is None:
        return {}
    block = json.dumps(calibration.as_dict())
    return {_CALIBRATION_KEY: block, _CALIBRATION_DIGEST_KEY: _block_digest(block, digest)}


def same_shapes(name: str) -> tuple[str, ...]:
    """Return the published configurations that have the shapes of one, but for the classes."""
    return tuple(c.name for c in CONFIGS.values() if c.embed_dim == CONFIGS[name].embed_dim)


def infer_config(
    tensors: dict[str, Tensor],
    where: str,
    *,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> ModelConfig:
    """
    Return the configuration that has tensors of these shapes.

    Without a name it is the published one of these channels and as many classes. That of the other
    data set and the same size has the same shapes but for the classes: frame, down-sampling and
    partitions are not in the tensors. AMP, BOUNCE and the like stay at the published values.

    Raises
    ------
    CheckpointError
        The tensors are not those of a published configuration, or the classes are not, which makes
        them weights of either data set.

    """
    try:
        embed_dim = tensors['backbone.stages.0.downsample_cf2cl.conv.weight'].shape[0]
        class_count = tensors['yolox_head.cls_preds.0.weight'].shape[0]
    except (KeyError, IndexError):
        raise CheckpointError(
            f'{where}: these are no weights of a SAST detector '
            '(backbone.stages.0.downsample_cf2cl.conv.weight or '
            'yolox_head.cls_preds.0.weight is missing); give the checkpoint of a SAST detector'
        ) from None
    if name is None:
        fitting = [
            c.name
            for c in CONFIGS.values()
            if c.embed_dim == embed_dim and len(c.classes) == class_count
        ]
        if not fitting:
            raise CheckpointError(
                f'{where}: {embed_dim} channels and {class_count} classes are no published '
                'configuration; say which one it '
                f'varies (--name, one of {", ".join(CONFIGS)}) and its class names (--classes)'
            )
        name = fitting[0]
        if classes is not None and tuple(classes) != CONFIGS[name].classes:
            raise CheckpointError(
                f'{where}: has the shapes of {" and ".join(same_shapes(name))}, and the classes '
                'of neither; say which one it varies (--name)'
            )
    config = model_config(name)
    if classes is not None:
        config = vary(config, classes=tuple(classes))
    if len(config.classes) != class_count:
        raise CheckpointError(
            f'{where}: predicts {class_count} classes but {len(config.classes)} names are known '
            f'({", ".join(config.classes)}); name them all in class-id order (--classes)'
        )
    return config


def load_strictly(config: ModelConfig, tensors: dict[str, Tensor], where: str) -> SAST:
    """
    Return the network with the tensors, or raise one CheckpointError that lists all that is wrong.

    That is every missing, extra, mis-shaped and contradictory tensor. The network takes
    memory only if all shapes fit.
    """
    with torch.device('meta'):  # no random weights are drawn only to be replaced
        model = SAST(config)
    wanted = model.state_dict()
    aliases = {name for name in tensors for alias in ALIASES if name.endswith(f'_attn.{alias}')}
    faults = [
        *(f'missing: {n}' for n in wanted if n not in tensors and not n.endswith(_OPTIONAL)),
        *(f'extra: {n}' for n in tensors if n not in wanted and n not in aliases),
        *(
            f'shape: {n} is {list(tensors[n].shape)}, must be {list(wanted[n].shape)}'
            for n in wanted
            if n in tensors and tensors[n].shape != wanted[n].shape
        ),
        *(
            f'type: {n} is {_kind(tensors[n])}, must be {_kind(wanted[n])}'
            for n in wanted
            if n in tensors and _kind(tensors[n]) != _kind(wanted[n])
        ),
    ]
    if not faults:
        # Copied, because mapped tensors would change, or end the process, with their file
        values = {
            name: torch.zeros(value.shape, dtype=value.dtype, device='cpu')
            for name, value in wanted.items()
        }
        for name in values.keys() & tensors.keys():
            values[name].copy_(tensors[name])
        values |= {alias: tensors[alias].float() for alias in aliases}
        result = None
        try:
            model.load_state_dict(values, strict=True, assign=True)
        except RuntimeError as error:
            result = str(error).splitlines()[1:]
        if result:
            faults = [line.strip() for line in result]
        else:
            broken = [
                n
                for n, v in model.state_dict().items()
                if v.is_floating_point() and not v.isfinite().all()
            ]
            faults = [f'not finite: {n}' for n in broken]
    if faults:
        listing = '\n  '.join(faults)
        raise CheckpointError(
            f'{where}: does not fit {config.name} with classes '
            f'{", ".join(config.classes)}, '
            f'{len(faults)} differences:\n  {listing}'
        )
    return model


def _kind(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        return 'floating point'
    if tensor.is_complex() or tensor.dtype == torch.bool:
        return str(tensor.dtype)
    return 'integer'


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(
            f'{path}: no such file and no bundled model of that name; give a .safetensors file '
            '(sast-ros convert makes one from an official checkpoint)'
        )
    try:
        with safe_open(path, framework='pt') as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        if problem := foreign_content(path, 'the weights'):
            raise CheckpointError(f'{path}: {problem}') from None
        raise CheckpointError(
            f'{path}: is no intact safetensors file ({error}); convert a checkpoint with '
            '"sast-ros convert"'
        ) from None


def _digest(tensors: dict[str, Tensor]) -> str:
    """
    Return the SHA-256 over names, types, shapes and values of all tensors.

    They are taken in the order of their names.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _block_digest(block: str, digest: str) -> str:
    """Return the SHA-256 over a block of the metadata and the digest of the tensors."""
    return hashlib.sha256(f'{block}\n{digest}'.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
