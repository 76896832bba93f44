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
from sast_ros.visualization.video import (
    OverlayGif,
    OverlayVideo,
    replay_video,
    Replayed,
    video_scale,
    VideoError,
)

__all__ = [
    'THEMES',
    'UNTRAINED_NOTE',
    'OverlayGif',
    'OverlayStyle',
    'OverlayVideo',
    'Replayed',
    'VideoError',
    'draw_events',
    'draw_overlay',
    'replay_video',
    'video_scale',
]
