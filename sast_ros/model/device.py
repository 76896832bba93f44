# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The device that a user names."""

from __future__ import annotations

from sast_ros.errors import SettingError
import torch


def choose_device(name: str | torch.device) -> torch.device:
    """
    Return the device ``'cpu'``, ``'cuda'``, ``'cuda:N'``, or the first GPU if any for ``'auto'``.

    Raises
    ------
    SettingError
        There is no such device.

    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            f'the device {str(name)!r} cannot be used ({reason}); use auto or cpu'
        ) from error
    return device
