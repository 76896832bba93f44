# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of detections against labels.

Labels, detections and their pairing in time are read here; ``metrics`` computes, ``batch`` replays
many recordings, ``report`` shows.
"""
