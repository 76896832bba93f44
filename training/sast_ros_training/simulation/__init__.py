"""Simulated event cameras in simulated streets."""

from sast_ros_training.simulation.sequence import SequenceWindow, SimulatedSequence

__all__ = ['SimulatedSequence', 'SequenceWindow']
