"""Pictures of events and detections, the same for the node's overlay topic, the demo and replay videos."""

from sast_ros.visualization.overlay import UNTRAINED_NOTE, draw_overlay
from sast_ros.visualization.video import OverlayVideo, VideoError, video_scale

__all__ = ['UNTRAINED_NOTE', 'OverlayVideo', 'VideoError', 'draw_overlay', 'video_scale']
