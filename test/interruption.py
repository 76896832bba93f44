# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Both ways in which an interruption arrives."""

from __future__ import annotations

import ctypes


class _Interrupting:
    """Is interrupted while ctypes converts it."""

    @property
    def _as_parameter_(self) -> int:
        raise KeyboardInterrupt


def interrupt(*ignored: object) -> None:
    """Raise ``KeyboardInterrupt``."""
    raise KeyboardInterrupt


def interrupt_conversion(*ignored: object) -> None:
    """Raise what ctypes makes of it, ``ctypes.ArgumentError``."""
    function = ctypes.CDLL(None).abs
    function.argtypes = [ctypes.c_int]
    function(_Interrupting())


#: What raises them, of any arguments.
INTERRUPTIONS = (interrupt, interrupt_conversion)
