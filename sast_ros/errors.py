# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Base class of the errors that a user can correct, and their text."""

from __future__ import annotations


class SastError(Exception):
    """
    A condition that the user can change; its text is one sentence: what, where, what to do.

    Any other exception, except errors of the operating system, is a bug of this package and is
    printed with its traceback.
    """


class SettingError(SastError, ValueError):
    """An option, parameter or argument with an impossible value."""


class MissingPackageError(SastError, ImportError):
    """An optional dependency that is not installed."""


#: Optional dependencies by the extra of this package that installs them.
_EXTRAS = {
    'replay': ('av', 'lz4', 'mcap', 'PIL', 'rich', 'rosbags', 'yaml', 'zstandard'),
    'evaluate': ('faster_coco_eval', 'jinja2', 'matplotlib'),
    'ray': ('ray',),
    'hdf5': ('h5py', 'hdf5plugin'),
}
_EXTRA_OF = {name: extra for extra, names in _EXTRAS.items() for name in names}


def is_expected(error: BaseException) -> bool:
    """Return whether an error is a condition of the user's input or machine, not a bug."""
    return isinstance(error, (SastError, OSError)) or _missing_package(error) is not None


def _missing_package(error: BaseException) -> str | None:
    """Return the optional dependency that an import did not find."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    name = (error.name or '').partition('.')[0]
    return name if name in _EXTRA_OF else None


def format_error(error: BaseException) -> str:
    """Return the text of an error as one sentence without line breaks."""
    text = ' '.join(str(error).split())
    if isinstance(error, SastError):
        return text
    missing = _missing_package(error)
    if missing is not None:
        return f"{missing} is not installed; pip install 'sast_ros[{_EXTRA_OF[missing]}]'"
    if isinstance(error, OSError):
        name = f'{error.filename}: ' if error.filename else ''
        return f'{name}{error.strerror or text}'
    return f'unexpected {type(error).__name__}: {text}'
