"""What is said of an error, on the command line and wherever one of many jobs failed."""

from __future__ import annotations


def sentence(error: BaseException, advice: str = '') -> str:
    """
    Say in one sentence, without line breaks, what was wrong.

    What nobody foresaw is named as such, followed by the advice. Foreseen are the errors of this
    package, whose texts say what to do, wrong values, what is not installed, and those of the
    operating system.
    """
    text = ' '.join(str(error).split())
    if type(error).__module__.startswith('sast_ros.') or isinstance(
        error, (ValueError, ImportError)
    ):
        return text or type(error).__name__
    if isinstance(error, OSError):
        name = f'{error.filename}: ' if error.filename else ''
        return f'{name}{error.strerror or text}'
    return f'unexpected {type(error).__name__}: {text}{advice}'
