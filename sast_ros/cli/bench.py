# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros bench``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
import tempfile
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import (
    add_json,
    add_recording,
    DEVICE_HELP,
    MODEL_HELP,
    number_between,
    sensor_size,
    whole_number,
)
from sast_ros.cli.terminal import (
    columns_table,
    new_table,
    open_console,
    step_logger,
    thousands,
    write_json,
)
from sast_ros.defaults import MAX_THREADS
from sast_ros.errors import UsageError
from sast_ros.process import (
    hold_to_instruction_set,
    INSTRUCTION_SETS,
    keep_heap,
    limit_spinning,
    network_threads,
)

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.bench.timing import Timing

#: Streams of ``--node`` last so many times as long as the measurement of a part.
_NODE_FACTOR = 5

#: Events a second of the stream whose latency is measured.
_NODE_RATE = 1e6

#: Length of the synthetic stream that the parts work on, seconds.
_SYNTHETIC_S = 1.1


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'bench',
        help='measure the speed of this machine',
        description='Measure decoding, histogram, network, boxes and the whole pipeline on this '
        'machine; with --node also the node, in processes of their own: seconds to the first '
        'detection, latency, and the highest event rate with less than 1 % of the windows and '
        'events lost.',
    )
    add_recording(command, None, 'take the events of this recording instead of synthetic ones')
    for name, kind, default, metavar, text in (
        ('--model', str, 'default', 'M', MODEL_HELP),
        ('--device', str, 'auto', 'D', DEVICE_HELP),
        ('--rate', number_between(0.001, 1000), None, 'MEV', 'million synthetic events a second '
         '(default: an eighth of the number of pixels in every window)'),
        ('--topic', str, None, 'T', 'topic with events in the recording (default: the only one)'),
        ('--threads', whole_number(1, MAX_THREADS), None, 'N', 'CPU threads of the network '
         '(default: as the node, all cores but one, at most 4)'),
        ('--seconds', number_between(0.01, 3600), 2.0, 'S', 'seconds to measure each part; '
         f'streams of --node last {_NODE_FACTOR} times as long (default: %(default)g)'),
    ):  # fmt: skip
        command.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    command.add_argument(
        '--sensor-size',
        '--size',
        type=sensor_size,
        metavar='WxH',
        help='sensor size of the synthetic events (default: the design size of the network)',
    )
    command.add_argument(
        '--instruction-set',
        choices=INSTRUCTION_SETS,
        help='highest instruction set to use (default: that of the processor)',
    )
    command.add_argument('--node', action='store_true', help='measure the node too; needs ROS 2')
    add_json(command, 'result')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Measure and return the exit code."""
    for name, value in (('sensor-size', arguments.sensor_size), ('rate', arguments.rate)):
        if arguments.recording and value is not None:
            raise UsageError(f'--{name} is of synthetic events; leave it or the recording out')
    if arguments.topic is not None and not arguments.recording:
        raise UsageError('--topic is of a recording; name that, or leave --topic out')
    if arguments.instruction_set:
        hold_to_instruction_set(arguments.instruction_set)
    limit_spinning()
    keep_heap()
    if arguments.node:
        from sast_ros.demo.run import load_observer

        load_observer()  # what is missing is said before anything is measured
    from sast_ros.bench import parts
    from sast_ros.bench.host import describe_host
    from sast_ros.bench.workload import recorded_workload, synthetic_workload
    from sast_ros.detector import StreamingDetector
    from sast_ros.pipeline import default_sensor_size
    import torch

    threads = arguments.threads or network_threads()
    torch.set_num_threads(threads)
    model, weights = parts.bench_model(arguments.model, arguments.device)
    detector = StreamingDetector(model)
    size = arguments.sensor_size or default_sensor_size(model.config)
    recorded = None
    if arguments.recording:
        recorded = recorded_workload(arguments.recording, arguments.topic)
    rate = 1e6 * arguments.rate if arguments.rate else None
    workload = recorded or synthetic_workload(size, _SYNTHETIC_S, rate)
    log = step_logger()
    measured = parts.measure_parts(
        workload, detector, arguments.seconds, lambda part: log(f'measuring {part}')
    )
    result: dict[str, Any] = {
        'host': describe_host(),
        'model': Path(arguments.model).name,
        'configuration': model.config.name,
        'weights': weights,
        'engine': detector.engine.describe(),
        'workload': parts.describe_workload(workload, detector),
        'parts': [{'part': part.name.strip(), **asdict(part.timing)} for part in measured],
    }
    if arguments.node:
        from sast_ros.bench.node import bench_node, NodeOptions
        from sast_ros.model import save_model

        with tempfile.TemporaryDirectory() as folder:
            name = arguments.model
            if weights != parts.TRAINED:  # the node would have others
                name = f'{folder}/recipe.safetensors'
                save_model(model, name)
            result['node'] = bench_node(
                NodeOptions(name, threads, {'model.device': arguments.device}),
                workload.sensor_size,
                rate or _NODE_RATE,
                _NODE_FACTOR * arguments.seconds,
                recorded=recorded,
                progress=log,
            )
    if not write_json(result, arguments.json):
        _show(result, [(part.name, part.timing, part.detail) for part in measured])
    return 0


def _show(result: dict[str, Any], parts: list[tuple[str, Timing, str]]) -> None:
    """Print the table of the parts and, below it, what they must be read with."""
    console = open_console()
    rows = [
        (name, f'{timing.min_ms:.2f}', f'{timing.median_ms:.2f}', timing.runs, detail)
        for name, timing, detail in parts
    ]
    columns = ('part', 'min ms', 'median ms', 'runs', '')
    console.print(columns_table(f'bench: {result["configuration"]}', columns, rows))
    console.print()
    table = new_table('measured with')
    host, engine, workload = result['host'], result['engine'], result['workload']
    instruction_set = engine['instruction_set'] or f'{host["instruction_set"]} (PyTorch)'
    table.add_row('processor', f'{host["processor"]}, {host["cores"]} core(s)')
    table.add_row('instruction set', instruction_set)
    table.add_row(
        'engine',
        f'{engine["implementation"]} (device {engine["device"]}), {engine["precision"]}, '
        f'{engine["threads"]} thread(s)',
    )
    table.add_row('model', f'{result["model"]}, weights {result["weights"]}')
    size = workload['sensor_size']
    table.add_row(
        'events',
        f'{workload["name"]}; {size["width"]}x{size["height"]} pixels, '
        f'{thousands(workload["events_per_window"])} events a window, '
        f'{100 * workload["active_pixels"]:.1f} % of the pixels active',
    )
    kept = ' '.join(f'{100 * share:.0f}' for share in workload['kept_tokens'])
    table.add_row('kept in stages 1-4', f'{kept} % of the tokens')
    table.add_row('load', f'{host["load_1min"]:.1f} in the last minute')
    console.print(table)
    if 'node' in result:
        console.print()
        console.print(_node_table(result['node']))


def _node_table(node: dict[str, Any]) -> Table:
    """Return start, latency and highest rate of the node."""
    table = new_table('node: publisher process -> ROS 2 -> detector node -> ROS 2')
    table.add_row('first detection', f'{node["start"]["first_detection_s"]:.1f} s after the start')
    stream = node['latency']
    table.add_row(
        'windows',
        f'{stream["windows_received"]} of {stream["windows_expected"]}, '
        f'{"in order" if stream["in_order"] else "NOT in order"}; '
        f'{thousands(stream["events_read"])} of {thousands(stream["events_sent"])} events',
    )
    if stream['latency_ms']:
        times = ', '.join(f'{name} {value:.1f}' for name, value in stream['latency_ms'].items())
        table.add_row('latency', f'{times} ms (last event of a window sent -> detections here)')
    if stream['step_ms']:
        times = ', '.join(f'{name} {value:.1f}' for name, value in stream['step_ms'].items())
        table.add_row('step', f'{times} ms of it')
    table.add_row('memory', f'{stream["memory_mb"]["resident"]:.0f} MB resident')
    highest = node.get('highest_rate')
    if highest:
        loss = f'{100 * highest["max_loss"]:g} % of windows and events lost'
        lowest = min(trial['mev_s'] for trial in highest['trials'])
        text = f'{highest["mev_s"]:.2f} Mev/s with less than {loss}'
        if not highest['mev_s']:
            text = f'none: at {lowest:.2f} Mev/s there are already more than {loss}'
        elif highest['limited_by_publisher']:
            text += ' (the publisher was the limit)'
        table.add_row('highest rate', text)
    return table
