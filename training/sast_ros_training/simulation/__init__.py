"""Simulated event cameras in simulated streets; see ``sequence.SimulatedSequence``."""
