"""Synthetic event cameras: scenes that move in front of a sensor model."""

from sast_ros.simulation.packets import EventPacketEncoder
from sast_ros.simulation.scene import simulate_drive

__all__ = ['EventPacketEncoder', 'simulate_drive']
