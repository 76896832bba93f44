"""Base class of the errors that a user can correct, and the sentence that is shown of one."""

from __future__ import annotations


class SastError(Exception):
    """
    A condition that the user can change; its text is one sentence: what, where, what to do.

    Everything else that is raised, but for errors of the operating system, is a bug of this
    package and is shown with its traceback.
    """


class SettingError(SastError, ValueError):
    """An option, parameter or argument with an impossible value."""


class MissingPackageError(SastError, ImportError):
    """An optional dependency that is not installed."""


def is_expected(error: BaseException) -> bool:
    """Return whether an error is a condition of the user's input or machine, not a bug."""
    return isinstance(error, (SastError, OSError))


def format_error(error: BaseException) -> str:
    """Return one sentence without line breaks that says what was wrong."""
    text = ' '.join(str(error).split())
    if isinstance(error, SastError):
        return text
    if isinstance(error, OSError):
        name = f'{error.filename}: ' if error.filename else ''
        return f'{name}{error.strerror or text}'
    return f'unexpected {type(error).__name__}: {text}'
