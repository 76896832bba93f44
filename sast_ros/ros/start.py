# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The executables.

One sentence where ROS 2 cannot be imported, as one of another Python; silence where they are told
to end before it has been.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NoReturn

from sast_ros.errors import format_error, is_expected


def detector() -> int:
    """Run the executable ``detector``."""
    return _run('sast_ros.ros.detector_node')


def player() -> int:
    """Run the executable ``player``."""
    return _run('sast_ros.demo.player')


def _run(module: str) -> int:
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, _leave) for number in signals]
    try:
        main = importlib.import_module(module).main
    except ImportError as error:
        end_program(error, '__main__')
    for number, handler in zip(signals, before):
        signal.signal(number, handler)
    return main()


def _leave(signum: int, frame: object) -> NoReturn:
    """End at once: an import leaves nothing behind, and may make another error of an exception."""
    os._exit(0)


def end_program(error: ImportError, name: str) -> NoReturn:
    """Exit with one sentence if the module ``name`` is the program, else raise the error."""
    if name != '__main__' or not is_expected(error):
        raise error
    sys.exit(f'sast_ros: {format_error(error)}')
