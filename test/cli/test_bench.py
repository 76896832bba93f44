# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command ``sast-ros bench``, with short measurements."""

from __future__ import annotations

import json
import os
from pathlib import Path
import platform
import subprocess
import sys

import pytest
from sast_ros.bench.parts import bench_model, measure_parts
from sast_ros.bench.workload import synthetic_workload, Workload
from sast_ros.cli import main
from sast_ros.cli.bench import _node_table
from sast_ros.detector import StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.process import processor_extensions

X86 = platform.machine() == 'x86_64'

pytestmark = pytest.mark.usefixtures('threads')  # the command sets their number


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'sast_ros', 'bench', '--seconds', '0.01', *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_every_part_is_measured_and_named_with_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['--model', 'gen1-tiny', '--sensor-size', '160x120', '--threads', '1']
    report = tmp_path / 'bench.json'
    assert main(['bench', '--seconds', '0.01', *arguments, '--json', str(report)]) == 0
    result = json.loads(report.read_text())
    times = {part['part']: part for part in result['parts']}
    assert times.keys() >= {'decode', 'histogram', 'network', 'step', 'boxes', 'pipeline'}
    assert all(0 < part['min_ms'] <= part['median_ms'] for part in times.values())
    assert all(part['runs'] >= 3 for part in times.values())
    assert times['decode']['min_ms'] < times['network']['min_ms']
    assert result['engine']['threads'] == 1
    assert result['engine']['precision'] == 'float32'
    assert result['host']['extensions'] == list(processor_extensions())
    assert result['workload']['sensor_size'] == {'width': 160, 'height': 120}
    assert result['workload']['events_per_window'] == pytest.approx(160 * 120 / 8, rel=0.01)
    shown = capsys.readouterr().out
    for word in ('pipeline', 'processor', 'instruction set', 'float32', '160x120', 'recipe'):
        assert word in shown


def test_a_recording_is_measured(tmp_path: Path) -> None:
    report = tmp_path / 'bench.json'
    arguments = ['example', '--model', 'gen1-tiny', '--json', str(report)]
    assert main(['bench', '--seconds', '0.01', *arguments]) == 0
    workload = json.loads(report.read_text())['workload']
    assert workload['name'] == 'example.mcap'
    assert len(workload['kept_tokens']) == 4


@pytest.mark.parametrize(
    'options', ['--sensor-size 1280x720 example', '--rate 5 example', '--topic /events']
)
def test_what_would_be_ignored_is_refused(
    options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['bench', *options.split()]) == 2
    assert options.split()[0] in capsys.readouterr().err


@pytest.mark.skipif('avx2' not in processor_extensions(), reason='for processors with AVX2')
def test_an_instruction_set_holds_pytorch_as_well() -> None:
    done = run('--model', 'gen1-tiny', '--instruction-set', 'avx2', '--json', '-')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['host']['instruction_set'] == 'AVX2'


def test_an_instruction_set_of_another_processor_is_one_sentence() -> None:
    done = run('--instruction-set', 'neon' if X86 else 'avx2')
    assert (done.returncode, done.stdout) == (1, '')
    (sentence,) = done.stderr.splitlines()
    assert 'does not have' in sentence


@pytest.mark.skipif('avx2' not in processor_extensions(), reason='for processors with AVX2')
def test_a_process_with_pytorch_cannot_be_held_any_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['bench', '--instruction-set', 'avx2']) == 1
    assert 'PyTorch is loaded' in capsys.readouterr().err
    assert 'SAST_ROS_INSTRUCTION_SET' not in os.environ


def test_the_node_without_ros_is_one_sentence_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / 'rclpy').mkdir()
    (tmp_path / 'rclpy' / '__init__.py').write_text('raise ImportError("not of this Python")\n')
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get('PYTHONPATH')])])
    done = run('--node', PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (1, '')
    (sentence,) = done.stderr.splitlines()
    assert 'ROS 2' in sentence and 'not of this Python' in sentence


def test_a_workload_without_a_window_is_refused() -> None:
    full = synthetic_workload((120, 160), 0.2, 1e5)
    short = Workload('short', full.message_type, full.sensor_size, full.messages[:5])
    detector = StreamingDetector(bench_model('gen1-tiny')[0])
    with pytest.raises(SettingError, match='short holds no complete window'):
        measure_parts(short, detector, 0.01)


def trial(mev_s: float, latency: float) -> dict:
    return {
        'mev_s': mev_s,
        'windows_received': 19,
        'windows_expected': 19,
        'in_order': True,
        'events_read': 1_000_000,
        'events_sent': 1_000_000,
        'latency_ms': {'p50': latency, 'p95': latency, 'p99': latency, 'max': latency},
        'step_ms': {'p50': 17.0, 'p99': 20.0},
        'memory_mb': {'resident': 345.6},
    }


@pytest.mark.parametrize(
    ('highest', 'limited', 'shown'),
    [
        (8.0, False, '8.00 Mev/s with less than 1 %'),
        (32.0, True, 'publisher was the limit'),
        (0.0, False, 'none: at 0.06 Mev/s'),
    ],
)
def test_the_table_of_the_node_says_what_was_found(
    highest: float, limited: bool, shown: str
) -> None:
    from rich.console import Console

    node = {
        'start': {'first_detection_s': 1.84},
        'latency': trial(1.0, 25.2),
        'highest_rate': {
            'mev_s': highest,
            'max_loss': 0.01,
            'limited_by_publisher': limited,
            'trials': [trial(4.0, 30), trial(0.06, 900)],
        },
    }
    console = Console(width=150)
    with console.capture() as captured:
        console.print(_node_table(node))
    text = captured.get()
    for word in ('1.8 s', 'p99 25.2', '19 of 19, in order', 'p50 17.0', '346 MB', shown):
        assert word in text
