# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Memory of a replay from hour to hour: a long synthetic recording through the default model.

    python benchmarks/long_replay.py [--seconds 3600] [--rate 0.1] [--stride-ms 1000]
    [--format evt3-mcap] [--json FILE]

Moving outlines on 304x240 pixels, in messages of 4 ms, replayed as `sast-ros replay` does it, with
all files written. At the end of every recorded minute the resident size of the process is noted.
`growth`: by how much the largest one is above that after the first minute; the bar is 5 %. A long
stride saves the time of the network and nothing else: every event is decoded and every window is
written down; with 50 ms the hour takes 72 000 steps of the network.
"""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys
import tempfile

import replay as formats
from sast_ros.bags import DetectionWriter, open_recording
from sast_ros.process import keep_heap, resident_bytes
from workload import new_parser, report

WIDTH, HEIGHT = 304, 240


def measure(path: Path, stride_ms: float) -> dict:
    """Replay the recording into a folder beside it; return the summary and the sizes."""
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import choose_model
    from sast_ros.pipeline import EventPipeline
    from sast_ros.replay import replay

    keep_heap()
    model, _ = choose_model('default', 'cpu')
    sizes: list[float] = []
    with open_recording(path) as recording:
        pipeline = EventPipeline(StreamingDetector(model), (HEIGHT, WIDTH), stride_ms=stride_ms)
        with DetectionWriter(path.parent / 'out') as writer:
            first: int | None = None

            def note(window, detections) -> None:
                nonlocal first
                writer.write(detections)
                first = window.t_end if first is None else first
                if window.t_end - first >= 60e6 * (len(sizes) + 1):
                    sizes.append(resident_bytes() / 2**20)

            summary = replay(recording, pipeline, on_window=note)
            writer.finish(summary)
    return {'summary': summary, 'sizes': [*sizes, resident_bytes() / 2**20]}


def main() -> None:
    """Write the recording, replay it and print the sizes."""
    parser = new_parser(__doc__)
    parser.add_argument('--seconds', type=float, default=3600)
    parser.add_argument('--rate', type=float, default=0.1, help='Mev/s')
    parser.add_argument('--stride-ms', type=float, default=1000)
    parser.add_argument('--format', default='evt3-mcap', choices=list(formats.FORMATS))
    parser.add_argument('--measure', type=Path, metavar='FILE')
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.stride_ms)))
        return
    with tempfile.TemporaryDirectory(prefix='sast_ros_') as folder:
        path = Path(folder) / arguments.format
        formats.WIDTH, formats.HEIGHT = WIDTH, HEIGHT
        formats.FORMATS[arguments.format](path, formats.stream(arguments.seconds, arguments.rate))
        # In a process of its own: what writing has left behind is no memory of the replay
        command = [sys.executable, __file__, '--measure', str(path)]
        command += ['--stride-ms', str(arguments.stride_ms)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    sizes, summary = result['sizes'], result['summary']
    rows = [
        [minute, round(sizes[minute - 1], 1), f'{100 * (sizes[minute - 1] / sizes[0] - 1):+.1f} %']
        for minute in sorted({1, 2, 5, *range(10, len(sizes) + 1, 10), len(sizes)})
        if minute <= len(sizes)
    ]
    rows.append(['largest', round(max(sizes), 1), f'{100 * (max(sizes) / sizes[0] - 1):+.1f} %'])
    report(
        f'replay of {summary["seconds"]:.0f} s, {summary["events"] / 1e6:.0f} million events, '
        f'{summary["windows"]} windows, {arguments.format}, {summary["wall_seconds"]:.0f} s',
        ['recorded minute', 'resident MB', 'since the first'],
        rows,
        arguments.json,
    )


if __name__ == '__main__':
    main()
