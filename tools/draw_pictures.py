# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Draw the pictures of README and docs/how_to/viewers.md anew, from the bundled recording.

``.venv/bin/python tools/draw_pictures.py [FOLDER]``; the folder is docs/images by default.
"""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np
from PIL import Image
from sast_ros.bags import open_recording
from sast_ros.defaults import OVERLAY_LAYERS, STRIDE_MS
from sast_ros.detections import Detections, TokenMap
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
from sast_ros.example import recording_path
from sast_ros.replay import make_pipeline, replay, ReplayOptions
from sast_ros.tracking import Trails
from sast_ros.visualization import draw_overlay, OverlayStyle, THEMES, video_scale
from sast_ros.visualization.overlay import LABELS_NOTE
from sast_ros.windows import EventWindow

#: End of the window that is drawn, seconds: a car and a two-wheeler near, two objects far away.
MOMENT_S = 5.55


def main(folder: Path) -> None:
    """Write overlay.png and viewers.png."""
    folder.mkdir(parents=True, exist_ok=True)
    window, found, tokens, trails = detect()
    height, width = found.height, found.width
    scale = video_scale(height, width)
    labels = np.load(recording_path('example').with_name('example_bbox.npy'))
    after = labels['t'] - window.t_end
    labels = labels[(after >= 0) & (after < 1000 * STRIDE_MS)]
    labels = labels[labels['t'] == labels['t'][:1]]
    picture = draw_overlay(window, found, height, width, scale, LABELS_NOTE, labels)
    Image.fromarray(picture).save(folder / 'overlay.png', optimize=True)
    themes = [
        draw_overlay(
            window,
            found,
            height,
            width,
            2,
            style=OverlayStyle(OVERLAY_LAYERS, theme),
            tokens=tokens,
            trails=trails,
        )
        for theme in THEMES
    ]
    Image.fromarray(np.hstack(themes)).save(folder / 'viewers.png', optimize=True)


Drawn = tuple[EventWindow, Detections, TokenMap, dict[int, np.ndarray]]


def detect() -> Drawn:
    """Return the window of ``MOMENT_S``, its detections, what stage 1 attends to, and trails."""
    drawn: list[Drawn] = []
    trails = Trails()
    with open_recording(recording_path('example')) as recording:
        pipeline, _ = make_pipeline(
            recording, ReplayOptions(score_threshold=OPERATING_SCORE, threads=1)
        )

        def keep(window: EventWindow, found: Detections) -> None:
            shown = trails.update(found)
            selected = pipeline.detector.selected
            if abs(window.t_end - 1e6 * MOMENT_S) < 1000 * STRIDE_MS / 2 and selected is not None:
                drawn.append((window, found, selected.token_map(), shown))

        replay(recording, pipeline, end=MOMENT_S + 0.1, on_window=keep)
    return drawn[0]


if __name__ == '__main__':
    main(Path(sys.argv[1] if len(sys.argv) > 1 else 'docs/images'))
