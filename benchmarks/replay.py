# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Speed and memory of replay by input format: the same events, written once in every format.

    python benchmarks/replay.py [--seconds 20] [--rate 5] [--model-seconds 2] [--runs 3]
    [--formats evt3.raw ...] [--json FILE]

A synthetic 1280x720 recording of moving outlines, in messages of 4 ms as a driver sends them.
`decode` reads the whole of it to stacked histograms of 50 ms windows, without a network, in one
thread; `detect` replays its first seconds with the default model. Wall clock of the fastest run,
each in a process of its own, of a file that was just written and so comes from memory. `peak MB`
is the largest resident size of that process with all libraries, `growth` by how much of it the
peak rose after the first fifth of the recording, both of `decode`. The bars for `decode`: 30 Mev/s
for EVT 3.0 and 60 for dvs_msgs, on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import json
from pathlib import Path
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Rosbag2Writer
from sast_ros.bags import open_recording
from sast_ros.bags.definitions import message_types
from sast_ros.events import EventChunk
from sast_ros.events.encoders import (
    cut_packets,
    encode_evt3,
    EventArrayEncoder,
    EventPacketEncoder,
)
from sast_ros.histogram import StackedHistogram
from sast_ros.process import keep_heap
from sast_ros.windows import WindowCutter
from workload import new_parser, outlines, report

WIDTH, HEIGHT = 1280, 720
START_NS = 1_700_000_000 * 10**9
EVENT_ARRAY = 'dvs_msgs/msg/EventArray'
EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
TOPIC = '/event_camera/events'

Stream = Iterator[EventChunk]


