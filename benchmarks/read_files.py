# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Speed of reading files without messages on one core, in millions of events a second.

    python benchmarks/read_files.py [--events N] [--packet N] [--json FILE]

Random events of a sensor of 64x48 pixels, written as in the tests, are decoded to columns x, y, p
and t, and read as a recording: decoded, checked and put in order. Every number is the best of
three runs, in processor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import gzip
from pathlib import Path
import sys
import tempfile
import time

import numpy as np
from sast_ros.bags import open_recording
from workload import new_parser, report

TESTS = Path(__file__).resolve().parent.parent / 'test'


def speed(events: int, read: Callable[[], Iterable]) -> float:
    """Return millions of events a second of the fastest of three runs through what is read."""
    times = []
    for _ in range(3):
        start = time.process_time()
        for _ in read():
            pass
        times.append(time.process_time() - start)
    return round(events / min(times) / 1e6, 1)


def main() -> int:
    """Write the files, read them and print the table."""
    sys.path.insert(0, str(TESTS))
    from bags import event_files
    from bags.recordings import random_events

    parser = new_parser(__doc__)
    parser.add_argument('--events', type=int, default=1_000_000, metavar='N')
    parser.add_argument('--packet', type=int, default=10_000, metavar='N', help='of aedat4')
    arguments = parser.parse_args()

    count = arguments.events
    events = random_events(count, span_us=count)
    text = event_files.text(events)
    contents = {
        **{
            f'{kind}.aedat4': event_files.aedat4(events, kind, arguments.packet)
            for kind in ('none', 'lz4', 'zstd')
        },
        'dvs.es': event_files.event_stream(events),
        'plain.txt': text,
        'seconds.csv': event_files.text(events, '{s:.6f},{x},{y},{p}\n'),
        'packed.txt.gz': gzip.compress(text),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            (Path(folder) / name).write_bytes(content)
        np.save(Path(folder) / 'table.npy', event_files.table(events))
        np.savez(Path(folder) / 'columns.npz', **events)
        for name in (*contents, 'table.npy', 'columns.npz'):
            with open_recording(Path(folder) / name) as recording:
                blocks = speed(count, recording._blocks)
                rows.append([name, blocks, speed(count, recording.__iter__)])
    report(
        f'{count} events, {arguments.packet} a packet of aedat4: Mev/s on one core',
        ['file', 'to columns', 'as a recording'],
        rows,
        arguments.json,
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
