"""Simulated event cameras in simulated streets."""

from sast_ros.simulation.drive import Drive, DriveWindow, LABEL_DTYPE
from sast_ros.simulation.packets import EventArrayEncoder, EventPacketEncoder

__all__ = ['LABEL_DTYPE', 'Drive', 'DriveWindow', 'EventArrayEncoder', 'EventPacketEncoder']
