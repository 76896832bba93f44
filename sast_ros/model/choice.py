# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network and the device that a user names, the same for the node and the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sast_ros.model.checkpoint import (
    bundled_model_names,
    CheckpointError,
    load_model,
    untrained_model,
)
from sast_ros.model.config import CONFIGS
from sast_ros.model.device import choose_device
from sast_ros.model.sast import SAST


def choose_model(name: str, device: str = 'auto', **overrides: Any) -> tuple[SAST, bool]:
    """
    Return the network of this name on the device, and whether its weights are trained.

    Parameters
    ----------
    name : str
        A bundled network (``'default'``) or a ``.safetensors`` file, whose weights are trained, or
        a configuration (``'gen1-tiny'``), which gives untrained ones.
    device : str, optional
        As for ``choose_device``.
    **overrides : Any
        As for ``load_model``.

    Raises
    ------
    CheckpointError
        None of these, or a file that does not load.
    SettingError
        A device that cannot be used, or an impossible override.

    """
    place = choose_device(device)
    if name in CONFIGS:
        return untrained_model(name, **overrides).to(place), False
    bundled = bundled_model_names()
    if name not in bundled and Path(name).suffix != '.safetensors':
        raise CheckpointError(
            f'{name!r} is neither a bundled model ({", ".join(bundled) or "none is installed"}) '
            f'nor a .safetensors file nor a configuration ({", ".join(CONFIGS)}); name one of them'
        )
    return load_model(name, place, **overrides), True
