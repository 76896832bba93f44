"""
Evaluation of detections against labels.

Labels, detections and their pairing in time are read here; ``metrics`` computes, ``batch`` replays
many recordings, ``report`` shows.
"""
