# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Filters between the decoder and the windows: noise, regions, orientation.

A filter is written as a text, ``NAME`` or ``NAME=VALUE``; docs/how_to/filters.md describes them.
What a filter does depends on the events of the stream alone, not on how they are packed into
chunks, so that the node and a replay of its recording keep the same events.
"""

from sast_ros.events.filters.chain import (
    check_filter,
    FILTER_REASONS,
    FilterChain,
    with_absolute_paths,
)
from sast_ros.events.filters.mask import read_mask

__all__ = ['FILTER_REASONS', 'FilterChain', 'check_filter', 'read_mask', 'with_absolute_paths']
