"""The error of everything that reads recordings."""

from sast_ros.errors import SastError


class RecordingError(SastError, ValueError):
    """
    A recording that cannot be read, or that does not say which of its topics is meant.

    The text names the file and says what is wrong and what to do.
    """
