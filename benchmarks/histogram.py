"""Speed from raw CDR bytes to the histogram on one CPU core, in millions of events a second.

    python benchmarks/histogram.py [--json FILE]

One 50 ms window arrives as ten messages; each is decoded and the window's histogram is made, as the node does it. EventArray on Gen1 and
1 Mpx geometry at several event rates; processor time of the fastest of several runs. The empty histogram alone costs a fixed time a
window, so low rates read lower.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from decode import best_time, event_array, evt3_packet

from sast_ros.events import open_decoder
from sast_ros.histogram import StackedHistogram
from workload import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = []
    kinds = {'dvs_msgs/msg/EventArray': event_array, 'event_camera_msgs/msg/EventPacket': evt3_packet}
    for kind, make in kinds.items():
        for name, height, width, downsample in (('gen1', 240, 304, 1), ('1mpx', 720, 1280, 2)):
            for rate in (1, 5, 20):
                messages = [make(rate * 5000, width, height)] * 10
                decode = open_decoder(kind)
                histogram = StackedHistogram(height, width, downsample=downsample)

                def window() -> None:
                    parts = []
                    for message in messages:
                        decode.reset()
                        parts.append(decode(message))
                    histogram(parts)

                parts = [decode(m) for m in messages[:1]]
                events = 10 * len(parts[0])
                seconds = best_time(window)
                rows.append([kind.split('/')[-1], name, f'{rate} Mev/s', events, round(1e3 * seconds, 2), round(events / seconds / 1e6, 1)])
    report('raw CDR to histogram, one core', ['message', 'sensor', 'rate', 'events', 'ms a window', 'Mev/s'], rows, arguments.json)


if __name__ == '__main__':
    main()
