# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What ``sast-ros train`` shows."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console
from sast_ros.cli import main
from sast_ros.errors import SettingError
from sast_ros.output import lock_folder
from sast_ros_training.cli import train
from sast_ros_training.training import fit

VALUES = {'loss': 8.25, 'windows_per_second': 30.0}
NOTHING = {'ap': None, 'ap50': None}


def test_neither_a_configuration_nor_recordings_is_wrong_usage(capsys):
    assert main(['train']) == 2
    assert '--config' in capsys.readouterr().err


def test_the_topic_is_that_of_the_data_of_the_configuration(tmp_path, monkeypatch):
    config = tmp_path / 'c.yaml'
    bags = 'kind: bags, source: x'
    parts = (
        f'{{name: a}}, {{name: b, data: {{{bags}}}}}, {{name: c, data: {{{bags}, topic: /left}}}}'
    )
    config.write_text(f'curriculum: [{parts}]')
    topics = []

    def record(parts, *_, **__):
        topics.append([part.config.data.topic for part in parts])
        raise SettingError('enough')

    monkeypatch.setattr(fit, 'train', record)
    command = ['train', '--config', str(config), '--out', str(tmp_path / 'out')]
    for more in ([], ['--topic', '/right']):
        assert main([*command, *more]) == 1
    assert topics == [[None, None, '/left'], [None, '/right', '/right']]


@pytest.mark.parametrize(
    'option',
    [
        ['--rounds', '2'],
        ['--labelled-share', '0'],
        ['--target-score', '0.3'],
        ['--no-mirror'],
        ['--sensor-size', '640x480'],
        ['--topic', '/events'],
    ],
)
def test_what_is_of_recordings_is_refused_without_them(tmp_path, capsys, option):
    config = tmp_path / 'c.yaml'
    config.write_text('data: {kind: simulation}')
    assert main(['train', '--config', str(config), *option]) == 2
    assert option[0] in capsys.readouterr().err


def test_a_folder_that_another_process_trains_into_is_refused(tmp_path, capsys):
    with lock_folder(tmp_path):
        assert main(['train', '--self-train', 'example', '--out', str(tmp_path)]) == 1
        assert [path.name for path in tmp_path.iterdir()] == ['.sast_ros.lock']
    assert f'process {os.getpid()}' in capsys.readouterr().err


def test_a_pipe_gets_lines(capsys):
    with train._progress('x') as (log, report):
        report(50, 200, VALUES)
        log('step 50: mAP 0.1')
    shown = capsys.readouterr()
    assert shown.err == ('step 50 of 200: loss 8.25, windows per second 30\nstep 50: mAP 0.1\n')
    assert shown.out == ''


def test_a_terminal_gets_a_bar_with_the_latest_values(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(train, 'open_console', lambda stderr=False: console)
    with train._progress('mine') as (log, report):
        report(50, 200, VALUES)
        log('a [sentence]')
    assert 'train mine' in screen.getvalue()
    assert '25%' in screen.getvalue()
    assert 'loss 8.25' in screen.getvalue()
    assert 'a [sentence]' in screen.getvalue()


def test_the_table_holds_what_was_found():
    found = {'ap': 0.25, 'ap50': 0.5, 'by_class': {'car': {'ap50': 0.5}, 'bus': {'ap50': None}}}
    kept = {'least': 0.01, 'most': 0.02, 'windows': 7, 'kept_tokens': [0.25, 0.5, 0.75, 1.0]}
    validation = {
        'sequences': 3,
        'all': found,
        'by_motion': {'pan': {**NOTHING, 'by_class': {}}},
        'by_windows': {'50/50': found, '20/75': found},
        'sparsity': [kept],
    }
    screen = io.StringIO()
    console = Console(file=screen, width=100)
    console.print(train._summary_table({'steps': 9, 'validation': validation}, 'mine'))
    console.print(train._summary_table({'steps': 9, 'validation': None}, 'mine'))
    text = screen.getvalue()
    assert 'mAP 0.250, AP50 0.500 (car 0.500, bus -)' in text
    assert 'mAP -' in text
    assert 'windows of 20/75 ms' in text
    assert 'no held-out sequences' in text
    assert '1 - 2 %' in text and '25, 50, 75, 100 %' in text and '7 windows' in text
