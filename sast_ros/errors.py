# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Base class of the errors that a user can correct, and their text."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
import re
import shlex
import sys
import sysconfig
from typing import Any

#: What a terminal obeys or cannot show: control characters but tab and line feed, separators and
#: directions of Unicode, bytes of file names that are no text.
_CONTROL = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def escape_controls(text: str) -> str:
    r"""
    Return the text with control characters as Python writes them, ``\x1b``.

    Names in recordings, weights and file systems may hold any character, also those by which a
    terminal changes its title or its content.
    """
    return _CONTROL.sub(lambda found: found.group().encode('unicode_escape').decode(), text)


class SastError(Exception):
    """
    A condition that the user can change; its text is one sentence: what, where, what to do.

    Control characters in it are escaped, because it goes to terminals and logs. Any other
    exception, except errors of the operating system, is a bug of this package and is printed with
    its traceback.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*(escape_controls(a) if isinstance(a, str) else a for a in args))


class SettingError(SastError, ValueError):
    """An option, parameter or argument with an impossible value."""


class UsageError(SettingError):
    """Arguments of a command that cannot be right, whatever the files hold; it exits with 2."""


class MissingPackageError(SastError, ImportError):
    """An optional dependency that is not installed."""


#: What the node and all commands need, as it is imported (a test compares).
REQUIRED = ('numpy', 'safetensors', 'torch')

_REPLAY = ('av', 'lz4', 'mcap', 'PIL', 'yaml', 'rich', 'rosbags', 'zstandard')
_EVALUATE = (*_REPLAY, 'faster_coco_eval', 'jinja2', 'matplotlib')

#: Optional dependencies as they are imported, by the extra of setup.py (a test compares).
EXTRAS = {
    'replay': _REPLAY,
    'evaluate': _EVALUATE,
    'ray': (*_EVALUATE, 'ray'),
    'hdf5': (*_REPLAY, 'h5py', 'hdf5plugin'),
    'export': ('onnx', 'onnxscript'),
    'page': ('aiohttp', 'PIL'),
    'view': (*_REPLAY, 'rerun', 'rerun_cli'),
    'foxglove': (*_REPLAY, 'foxglove'),
}

#: Distributions with another name than what is imported.
DISTRIBUTIONS = {
    'PIL': 'pillow',
    'faster_coco_eval': 'faster-coco-eval',
    'foxglove': 'foxglove-sdk',
    'rerun': 'rerun-sdk',
    'rerun_cli': 'rerun-sdk',
    'yaml': 'pyyaml',
}


def install_command(module: str) -> str:
    """
    Return the command that installs a dependency, and what else its extra lacks.

    It names distributions, not ``sast_ros[extra]``: sast_ros is not on PyPI, where anybody may
    take the name.
    """
    extra = next(names for names in (REQUIRED, *EXTRAS.values()) if module in names)
    absent = (name for name in extra if name == module or find_spec(name) is None)
    names = dict.fromkeys(DISTRIBUTIONS.get(name, name) for name in absent)
    return f'{shlex.quote(sys.executable or "python3")} -m pip install {" ".join(names)}'


def is_expected(error: BaseException) -> bool:
    """Return whether an error is a condition of the user's input or machine, not a bug."""
    return (
        isinstance(error, (SastError, OSError))
        or _missing_package(error) is not None
        or _is_of_ros(error)
    )


def _is_of_ros(error: BaseException) -> bool:
    """Return whether importing rclpy failed: it is missing, or of another ROS or Python."""
    if not isinstance(error, ImportError):
        return False
    if (error.name or '').partition('.')[0] == 'rclpy':
        return True
    trace = error.__traceback__
    while trace is not None:
        if 'rclpy' in Path(trace.tb_frame.f_code.co_filename).parts:
            return True
        trace = trace.tb_next
    return False


def _missing_package(error: BaseException) -> str | None:
    """Return the dependency that an import did not find."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    if error.name in REQUIRED:
        return error.name
    name = (error.name or '').partition('.')[0]
    return name if any(name in names for names in EXTRAS.values()) else None


def _is_closed_to_pip() -> bool:
    """Return whether this is a Python of the system into which pip does not install (PEP 668)."""
    marker = Path(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')
    return sys.prefix == sys.base_prefix and marker.exists()


def fit_advice(text: str) -> str:
    """Return advice that names pip with where to use it, if this Python refuses it (PEP 668)."""
    if 'pip install' not in text or not _is_closed_to_pip():
        return text
    return (
        f'{text} (in a virtual environment, because pip does not install into {sys.executable}: '
        'docs/get_started/with_ros.md)'
    )


def format_error(error: BaseException) -> str:
    """Return the text of an error as one sentence without line breaks and control characters."""
    return escape_controls(_format(error))


def _format(error: BaseException) -> str:
    text = ' '.join(str(error).split())
    if isinstance(error, SastError):
        return fit_advice(text)
    missing = _missing_package(error)
    if missing is not None and _is_closed_to_pip():
        return (
            f'{missing} is not installed for {sys.executable}, into which pip does not install; '
            'install it in a virtual environment and build the workspace with the Python of that: '
            'docs/get_started/with_ros.md'
        )
    if missing is not None:
        return f'{missing} is not installed; {install_command(missing)}'
    if _is_of_ros(error):
        return (
            f'ROS 2 cannot be used ({text}); source the setup file of a ROS 2 installation for '
            'this Python, and take others out of PYTHONPATH; see "sast-ros doctor"'
        )
    if isinstance(error, OSError):
        name = f'{error.filename}: ' if error.filename else ''
        return f'{name}{error.strerror or text}'
    return f'unexpected {type(error).__name__}: {text}'
