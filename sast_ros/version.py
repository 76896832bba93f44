"""Which version of the package this is."""

from __future__ import annotations

import importlib.metadata


def installed_version() -> str:
    """Return the version that is installed; a source tree need not be."""
    try:
        return importlib.metadata.version('sast_ros')
    except importlib.metadata.PackageNotFoundError:
        return '(not installed)'
