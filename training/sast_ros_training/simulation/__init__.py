"""Simulated event cameras in simulated streets."""

from sast_ros_training.simulation.drive import Drive, DriveWindow

__all__ = ['Drive', 'DriveWindow']
