"""Simulated event cameras in simulated streets."""

from sast_ros_training.simulation.drive import Drive, DriveWindow, LABEL_DTYPE

__all__ = ['LABEL_DTYPE', 'Drive', 'DriveWindow']
