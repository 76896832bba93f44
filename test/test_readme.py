"""The README is true: its tables, commands, links and example are run against the code."""

from __future__ import annotations

from pathlib import Path
import re

import pytest
from sast_ros.cli import main
from sast_ros.model import CONFIGS
from sast_ros.pipeline import sensor_geometry

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / 'README.md').read_text()


def test_first_line_says_what_it_is():
    assert 'event-camera object detection' in README.splitlines()[0]


def test_parameter_table_is_that_of_the_node():
    parameters = pytest.importorskip('sast_ros.ros.parameters')
    table = (
        README.split('<!-- parameters:', 1)[1]
        .split('-->', 1)[1]
        .split('<!-- end of parameters', 1)[0]
    )
    assert table.strip() == parameters.markdown_table().strip()


def test_linked_files_exist():
    links = re.findall(r'\]\(([^)#]+)\)', README)
    missing = [link for link in links if '://' not in link and not (REPOSITORY / link).exists()]
    assert missing == []


def test_commands_and_their_options_exist(capsys):
    lines = [line for line in README.splitlines() if line.startswith('.venv/bin/sast-ros ')]
    assert len(lines) >= 4
    for line in lines:
        words = line.split('#')[0].split()
        assert main([words[1], '--help']) == 0
        text = capsys.readouterr().out
        for option in (word for word in words if word.startswith('--')):
            assert option in text, line


def test_launch_arguments_are_those_of_the_launch_file():
    source = (REPOSITORY / 'launch' / 'detector.launch.py').read_text()
    declared = re.findall(r"^    '(\w+)': \(", source, flags=re.MULTILINE)
    sentence = README.split('Launch arguments:', 1)[1].split('(', 1)[0]
    assert re.findall(r'`(\w+)`', sentence) == declared


def test_sensor_table_is_what_the_pipeline_does():
    rows = re.findall(r'^\| (\d+)x(\d+) \| (.+?) \| (.+?) \|$', README, flags=re.MULTILINE)
    assert len(rows) == 4
    for width, height, *cells in rows:
        for name, cell in zip(('gen1-tiny', '1mpx-tiny'), cells):
            geometry = sensor_geometry(CONFIGS[name], (int(height), int(width)))
            d, (rows_, columns) = geometry.downsample, geometry.input_size
            kept = 'every pixel' if d == 1 else f'1 of {d}x{d}'
            assert cell == f'{kept}, input {columns}x{rows_}'


def test_python_example_runs(shared, capsys):
    code = README.split('```python', 1)[1].split('```', 1)[0]
    recording = shared / 'data' / 'ecp_evt3_vga' / 'test_events_1.bag'
    exec(compile(code.replace("'my_recording'", repr(str(recording))), 'README.md', 'exec'), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 41
    assert lines[0].startswith('7189845 ')
