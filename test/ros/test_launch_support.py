# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Names of topics, parameters and files that the launch files derive from their arguments."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('yaml', reason='PyYAML is not installed')

from sast_ros.ros import launch_support  # noqa: E402
import yaml  # noqa: E402

DEFAULT = Path(__file__).resolve().parents[2] / 'config' / 'detector.yaml'
EMPTY = ('model', 'device', 'autostart', 'autostart_required', 'use_sim_time', 'cameras')


def arguments(**given: str) -> dict[str, str]:
    return {
        **launch_support.OF_ONE_CAMERA,
        'params_file': str(DEFAULT),
        'name': 'sast_detector',
        **dict.fromkeys(EMPTY, ''),
        **given,
    }


def names(**given: str) -> dict[str, str]:
    return dict(launch_support.remappings(arguments(**given)))


@pytest.mark.parametrize(
    ('events', 'expected'),
    [
        ('/dvs/events', '/dvs/camera_info'),
        ('left/events', 'left/camera_info'),
        ('/events', '/camera_info'),
        ('events', 'camera_info'),
    ],
)
def test_the_calibration_is_beside_the_events(events: str, expected: str) -> None:
    assert names(events=events)['camera_info'] == expected
    assert names(events=events, camera_info='/info')['camera_info'] == '/info'
    given = {'left_events': events, 'left_camera_info': ''}
    of_left = dict(launch_support.camera_remappings(given, 'left'))
    assert of_left == {'left/events': events, 'left/camera_info': expected}


def test_topics_lie_below_the_name_of_a_node_with_another_name() -> None:
    by_default, named = names(), names(name='left')
    assert by_default['overlay'] == 'overlay'
    assert by_default['detections/camera_info'] == 'detections/camera_info'
    assert named['overlay'] == 'left/overlay'
    assert named['detections/camera_info'] == 'left/detections/camera_info'
    given = names(name='left', detections='/objects')
    assert given['detections'] == '/objects'
    assert given['detections/camera_info'] == '/objects/camera_info'


def test_every_topic_for_viewers_is_remapped() -> None:
    viewers = pytest.importorskip('sast_ros.ros.viewers', reason='ROS 2 is not installed')
    assert names().keys() >= viewers.TOPICS.keys()


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ({}, '/robot/'),
        ({'name': 'left'}, '/robot/left/'),
        ({'name': 'eyes', 'cameras': '[left, right]'}, '/robot/'),
    ],
)
def test_viewers_look_below_the_node_or_its_cameras(given: dict, expected: str) -> None:
    wanted = arguments(**given)
    cameras = launch_support.camera_names(wanted, '/robot')
    assert launch_support.viewer_prefix(wanted, '/robot', cameras) == expected


def test_names_of_cameras_are_those_that_the_node_has(tmp_path: Path) -> None:
    own = tmp_path / 'own.yaml'

    def found(**given: str) -> list[str]:
        return launch_support.camera_names(arguments(**given), '/robot')

    assert found() == []
    assert found(cameras='[left, right]') == ['left', 'right']
    own.write_text('/robot:\n  sast_detector:\n    ros__parameters: {cameras: [a, b/c]}\n')
    assert found(params_file=str(own)) == ['a', 'b/c']
    assert found(params_file=str(own), cameras="['']") == []
    own.write_text('')
    assert found(params_file=str(own)) == []
    with pytest.raises(FileNotFoundError, match='params_file:=.*none.yaml'):
        found(params_file=str(tmp_path / 'none.yaml'))
    with pytest.raises(FileNotFoundError, match='params_file:=.* is no file'):
        found(params_file=str(tmp_path))
    for text in ('left', '[left', 'left, right', '{left: right}'):
        with pytest.raises(ValueError, match='cameras:=.* is no list'):
            found(cameras=text)


@pytest.mark.parametrize(
    ('section', 'is_of_node'),
    [
        ('/**', True),
        ('/*/left', True),
        ('/robot/**', True),
        ('/robot/left', True),
        ('left', False),
        ('/robot/right', False),
        ('/*/*/left', False),
    ],
)
def test_cameras_of_another_node_do_not_count(
    tmp_path: Path, section: str, is_of_node: bool
) -> None:
    path = tmp_path / 'own.yaml'
    path.write_text(f'{section}: {{ros__parameters: {{cameras: [a, b]}}}}')
    given = arguments(name='left', params_file=str(path))
    assert launch_support.camera_names(given, 'robot') == (['a', 'b'] if is_of_node else [])


@pytest.mark.parametrize(
    ('namespace', 'full'), [('', '/sast_detector'), ('/a/', '/a/sast_detector')]
)
def test_arguments_become_parameters_of_the_node_alone(namespace: str, full: str) -> None:
    given = arguments(model='7', autostart='false', cameras='[left, right]')
    assert yaml.safe_load(launch_support.parameters(given, namespace)) == {
        full: {
            'ros__parameters': {
                'model.path': '7',
                'autostart': False,
                'cameras': ['left', 'right'],
            }
        }
    }
    assert launch_support.parameters(arguments(), namespace) == ''


def test_arguments_that_would_be_ignored_are_refused() -> None:
    given = arguments(events='/dvs/events')
    launch_support.check_arguments(given, [])
    launch_support.check_arguments(arguments(), ['left', 'right'])
    with pytest.raises(ValueError, match='events:=/dvs/events .*left, right'):
        launch_support.check_arguments(given, ['left', 'right'])


def test_a_temporary_file_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    program = (
        'from sast_ros.ros.launch_support import temporary_file\n'
        "path = temporary_file('.yaml', 'a: 1')\n"
        'print(path, path.read_text())'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        env={'TMPDIR': str(tmp_path), 'PYTHONPATH': ':'.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith(str(tmp_path)) and done.stdout.endswith('.yaml a: 1\n')
    assert list(tmp_path.iterdir()) == []
