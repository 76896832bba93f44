# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What ``sast-ros view`` gives to the node that it plays a recording to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sast_ros.cli import _parser, main
from sast_ros.cli.view import _node_parameters

FILE = """
sast_detector:
  ros__parameters:
    autostart: false
    cameras: [left, right]
    page.port: 8090
    window.stride_ms: 25
    input.filter: ['']
    overload.policy: reduce
    tracking: {enabled: false, lead_ms: 30}
"""


def parameters(*options: str) -> dict[str, Any]:
    return _node_parameters(_parser().parse_args(['view', 'example', '--page', *options]))


def test_without_options_the_node_has_its_defaults():
    assert parameters() == {}


def test_a_parameter_file_is_that_of_the_node_but_for_what_the_command_decides(tmp_path: Path):
    file = tmp_path / 'node.yaml'
    file.write_text(FILE)
    assert parameters('--params', str(file)) == {
        'window.stride_ms': 25.0,
        'input.filter': [''],
        'overload.policy': 'reduce',
        'tracking.enabled': False,
        'tracking.lead_ms': 30.0,
    }


@pytest.mark.parametrize('first', [True, False])
def test_options_win_over_the_file(tmp_path: Path, first: bool):
    file = tmp_path / 'node.yaml'
    file.write_text(FILE)
    given = ['--stride-ms', '100', '--filter', 'hot-pixel', '--sensor-size', '346x260']
    named = ['--params', str(file)]
    found = parameters(*(named + given if first else given + named))
    assert (found['window.stride_ms'], found['input.filter']) == (100.0, ['hot-pixel'])
    assert (found['input.width'], found['input.height']) == (346, 260)
    assert found['tracking.lead_ms'] == 30.0


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ('--topic /events --params node.yaml', 'the node has its own settings'),
        ('--topic /events --page --params node.yaml', 'the node has its own settings'),
        ('example --host 0.0.0.0', '--host'),
        ('example --web --host 0.0.0.0', '--host'),
        ('example --save x.rrd --host 0.0.0.0', '--host'),
        ('example --save x.rrd --port 8000', '--port'),
        ('example --port 8000', '--port'),
    ],
)
def test_what_has_no_meaning_is_refused(options: str, named: str, capsys):
    assert main(['view', *options.split()]) == 1
    assert named in capsys.readouterr().err
