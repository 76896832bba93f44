# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros simulate``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import time

from sast_ros.cli.arguments import number_between, seed, whole_number
from sast_ros.cli.terminal import new_table, show_progress, show_results, thousands, write_json


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'simulate',
        help='generate labelled recordings of simulated scenes',
        description='Simulate an event camera in streets and close to things. Writes NAME.mcap '
        '(rosbag2), NAME_bbox.npy (Prophesee box layout), NAME_bbox_times.npy (ends of all '
        'windows) and NAME.mp4 of every sequence, and dataset.json. The same arguments give the '
        'same bytes.',
    )
    option, out = command.add_argument, Path('out/simulate')
    text = 'folder for the files (default: %(default)s)'
    option('--out', type=Path, default=out, metavar='DIR', help=text)
    number = whole_number(1, 1_000_000)
    option(
        '--sequences',
        type=number,
        default=1,
        metavar='N',
        help='number of recordings (default: 1)',
    )
    length, text = number_between(0.05, 3600), 'length of a recording (default: %(default)g)'
    option('--seconds', type=length, default=5.0, metavar='S', help=text)
    option(
        '--seed', type=seed, default=0, metavar='K', help='seed of all random choices (default: 0)'
    )
    geometries = ('gen1', 'davis346', 'vga', '1mpx')
    text = 'sensor: 304x240, 346x260, 640x480 or 1280x720 (default: %(default)s)'
    option('--geometry', choices=geometries, default='gen1', help=text)
    motions = ('static', 'pan', 'handheld', 'driving')
    text = 'motion of the camera (default: all of them, half of the recordings static)'
    option('--motion', choices=motions, help=text)
    text = 'streets, or desks and rooms close to the camera (default: both, 7 of 10 are streets)'
    option('--scene', choices=('street', 'near'), help=text)
    text = 'folder with glTF models of cars, people and two-wheelers to use as well'
    option('--models', type=Path, metavar='DIR', help=text)
    text = (
        'messages: event_camera_msgs/EventPacket in EVT 3.0 or dvs_msgs/EventArray (default: evt3)'
    )
    option('--format', choices=('evt3', 'dvs'), default='evt3', help=text)
    times, text = (
        number_between(5, 10_000),
        'length of the windows that are labelled, milliseconds',
    )
    option('--window-ms', type=times, default=50.0, metavar='MS', help=f'{text} (default: 50)')
    text = 'time from one window to the next, milliseconds; labels are at its end (default: 50)'
    option('--stride-ms', type=times, default=50.0, metavar='MS', help=text)
    option('--no-video', action='store_true', help='leave out NAME.mp4')
    cores, text = os.cpu_count() or 1, 'number of processes (default: one per core)'
    option('--workers', type=whole_number(1, 1024), default=cores, metavar='N', help=text)
    text = 'also write dataset.json to FILE, - for standard output'
    option('--json', metavar='FILE', help=text)
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    from sast_ros_training.simulation.dataset import SequencePlan, write_dataset
    from sast_ros_training.simulation.timing import WindowTiming

    wanted = arguments.seconds, arguments.geometry, arguments.motion, arguments.models
    timing = WindowTiming.from_ms(arguments.window_ms, arguments.stride_ms)
    output = arguments.format, not arguments.no_video, timing
    plans = [
        SequencePlan(arguments.seed, index, *wanted, *output, arguments.scene)
        for index in range(arguments.sequences)
    ]
    began = time.monotonic()
    with show_progress('simulate') as progress:
        content = write_dataset(
            arguments.out,
            plans,
            arguments.workers,
            lambda done, total: progress(done, total, 'windows'),
        )
    took = time.monotonic() - began
    entries = content['sequences']
    if write_json(content, arguments.json):
        return 0
    table = new_table(f'simulate: {content["geometry"]}, seed {arguments.seed}')
    table.add_row('sequences', f'{len(entries)} of {arguments.seconds:g} s')
    motions = [entry['motion'] for entry in entries]
    counts = [f'{motions.count(name)} {name}' for name in sorted(set(motions))]
    table.add_row('cameras', ', '.join(counts))
    table.add_row('events', thousands(sum(entry['events'] for entry in entries)))
    for name in content['classes']:
        table.add_row(f'{name} boxes', thousands(sum(entry['boxes'][name] for entry in entries)))
    windows = sum(entry['windows'] for entry in entries)
    table.add_row('took', f'{took:.1f} s, {windows / took:.1f} windows a second')
    endings = ['.mcap', '_bbox.npy', '_bbox_times.npy', *([] if arguments.no_video else ['.mp4'])]
    names = [f'{entries[0]["name"]}{ending}' for ending in endings]
    names += ['...'] if len(entries) > 1 else []
    known = {f'{entry["name"]}.mcap' for entry in entries}
    others = sorted({path.name for path in arguments.out.glob('drive_*.mcap')} - known)
    warning = (
        f'{len(others)} recordings of an earlier simulation, such as {others[0]}, are in there as '
        'well; dataset.json does not list them'
        if others
        else ''
    )
    show_results(table, warning, arguments.out, [*names, 'dataset.json'])
    return 0
