# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What rclpy's private interface gives, and what callbacks of transitions raise."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import Mock

from interruption import INTERRUPTIONS
import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from rclpy.parameter import Parameter  # noqa: E402 - after the skip
from sast_ros.errors import SettingError, UsageError  # noqa: E402 - after the skip
from sast_ros.ros import rclpy_compat  # noqa: E402 - after the skip

VIEW = ['view', '--topic', 'x', '--page']


def test_start_values_are_known_before_they_are_declared_or_not_at_all(ros_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        given = [Parameter('autostrat', value=True)]
        node = rclpy.create_node('started', context=context, parameter_overrides=given)
        assert set(rclpy_compat.start_values(node)) == {'autostrat'}
        del node._parameter_overrides
        assert rclpy_compat.start_values(node) == {}
        node.destroy_node()
    finally:
        context.try_shutdown()


@pytest.mark.parametrize(
    'arguments',
    [['-p', 'window.stride_ms:=125'], ['--ros-args', '--bogus'], ['here', '--ros-args']],
)
def test_an_argument_that_ros_would_ignore_or_not_name_is_refused(monkeypatch, arguments):
    monkeypatch.setattr('sys.argv', ['detector', *arguments])
    with pytest.raises(SettingError, match='no argument of ROS.*--ros-args -p NAME:=VALUE'):
        rclpy_compat.initialize()


def test_an_argument_that_ros_cannot_parse_is_an_expected_error(monkeypatch):
    monkeypatch.setattr('sys.argv', ['player', '--ros-args', '-r', 'foo'])
    with pytest.raises(SettingError, match='-r foo'):
        rclpy_compat.initialize()


LONG = '/' + 'a' * 230  # a topic may have 246 characters, but not that of a service below it


@pytest.mark.parametrize(
    'arguments, told',
    [
        (['-r', 'events:=/my-robot/events'], 'events:=/my-robot/events .*-r FROM:=TO.*letters'),
        (['-r', 'events:=/a/'], 'events:=/a/ .*single slashes'),
        (['-r', 'events:=/a//b'], 'events:=/a//b .*single slashes'),
        (['-r', 'events:='], '-r FROM:=TO'),
        (['-r', 'logging:=/a/'], 'logging:=/a/ .*single slashes'),
        (['-r', '__node:=1a'], '__node:=1a .*digit'),
        (['-r', '__ns:=/a-b'], '__ns:=/a-b .*letters'),
        (['-r', '__ns:=/a/'], 'namespace.*letters'),
        (['-r', f'__ns:={LONG}'], 'length'),
        (['-p', 'model.path:='], 'model.path:= .*-p NAME:=VALUE'),
    ],
)
@pytest.mark.parametrize('security', ['false', 'true'])
def test_a_name_that_ros_refuses_is_named_with_what_names_are(
    ros_domain, monkeypatch, arguments, told, security
):
    with pytest.raises(UsageError, match=told) as raised, rclpy_compat.ros_refusals(arguments):
        context = rclpy.Context()
        rclpy.init(args=['--ros-args', *arguments], context=context)
        monkeypatch.setenv('ROS_SECURITY_ENABLE', security)  # it is not what is wrong
        try:
            rclpy.create_node('named', context=context)
        finally:
            context.try_shutdown()
    text = str(raised.value)
    assert '\n' not in text and '/src/' not in text and 'lexeme' not in text
    assert 'not set' not in text and 'ROS_LOG_DIR' not in text and 'keystore' not in text


def test_a_detector_in_a_namespace_that_is_too_long_says_so_in_one_line(ros_domain):
    program = 'import sys, sast_ros.ros.start; sys.exit(sast_ros.ros.start.detector())'
    done = subprocess.run(
        [sys.executable, '-c', program, '--ros-args', '-r', f'__ns:={LONG}'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr and LONG in done.stderr


@pytest.mark.parametrize(
    'program',
    ['sast_ros.ros.start.detector()', 'sast_ros.ros.start.player()', f'sast_ros.cli.main({VIEW})'],
)
@pytest.mark.parametrize(
    'variable, value, told',
    [
        ('ROS_LOG_DIR', '/proc/none', 'ROS_LOG_DIR'),
        ('ROS_DOMAIN_ID', 'none', 'ROS_DOMAIN_ID'),
        ('ROS_SECURITY_STRATEGY', 'Enforce', 'ROS_SECURITY_ENABLE'),
    ],
)
def test_an_environment_in_which_ros_cannot_start_is_one_sentence(
    monkeypatch, program, variable, value, told
):
    monkeypatch.setenv(variable, value)
    if told == 'ROS_SECURITY_ENABLE':
        monkeypatch.setenv(told, 'true')
        monkeypatch.setenv('ROS_SECURITY_KEYSTORE', '/proc/none')
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            f'import sys, sast_ros.cli, sast_ros.ros.start; sys.exit({program})',
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert 'ROS 2 cannot start' in said and told in said
    assert 'Traceback' not in said and '.cpp' not in said


@pytest.mark.parametrize('interrupt', INTERRUPTIONS)
def test_an_interruption_is_no_failure_of_a_transition(interrupt):
    node = Mock()
    with pytest.raises(KeyboardInterrupt):
        rclpy_compat.logged_transition(interrupt)(node, Mock())
    node.fail.assert_not_called()
