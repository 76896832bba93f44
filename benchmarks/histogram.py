# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Speed from raw CDR bytes to the histogram on one CPU core, in millions of events a second.

    python benchmarks/histogram.py [--json FILE]

One 50 ms window arrives as ten messages; each is decoded and the window's histogram is made, as
the node does it. EventArray on Gen1 and 1 Mpx geometry at several event rates; processor time of
the fastest of several runs. The empty histogram alone costs a fixed time a window, so low rates
read lower.
"""

from __future__ import annotations

import os

from decode import best_time, event_array, event_packet, evt3_words
from sast_ros.events import open_decoder
from sast_ros.histogram import StackedHistogram
from sast_ros.process import keep_heap
from workload import new_parser, report


def packet(count: int, width: int, height: int) -> bytes:
    """Serialise an EventPacket of EVT 3.0 events within 5 ms."""
    return event_packet(
        evt3_words(count, width, height, max(1, count // 250)), 'evt3', width, height, 0
    )


KINDS = {
    'EventArray': ('dvs_msgs/msg/EventArray', event_array),
    'EventPacket evt3': ('event_camera_msgs/msg/EventPacket', packet),
}


def main() -> None:
    """Measure and print the table."""
    arguments = new_parser(__doc__).parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    keep_heap()
    rows = []
    for kind, (type_name, make) in KINDS.items():
        for sensor, height, width, downsample in (('gen1', 240, 304, 1), ('1mpx', 720, 1280, 2)):
            for rate in (1, 5, 20):
                messages = [make(rate * 5000, width, height)] * 10
                decode = open_decoder(type_name)
                histogram = StackedHistogram(height, width, downsample=downsample)

                def window(messages=messages, decode=decode, histogram=histogram) -> int:
                    parts = []
                    for message in messages:
                        decode.reset()  # the same message again is a new stream
                        parts.append(decode(message))
                    histogram(parts)
                    return sum(map(len, parts))

                events = window()
                seconds = best_time(window)
                speed = round(events / seconds / 1e6, 1)
                rows.append(
                    [kind, sensor, f'{rate} Mev/s', events, round(1e3 * seconds, 2), speed]
                )
    columns = ['message', 'sensor', 'rate', 'events', 'ms a window', 'Mev/s']
    report('raw CDR to histogram, one core', columns, rows, arguments.json)


if __name__ == '__main__':
    main()
