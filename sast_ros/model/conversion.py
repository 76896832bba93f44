# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Official Lightning checkpoints (``.ckpt``), read without running them, to safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import pickle
import re
import textwrap
import zipfile

from sast_ros.foreign_file import foreign_content
from sast_ros.model.checkpoint import (
    CheckpointError,
    file_sha256,
    infer_config,
    load_strictly,
    require_ending,
    save_model,
)
from sast_ros.model.config import ModelConfig
import torch
from torch import Tensor

_PREFIX = 'mdl.'
_SOURCE_KEY = 'sast_ros.source_sha256'


@dataclass(frozen=True)
class Conversion:
    """
    What ``convert_checkpoint`` wrote.

    The file, its SHA-256, the configuration and the number of tensors.
    """

    path: Path
    sha256: str
    config: ModelConfig
    tensors: int
    parameters: int


def convert_checkpoint(
    source: str | Path,
    target: str | Path,
    *,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
    half: bool = False,
) -> Conversion:
    """
    Convert an official Lightning checkpoint (``.ckpt``) to safetensors.

    The configuration is stored inside.

    Parameters
    ----------
    source : str or Path
        The checkpoint; only tensors and plain containers are read from it (``weights_only``),
        nothing is executed.
    target : str or Path
        The ``.safetensors`` file to write.
    name : str or None, optional
        Configuration, for example ``'gen1-base'``; by default the published one of these shapes
        and as many classes.
    classes : tuple[str, ...] or None, optional
        Class names in class-id order; needed where their number is not the published one.
    half : bool, optional
        Store float16.

    Raises
    ------
    CheckpointError
        No such file, unsafe or unreadable, any missing, extra or mis-shaped tensor, or one of
        another kind (all listed), or ``target`` does not end in ``.safetensors``.

    """
    require_ending(target)
    source = Path(source)
    tensors = _read_state_dict(source)
    config = infer_config(tensors, str(source), name=name, classes=classes)
    model = load_strictly(config, tensors, str(source))
    sha256 = save_model(model, target, half=half, metadata={_SOURCE_KEY: file_sha256(source)})
    parameters = sum(p.numel() for p in model.parameters())
    return Conversion(Path(target), sha256, config, len(model.state_dict()), parameters)


def _read_state_dict(source: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint of PyTorch by name; nothing in it is executed."""
    if not source.is_file():
        raise CheckpointError(f'{source}: no such file; give the path of a SAST .ckpt checkpoint')
    if problem := _no_checkpoint(source):
        raise CheckpointError(f'{source}: {problem}')
    require_safe_unpickling(source)
    try:
        content = torch.load(source, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        # The text of PyTorch advises to switch the protection off
        found = re.search(r'GLOBAL ([\w.]+)', str(error))
        if found is None:
            raise CheckpointError(
                f'{source}: is a damaged PyTorch checkpoint; download it again'
            ) from None
        raise CheckpointError(
            f'{source}: holds objects other than tensors ({found.group(1)}) and will not be '
            'unpickled, because that can run any program; save its state_dict alone with '
            'torch.save where it was made, and convert that'
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # of damaged files, by every layer below torch.load
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = '' if 'weights_only' in str(error) else f' ({reason})'
        raise CheckpointError(
            f'{source}: is no readable PyTorch checkpoint{reason}; download it again'
        ) from None
    state = content.get('state_dict', content) if isinstance(content, dict) else None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(v, Tensor) for v in state.values())
    ):
        raise CheckpointError(
            f'{source}: has no state_dict of tensors; give a checkpoint as PyTorch Lightning '
            'saves it'
        )
    odd = [
        str(key)
        for key, value in state.items()
        if value.layout is not torch.strided
        or value.is_nested
        or value.is_quantized
        or value.is_meta
    ]
    if odd:
        raise CheckpointError(
            f'{source}: {textwrap.shorten(", ".join(odd), 100)}: sparse, nested, quantized or '
            'without values; save them as plain tensors (dense, floating point)'
        )
    return {str(key).removeprefix(_PREFIX): value for key, value in state.items()}


def require_safe_unpickling(path: Path) -> None:
    """
    Raise a ``CheckpointError`` where ``torch.load`` of a file could execute code.

    Before PyTorch 2.6.0 it did so with ``weights_only=True`` too (CVE-2025-32434).
    """
    if torch.__version__ < '2.6':  # compared as versions, not as texts
        raise CheckpointError(
            f'{path}: is not read by PyTorch {torch.__version__}, in which a checkpoint can '
            'execute code (CVE-2025-32434); install PyTorch 2.6 or later'
        )


def _no_checkpoint(source: Path) -> str:
    """Return what a file is, and what to do, if it is plainly no checkpoint."""
    if problem := foreign_content(source, 'the checkpoint'):
        return problem
    with source.open('rb') as file:
        head = file.read(1024)
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < 1 << 32:
        return 'is a safetensors file; give it to --model as it is'
    try:
        names = None
        if zipfile.is_zipfile(source):  # by its last bytes only
            with zipfile.ZipFile(source) as archive:
                names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return 'is a damaged zip archive; download it again'
    if names is not None:
        if not any(name.endswith('data.pkl') for name in names):
            content = textwrap.shorten(', '.join(names[:3]), 100) or 'empty'
            return (
                f'is a zip archive without data of PyTorch ({content}); '
                'unpack it and give the .ckpt file inside'
            )
        return ''
    # A pickle of protocol 2 or later, or the tar archives of old
    if head[:1] == b'\x80' or head.startswith(b'PK') or head[257:262] == b'ustar':
        return ''
    return (
        f'is no file of PyTorch (it begins with {head[:12]!r}); give a .ckpt checkpoint as '
        'PyTorch Lightning saves it'
    )
