# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Windows per second that one core simulates: scene, pictures, event camera and labels.

    python benchmarks/simulation_speed.py [--sequences 16] [--seconds 2] [--geometries gen1]
    [--json FILE]

The given number of sequences of every camera motion, by seed; processor time of one thread, which
includes making the scene. `slowest` is the slowest single sequence.
"""

from __future__ import annotations

import time

from sast_ros_training.simulation.motion import MOTIONS
from sast_ros_training.simulation.sequence import GEOMETRIES, SimulatedSequence
from workload import new_parser, report


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument('--sequences', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=2.0)
    parser.add_argument('--geometries', nargs='+', default=['gen1'], choices=list(GEOMETRIES))
    arguments = parser.parse_args()
    rows = []
    for geometry in arguments.geometries:
        totals = {}
        for motion in MOTIONS:
            times, windows, events = [], 0, 0
            for seed in range(arguments.sequences):
                began = time.process_time()
                sequence = SimulatedSequence((seed, 4), arguments.seconds, geometry, motion)
                events += sum(len(window.chunk) for window in sequence.windows())
                times.append(time.process_time() - began)
                windows += sequence.count
            totals[motion] = sum(times), windows
            slowest = windows / arguments.sequences / max(times)
            rows.append(
                [
                    geometry,
                    motion,
                    windows,
                    round(events / windows),
                    round(windows / sum(times), 1),
                    round(slowest, 1),
                ]
            )
        spent, windows = (
            sum(totals[motion][part] for motion in MOTIONS if motion != 'static')
            for part in (0, 1)
        )
        rows.append([geometry, 'all that move', windows, '', round(windows / spent, 1), ''])
    report(
        'simulation',
        ['sensor', 'camera', 'windows', 'events a window', 'windows/s per core', 'slowest'],
        rows,
        arguments.json,
    )


if __name__ == '__main__':
    main()
