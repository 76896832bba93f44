# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of events and detections, for the node's overlay topic, demo and replay videos."""

from sast_ros.visualization.overlay import (
    draw_events,
    draw_overlay,
    OverlayStyle,
    THEMES,
    UNTRAINED_NOTE,
)
from sast_ros.visualization.video import OverlayVideo, replay_video, video_scale, VideoError

__all__ = [
    'THEMES',
    'UNTRAINED_NOTE',
    'OverlayStyle',
    'OverlayVideo',
    'VideoError',
    'draw_events',
    'draw_overlay',
    'replay_video',
    'video_scale',
]
