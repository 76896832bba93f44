# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""All decoders and readers that are fuzzed."""

from __future__ import annotations

from fuzz.engine import Target
from fuzz.files import file_targets
from fuzz.messages import message_targets


def all_targets() -> list[Target]:
    """Return a new object of every target."""
    return [*message_targets(), *file_targets()]
