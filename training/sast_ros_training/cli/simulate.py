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
        help='labelled recordings of simulated street scenes',
        description='Simulate an event camera in street scenes. Writes NAME.mcap (rosbag2), '
        'NAME_bbox.npy (Prophesee box layout) and NAME.mp4 of every sequence, and dataset.json. '
        'The same arguments give the same bytes.',
    )
    command.add_argument(
        '--out',
        type=Path,
        default=Path('out/simulate'),
        metavar='DIR',
        help='folder for the files (default: %(default)s)',
    )
    command.add_argument(
        '--sequences',
        type=whole_number(1, 1_000_000),
        default=1,
        metavar='N',
        help='how many (default: %(default)s)',
    )
    command.add_argument(
        '--seconds',
        type=number_between(0.05, 3600),
        default=5.0,
        metavar='S',
        help='length of each (default: %(default)g)',
    )
    command.add_argument(
        '--seed', type=seed, default=0, metavar='K', help='chooses everything (default: 0)'
    )
    command.add_argument(
        '--geometry',
        choices=('gen1', 'davis346', 'vga', '1mpx'),
        default='gen1',
        help='sensor: 304x240, 346x260, 640x480 or 1280x720 (default: %(default)s)',
    )
    command.add_argument(
        '--motion',
        choices=('static', 'pan', 'handheld', 'driving'),
        help='of the camera (default: all of them, half of the sequences static)',
    )
    command.add_argument(
        '--models',
        type=Path,
        metavar='DIR',
        help='folder with glTF models of cars, people and two-wheelers to use as well',
    )
    command.add_argument(
        '--format',
        choices=('evt3', 'dvs'),
        default='evt3',
        help='event_camera_msgs/EventPacket in EVT 3.0, or dvs_msgs/EventArray '
        '(default: %(default)s)',
    )
    command.add_argument('--no-video', action='store_true', help='leave out NAME.mp4')
    command.add_argument(
        '--workers',
        type=whole_number(1, 1024),
        default=os.cpu_count() or 1,
        metavar='N',
        help='processes (default: one per core)',
    )
    command.add_argument(
        '--json', metavar='FILE', help='also write dataset.json to FILE, - for standard output'
    )
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    import json

    from sast_ros_training.simulation.dataset import SequencePlan, write_dataset

    plans = [
        SequencePlan(
            arguments.seed,
            index,
            arguments.seconds,
            arguments.geometry,
            arguments.motion,
            arguments.models,
            arguments.format,
            not arguments.no_video,
        )
        for index in range(arguments.sequences)
    ]
    began = time.monotonic()
    entries = []
    with show_progress('simulate') as progress:
        for entry in write_dataset(arguments.out, plans, arguments.workers):
            entries.append(entry)
            progress(len(entries), len(plans), 'sequences')
    took = time.monotonic() - began
    content = json.loads((arguments.out / 'dataset.json').read_text(encoding='utf-8'))
    if write_json(content, arguments.json):
        return 0
    table = new_table(f'simulate: {content["geometry"]}, seed {arguments.seed}')
    windows = sum(entry['windows'] for entry in entries)
    table.add_row('sequences', f'{len(entries)} of {arguments.seconds:g} s')
    motions = [entry['motion'] for entry in entries]
    table.add_row(
        'cameras', ', '.join(f'{motions.count(name)} {name}' for name in sorted(set(motions)))
    )
    table.add_row('events', thousands(sum(entry['events'] for entry in entries)))
    for name in content['classes']:
        table.add_row(f'{name} boxes', thousands(sum(entry['boxes'][name] for entry in entries)))
    table.add_row('took', f'{took:.1f} s, {windows / took:.1f} windows a second')
    names = [f'{entries[0]["name"]}.mcap', f'{entries[0]["name"]}_bbox.npy']
    if not arguments.no_video:
        names.append(f'{entries[0]["name"]}.mp4')
    if len(entries) > 1:
        names.append('...')
    show_results(table, '', arguments.out, [*names, 'dataset.json'])
    return 0
