# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Objects that keep their number from window to window."""

from sast_ros.tracking.tracker import DEFAULT_TRACKING, TRACK_DTYPE, Tracker, TrackingSettings
from sast_ros.tracking.trails import Trails

__all__ = ['DEFAULT_TRACKING', 'TRACK_DTYPE', 'Tracker', 'TrackingSettings', 'Trails']
