# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Version of the package."""

from __future__ import annotations

import importlib.metadata


def installed_version() -> str:
    """Return the installed version; a source tree may have none."""
    try:
        return importlib.metadata.version('sast_ros')
    except importlib.metadata.PackageNotFoundError:
        return '(not installed)'
