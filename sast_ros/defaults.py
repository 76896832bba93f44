# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Default settings of the detector, the same in the node, the commands and the Python API."""

WINDOW_MS = 50.0
STRIDE_MS = 50.0
MAX_GAP_MS = 1000.0
SCORE_THRESHOLD = 0.1
NMS_IOU = 0.45
MAX_DETECTIONS = 100
AMP = 2e-4
BOUNCE = 1e-3
TRACK_HIGH_SCORE = 0.5
TRACK_LOW_SCORE = 0.2
TRACK_MIN_IOU = 0.2
TRACK_MAX_DISTANCE = 3.0
TRACK_MIN_HITS = 2
TRACK_MAX_AGE_MS = 500.0
TRACK_LEAD_MS = 0.0

#: Ranges of AMP and BOUNCE, both ends included.
AMP_LIMITS = (1e-9, 1e9)
BOUNCE_LIMITS = (0, 1e9)

#: Largest number of CPU threads of the network; OpenMP ends the process with far more.
MAX_THREADS = 256

#: Largest number of time bins per polarity that a histogram and a network may have.
MAX_BINS = 127

#: What a picture of a window may show, see ``OverlayStyle``, and what it shows by default.
OVERLAY_LAYERS = ('events', 'tokens', 'boxes', 'ids', 'status')
SHOWN_LAYERS = ('events', 'boxes', 'ids', 'status')
OVERLAY_THEMES = ('dark', 'light')
