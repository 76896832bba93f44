"""``sast-ros demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from sast_ros.cli.arguments import MODEL_HELP, number_between, seed
from sast_ros.cli.terminal import (
    kept_text,
    new_table,
    print_error,
    say_steps,
    show_results,
    thousands,
    UNTRAINED_WARNING,
)
from sast_ros.demo.run import DRIVE_SEED, EVENTS_FILE, LABELS_FILE, REPORT_FILE


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    text = (
        'Send a simulated drive over real ROS 2 topics through the detector node and show what '
        'comes back.'
    )
    command = commands.add_parser(
        'demo', help='simulated drive -> ROS 2 -> node -> detections', description=text
    )
    command.add_argument(
        '--out',
        type=Path,
        default=Path('out/demo'),
        metavar='DIR',
        help='results (default: %(default)s)',
    )
    command.add_argument(
        '--seconds',
        type=number_between(1, 120),
        default=10.0,
        metavar='S',
        help='length of the drive (default: %(default)g)',
    )
    command.add_argument(
        '--seed',
        type=seed,
        default=DRIVE_SEED,
        metavar='K',
        help='seed of the drive (default: %(default)s)',
    )
    command.add_argument(
        '--motion',
        choices=('static', 'pan', 'handheld', 'driving'),
        default='static',
        help='of the camera (default: %(default)s)',
    )
    command.add_argument('--model', default='default', metavar='M', help=MODEL_HELP)
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    from sast_ros.demo import run_demo

    summary = run_demo(
        arguments.out,
        arguments.seconds,
        arguments.seed,
        arguments.motion,
        arguments.model,
        progress=say_steps(),
    )
    windows, latency = summary['windows'], summary['latency_ms'] or {}
    table = new_table('demo: simulated camera -> ROS 2 -> detector node -> ROS 2')
    messages = summary['messages']
    table.add_row('event messages', f'{messages["sent"]} sent, {messages["received"]} received')
    rate = summary['events_per_second'] / 1e6
    table.add_row('events', f'{thousands(summary["events"])} ({rate:.2f} million per second)')
    order = 'in order' if windows['in_order'] else 'NOT in order'
    table.add_row(
        'windows',
        f'{windows["sent"]} sent, {windows["received"]} came back, {windows["lost"]} lost, '
        f'{order}',
    )
    if latency:
        times = f'median {latency["median"]:.0f} ms, p99 {latency["p99"]:.0f} ms'
        table.add_row('latency', f'{times} (end of window -> detections here)')
    node = summary['node']
    if 'step time p50 (ms)' in node:
        times = (
            f'median {node["step time p50 (ms)"]:.0f} ms, p99 {node["step time p99 (ms)"]:.0f} ms'
        )
        table.add_row('of it in the network', times)
    if summary['kept_tokens']:
        table.add_row('kept in stages 1-4', kept_text(summary))
    accuracy = summary['accuracy']
    table.add_row(
        'detections',
        f'{summary["detections"]}, of them {accuracy["detections"]} with a score of at least '
        f'{accuracy["score"]:g}; these against the labels:',
    )
    for name, values in accuracy['classes'].items():
        table.add_row(
            name,
            f'precision {_share(values["precision"])}, recall {_share(values["recall"])} '
            f'({values["matches"]} right of {values["detections"]} detections and '
            f'{values["labels"]} labels)',
        )
    table.add_row('took', f'{summary["wall_seconds"]:.0f} s')
    names = ['summary.json', 'detections.mcap', 'detections.npy', 'windows.npy', LABELS_FILE]
    names.append(EVENTS_FILE)
    if summary['report'] == REPORT_FILE:
        names.insert(0, REPORT_FILE)
        table.add_row('report', f'{arguments.out / REPORT_FILE}, for a browser: curves, mistakes')
    if summary['video'] == 'overlay.mp4':
        names.insert(0, 'overlay.mp4')
    show_results(table, '' if summary['trained'] else UNTRAINED_WARNING, arguments.out, names)
    if summary['video'] is None or summary['video'].startswith('none'):
        print_error(f'no overlay was written ({summary["video"] or "no window came back"})')
    if summary['report'] is None or summary['report'].startswith('none'):
        reason = (summary['report'] or 'no window came back').removeprefix('none: ')
        print_error(f'no report was written ({reason})')
    if not summary['complete']:
        print_error(
            f'{windows["lost"]} of {windows["sent"]} windows did not come back or came out of '
            f'order; the machine may be too slow, see {arguments.out / "node.log"}'
        )
        return 1
    return 0


def _share(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