def stream(seconds: float, rate: float) -> Stream:
    """Packets of 4 ms; the scene of one second is seen again and again."""
    scene = list(cut_packets(outlines(0, HEIGHT, WIDTH, round(rate * 1e6), 1_000_000)))
    for index in range(round(250 * seconds)):
        packet = scene[index % len(scene)]
        yield replace(packet, t=packet.t + 1_000_000 * (index // len(scene)), checked=True)


# ------------------------------------------------------------------------------------ the formats


def write_evt3(path: Path, packets: Stream) -> None:
    with path.open('wb') as file:
        file.write(f'% evt 3.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n'.encode())
        for packet in packets:
            file.write(encode_evt3(packet))


def write_evt2(path: Path, packets: Stream) -> None:
    """EVT 2.0: a word for an event, and one for every 64 us of time."""
    with path.open('wb') as file:
        file.write(f'% evt 2.0\n% geometry {WIDTH}x{HEIGHT}\n% end\n'.encode())
        for packet in packets:
            high, low = packet.t >> 6, packet.t & 63
            words = np.empty((len(packet), 2), '<u4')
            words[:, 0] = 8 << 28 | high & 0xFFFFFFF
            words[:, 1] = (
                packet.p.astype(np.int64) << 28 | low << 22 | packet.x.astype(np.int64) << 11
            ) | packet.y
            needed = np.ones(words.shape, bool)
            needed[1:, 0] = high[1:] != high[:-1]
            file.write(words[needed].tobytes())


def write_dat(path: Path, packets: Stream) -> None:
    with path.open('wb') as file:
        file.write(f'% Version 2\n% Width {WIDTH}\n% Height {HEIGHT}\n'.encode() + bytes([12, 8]))
        for packet in packets:
            words = np.empty((len(packet), 2), '<u4')
            words[:, 0] = packet.t
            words[:, 1] = (
                packet.p.astype(np.int64) << 28 | packet.y.astype(np.int64) << 14 | packet.x
            )
            file.write(words.tobytes())


def write_hdf5(path: Path, packets: Stream) -> None:
    """Write the layout and the compression of DSEC."""
    import h5py
    import hdf5plugin

    with h5py.File(path, 'w') as file:
        columns = {
            name: file.create_dataset(
                f'events/{name}', (0,), kind, maxshape=(None,), chunks=(1 << 16,),
                **hdf5plugin.Blosc(cname='zstd', clevel=1),
            )
            for name, kind in (('x', 'u2'), ('y', 'u2'), ('p', 'u1'), ('t', 'u4'))
        }  # fmt: skip
        file['t_offset'] = np.int64(0)
        count = 0
        for packet in packets:
            behind = count + len(packet)
            for name, column in columns.items():
                column.resize((behind,))
                column[count:behind] = getattr(packet, name)
            count = behind


def write_bag(plugin: StoragePlugin, type_name: str) -> Callable[[Path, Stream], None]:
    def write(path: Path, packets: Stream) -> None:
        encoder = EventPacketEncoder if type_name == EVENT_PACKET else EventArrayEncoder
        encode = encoder(WIDTH, HEIGHT, 'camera')
        with Rosbag2Writer(path, version=9, storage_plugin=plugin) as writer:
            connection = writer.add_connection(TOPIC, type_name, typestore=message_types())
            for packet in packets:
                stamp_ns = START_NS + 1000 * int(packet.t[0])
                writer.write(connection, stamp_ns + 4_000_000, encode(packet, stamp_ns))

    return write


def write_rosbag1(path: Path, packets: Stream) -> None:
    """Write EventArray as ROS 1 serialises it: 13 bytes an event."""
    kind = np.dtype([('x', '<u2'), ('y', '<u2'), ('s', '<u4'), ('ns', '<u4'), ('p', 'u1')])
    with Rosbag1Writer(path) as writer:
        connection = writer.add_connection(TOPIC, EVENT_ARRAY, typestore=message_types())
        for index, packet in enumerate(packets):
            times = START_NS + 1000 * packet.t
            events = np.empty(len(packet), kind)
            events['x'], events['y'], events['p'] = packet.x, packet.y, packet.p
            events['s'], events['ns'] = times // 10**9, times % 10**9
            stamp_ns = int(times[0])
            head = struct.pack('<IIII', index, stamp_ns // 10**9, stamp_ns % 10**9, 6) + b'camera'
            head += struct.pack('<III', HEIGHT, WIDTH, len(packet))
            writer.write(connection, stamp_ns + 4_000_000, head + events.tobytes())


#: Ending of the name, and what writes it.
FORMATS: dict[str, Callable[[Path, Stream], None]] = {
    'evt3.raw': write_evt3,
    'evt2.raw': write_evt2,
    'cd.dat': write_dat,
    'evt3-mcap': write_bag(StoragePlugin.MCAP, EVENT_PACKET),
    'evt3-sqlite3': write_bag(StoragePlugin.SQLITE3, EVENT_PACKET),
    'dvs-mcap': write_bag(StoragePlugin.MCAP, EVENT_ARRAY),
    'dvs-sqlite3': write_bag(StoragePlugin.SQLITE3, EVENT_ARRAY),
    'dvs.bag': write_rosbag1,
    'dsec.h5': write_hdf5,
}


# ------------------------------------------------------------------- measuring, in a child process


def peak_mb() -> float:
    """Largest resident size of this process so far; unlike ru_maxrss not that of its parent."""
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 1024


def decode(path: Path, seconds: float) -> dict[str, float]:
    """Read a recording to histograms."""
    cutter = WindowCutter(50_000, 50_000)
    histogram = StackedHistogram(HEIGHT, WIDTH, downsample=2)
    events, early = 0, 0.0
    with open_recording(path) as recording:
        recording.given_size = HEIGHT, WIDTH  # the camera of DSEC is smaller
        began = time.perf_counter()
        for chunk in recording:
            events += len(chunk)
            for window in cutter.cut(chunk):
                histogram(window.parts)
            if not early and cutter.statistics.windows >= 4 * seconds:
                early = peak_mb()
        wall = time.perf_counter() - began
    peak = peak_mb()
    return {'events': events, 'wall': wall, 'peak': peak, 'growth': peak / (early or peak) - 1}


def detect(path: Path, seconds: float) -> dict[str, float]:
    """Replay the first seconds of a recording with the default model."""
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import choose_model
    from sast_ros.pipeline import EventPipeline
    from sast_ros.replay import replay

    model, _ = choose_model('default', 'cpu')
    with open_recording(path) as recording:
        recording.given_size = HEIGHT, WIDTH
        pipeline = EventPipeline(StreamingDetector(model), (HEIGHT, WIDTH))
        summary = replay(recording, pipeline, end=seconds)
    return {'events': summary['events'], 'wall': summary['wall_seconds']}


MODES = {'decode': decode, 'detect': detect}


def measure(path: Path, mode: str, seconds: float, runs: int) -> dict[str, float]:
    """Return the fastest run, each in a process of its own."""
    command = [sys.executable, __file__, '--measure', str(path), mode, str(seconds)]
    results = [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(runs)
    ]
    return min(results, key=lambda result: result['wall'])


def main() -> None:
    """Write the recordings, measure and print the table."""
    parser = new_parser(__doc__)
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--rate', type=float, default=5, help='Mev/s')
    parser.add_argument('--model-seconds', type=float, default=2)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--formats', nargs='+', default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument('--measure', nargs=3, metavar=('FILE', 'MODE', 'SECONDS'))
    arguments = parser.parse_args()
    if arguments.measure:
        file, mode, seconds = arguments.measure
        keep_heap()
        print(json.dumps(MODES[mode](Path(file), float(seconds))))
        return
    rows = []
    for name in arguments.formats:
        with tempfile.TemporaryDirectory(prefix='sast_ros_') as folder:
            path = Path(folder) / name
            try:
                FORMATS[name](path, stream(arguments.seconds, arguments.rate))
            except ImportError as error:
                print(f'{name} not measured: {error}', file=sys.stderr)
                continue
            size = sum(part.stat().st_size for part in [path, *path.rglob('*')] if part.is_file())
            decoded = measure(path, 'decode', arguments.seconds, arguments.runs)
            part = min(arguments.model_seconds, arguments.seconds)
            detected = measure(path, 'detect', part, arguments.runs)
        rows.append(
            [
                name,
                round(size / decoded['events'], 2),
                round(decoded['events'] / decoded['wall'] / 1e6, 1),
                round(arguments.seconds / decoded['wall'], 1),
                round(part / detected['wall'], 2),
                round(decoded['peak']),
                f'{100 * decoded["growth"]:.1f} %',
            ]
        )
    columns = ['format', 'bytes an event', 'decode Mev/s', 'decode s/s', 'detect s/s', 'peak MB']
    report(
        f'replay, {arguments.seconds:g} s of {arguments.rate:g} Mev/s on {WIDTH}x{HEIGHT}',
        [*columns, 'growth'],
        rows,
        arguments.json,
    )


if __name__ == '__main__':
    main()
