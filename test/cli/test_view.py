# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What ``sast-ros view`` gives to the node that it plays a recording to, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import _parser, main
from sast_ros.cli.view import _log_recording, _node_parameters
from sast_ros.defaults import OVERLAY_LAYERS
from sast_ros.errors import SettingError
from sast_ros.visualization.overlay import OverlayStyle, THEMES

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


def test_layers_and_theme_are_those_of_the_node():
    found = parameters('--layers', 'events', 'tokens', '--theme', 'light')
    assert found == {'overlay.layers': ['events', 'tokens'], 'overlay.theme': 'light'}


@pytest.mark.parametrize(
    ('options', 'layers', 'theme'),
    [
        ([], OVERLAY_LAYERS, 'dark'),
        (['--layers', 'events', 'tokens', '--theme', 'light'], ('events', 'tokens'), 'light'),
        (['--params', 'node.yaml'], ('ids',), 'light'),
        (['--params', 'node.yaml', '--theme', 'dark'], ('ids',), 'dark'),
    ],
)
def test_foxglove_has_the_style_that_is_given(
    options: list[str], layers: tuple[str, ...], theme: str, tmp_path: Path, monkeypatch
):
    foxglove_log = pytest.importorskip('sast_ros.visualization.foxglove_log')
    monkeypatch.chdir(tmp_path)
    text = 'sast_detector: {ros__parameters: {overlay: {layers: [ids], theme: light}}}'
    Path('node.yaml').write_text(text)
    styles = []

    def end(host: str, port: int, style: OverlayStyle) -> None:
        styles.append((style.layers, style.theme, style.colours))
        raise KeyboardInterrupt

    monkeypatch.setattr(foxglove_log, 'FoxgloveLog', end)
    assert main(['view', 'example', '--foxglove', *options]) == 0
    assert styles == [(layers, theme, THEMES[theme])]


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ('--topic /events --params node.yaml', 'the node has its own settings'),
        ('--topic /events --page --params node.yaml', 'the node has its own settings'),
        ('--topic /events --page --theme light', 'the node has its own settings'),
        ('--topic /events --foxglove --layers ids', 'the node has its own settings'),
        ('example --layers ids', '--layers'),
        ('example --save x.rrd --theme light', '--theme'),
        ('example --host 0.0.0.0', '--host'),
        ('example --web --host 0.0.0.0', '--host'),
        ('example --save x.rrd --host 0.0.0.0', '--host'),
        ('example --save x.rrd --port 8000', '--port'),
        ('example --port 8000', '--port'),
        ('example --page --ros-args -r /a:=/b', '--ros-args'),
    ],
)
def test_what_has_no_meaning_is_refused(options: str, named: str, capsys):
    assert main(['view', *options.split()]) == 2
    assert named in capsys.readouterr().err


class Log:
    """Counts what it is given."""

    windows = 0

    def log(self, *window: object) -> None:
        self.windows += 1


def view(path: Path, capsys, **options: object) -> tuple[int, str]:
    """Return how many windows a viewer gets of a recording, and what is said."""
    arguments = _parser().parse_args(['view', str(path), '--model', 'gen1-tiny'])
    vars(arguments).update(options)
    log = Log()
    with open_recording(path) as recording:
        _log_recording(recording, arguments, log, lambda: None)
    return log.windows, capsys.readouterr().err


def test_what_is_wrong_with_a_recording_is_said_as_by_replay(tmp_path: Path, capsys):
    events = np.zeros(2000, [('x', '<u2'), ('y', '<u2'), ('p', 'u1'), ('t', '<i8')])
    events['t'] = np.arange(2000) * 100
    path = tmp_path / 'events.npy'
    np.save(path, events)
    windows, said = view(path, capsys)
    assert windows == 3 and '304x240 pixels, those of the network, are taken' in said
    windows, said = view(path, capsys, sensor_size=(240, 304))
    assert windows == 3 and 'pixels' not in said


def test_nothing_to_view_is_an_error(tmp_path: Path, capsys):
    events = np.zeros(100, [('x', '<u2'), ('y', '<u2'), ('p', 'u1'), ('t', '<i8')])
    np.save(tmp_path / 'short.npy', events)
    with pytest.raises(SettingError, match='short.npy is shorter than a window'):
        view(tmp_path / 'short.npy', capsys)
