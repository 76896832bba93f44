# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The benchmark for GPUs runs from one call, and finds results that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

import gpu
import pytest

SCRIPT = Path(gpu.__file__)


def test_script_compares_and_times_without_a_gpu(tmp_path):
    options = ('--device', 'cpu', '--models', 'gen1-tiny', '--precisions', 'float32')
    report = tmp_path / 'gpu.json'
    command = [sys.executable, SCRIPT, *options, '--runs', '1', '--json', report]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == 'parity: right'
    rows = json.loads(report.read_text())['results']
    assert [row['way'] for row in rows] == ['plain', 'masked']
    assert all(row['flips'] == 0 and row['decisions'] == 54_400 for row in rows)
    assert all(row['step ms'] > 0 for row in rows)


def test_script_without_time_starts_nothing(tmp_path):
    command = [sys.executable, SCRIPT, '--device', 'cpu', '--models', 'gen1-tiny']
    done = subprocess.run([*command, '--seconds', '0'], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == 'no time left for gen1-tiny float32'
    assert done.stdout.splitlines()[-1] == 'nothing was measured'
    assert done.stderr == ''


@pytest.mark.parametrize(
    'precision, change, right',
    [
        ('float32', {}, True),
        ('float32', {'flips': 1}, False),
        ('float32', {'error': 3e-4}, False),
        ('float32', {'error': float('nan')}, False),
        ('float32', {'boxes': 'OTHER'}, False),
        ('float16', {'flips': 5, 'error': 0.1}, True),
        ('float16', {'flips': 6}, False),
        ('bfloat16', {'boxes': 'OTHER'}, False),
    ],
)
def test_wrong_results_are_found(precision, change, right):
    row = {'flips': 0, 'decisions': 1000, 'error': 1e-4, 'boxes': 'equal', **change}
    assert gpu.acceptable(precision, row) is right
