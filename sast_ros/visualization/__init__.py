"""
Pictures of events and detections.

They are the same for the node's overlay topic, the demo and replay videos.
"""

from sast_ros.visualization.overlay import draw_overlay, UNTRAINED_NOTE
from sast_ros.visualization.video import OverlayVideo, ReplayVideo, video_scale, VideoError

__all__ = [
    'UNTRAINED_NOTE',
    'OverlayVideo',
    'ReplayVideo',
    'VideoError',
    'draw_overlay',
    'video_scale',
]
