# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node walks through its life: transitions, refusals, signals."""

from __future__ import annotations

from pathlib import Path
import re
import signal

import pytest
from sast_ros.ros.parameters import PARAMETERS

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'detector.yaml'


def test_every_transition_is_taken_and_reported(node):
    observer = node.observer
    observer.wait_for_state('unconfigured')
    for transition, state in [
        ('configure', 'inactive'),
        ('activate', 'active'),
        ('deactivate', 'inactive'),
        ('activate', 'active'),
        ('deactivate', 'inactive'),
        ('cleanup', 'unconfigured'),
        ('configure', 'inactive'),
        ('cleanup', 'unconfigured'),
    ]:
        assert observer.change_state(transition), transition
        assert observer.state() == state
    observer.wait_for(lambda: observer.transitions.count(('cleaningup', 'unconfigured')) == 2)
    assert ('unconfigured', 'configuring') in observer.transitions
    assert ('activating', 'active') in observer.transitions


def test_a_transition_that_does_not_exist_is_refused_and_the_node_lives_on(node):
    observer = node.observer
    assert not observer.change_state('activate')
    assert observer.state() == 'unconfigured'
    assert 'does not exist in state unconfigured' in node.nodes[0].log


def test_a_failing_configure_says_why_once_and_can_be_repeated(node):
    observer = node.observer
    assert observer.set_parameters(model__path='nowhere.safetensors') == []
    assert not observer.change_state('configure')
    assert observer.state() == 'unconfigured'
    assert node.nodes[0].log.count('nowhere.safetensors') == 1
    values = observer.status(lambda status, values: status.level == b'\x02')
    assert 'nowhere.safetensors' in values['message']
    assert observer.set_parameters(model__path='gen1-tiny') == []
    assert observer.change_state('configure')
    observer.status(
        lambda status, values: status.level == b'\x00' and values['state'] == 'inactive'
    )


def test_an_unknown_class_or_a_partition_that_does_not_fit_fails_configure(node):
    observer = node.observer
    assert observer.set_parameters(detections__classes=['tram']) == []
    assert not observer.change_state('configure')
    assert 'tram' in node.nodes[0].log
    assert observer.set_parameters(detections__classes=[''], model__partition_size=[7, 9]) == []
    assert not observer.change_state('configure')
    assert '7x9' in node.nodes[0].log


def test_latched_topics_explain_the_detections(node):
    observer = node.observer
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    observer.wait_for(lambda: observer.labels and observer.infos)
    assert [entry.class_name for entry in observer.labels[0].class_map] == ['car', 'pedestrian']
    assert [entry.class_id for entry in observer.labels[0].class_map] == [0, 1]
    assert observer.labels[0].threshold == pytest.approx(0.1)
    assert observer.infos[0].method == 'SAST gen1-tiny, untrained weights'
    assert observer.infos[0].database_location == '/label_info'


def test_by_default_the_node_has_the_bundled_weights(node):
    observer = node.observer
    assert observer.set_parameters(model__path=PARAMETERS['model.path'].default) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    observer.wait_for(lambda: observer.labels and observer.infos)
    names = [entry.class_name for entry in observer.labels[0].class_map]
    assert names == ['pedestrian', 'two-wheeler', 'car']
    assert observer.infos[0].method == 'SAST gen1-tiny'
    observer.status(lambda status, values: values['untrained'] == 'False')


def test_a_waiting_node_says_once_what_it_waits_for_and_is_stale(node):
    observer = node.observer
    before = node.nodes[0].log.count('waiting for a publisher of events on /events')
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    values = observer.status(lambda status, values: status.level == b'\x03')
    assert values['message'] == 'waiting for a publisher of events on /events'
    assert values['hardware_id'] == '/events'
    assert node.nodes[0].log.count('waiting for a publisher of events on /events') == before + 1


@pytest.mark.parametrize('request_to_leave', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_active_node_without_a_word(bench, request_to_leave):
    node = bench.start_node('-r', '__ns:=/front')
    bench._observer = type(bench.observer)('/front/sast_detector')
    bench.observer.wait_for_state('active')
    assert node.end(request_to_leave, patience=10) == 0
    assert 'Traceback' not in node.log


@pytest.mark.parametrize('request_to_leave', ['SIGINT', 'SIGTERM'])
def test_a_signal_while_rclpy_converts_a_message_ends_the_node(bench, request_to_leave):
    from rosgraph_msgs.msg import Clock

    # The conversion of every message imports its module, in C: with an empty list of names
    bench.program = (
        '-c',
        'import builtins, signal\n'
        'from sast_ros.ros.detector_node import main\n'
        'imported = builtins.__import__\n'
        'def interrupted(name, *others):\n'
        "    if name == 'rosgraph_msgs.msg._clock' and others[2] == []:\n"
        f'        signal.raise_signal(signal.{request_to_leave})\n'
        '    return imported(name, *others)\n'
        'builtins.__import__ = interrupted\n'
        'raise SystemExit(main())',
    )
    node = bench.start_node(use_sim_time='true')
    bench.observer.wait_for_state('active')
    clock = bench.observer.node.create_publisher(Clock, '/clock', 10)

    def ended() -> bool:
        clock.publish(Clock())
        return node.process.poll() is not None

    bench.observer.wait_for(ended)
    assert node.end() == 0
    assert 'Traceback' not in node.log


def test_a_signal_ends_a_node_that_loads_its_model(bench):
    node = bench.start_node(model__path='1mpx-large')
    bench.observer.wait_for(lambda: 'untrained weights' in node.log)
    assert node.end(signal.SIGTERM, patience=20) == 0
    assert 'Traceback' not in node.log


def test_autostart_with_the_parameter_file_reaches_active(bench):
    observer = bench.observer
    bench.start_node('--params-file', str(CONFIG), detections__max_count=7)
    observer.wait_for_state('active')
    assert observer.describe('autostart').read_only
    assert observer.parameter('detections.max_count') == 7
    assert observer.parameter('detections.classes') == ['']


def test_an_impossible_limit_of_messages_is_found_before_there_are_any(bench):
    bench.environment['SAST_ROS_MAX_MESSAGE_EVENTS'] = 'many'
    node = bench.start_node(
        '-r', '__node:=other', model__path='gen1-tiny', autostart_required='true'
    )
    assert node.process.wait(60) == 1
    assert "cannot configure: SAST_ROS_MAX_MESSAGE_EVENTS is 'many'" in node.log
    assert re.search(r'FATAL.*\[other\]: the node ends', node.log)


def test_autostart_with_a_broken_model_stays_unconfigured_for_the_manager(bench):
    node = bench.start_node(model__path='gen7-tiny')
    observer = bench.observer
    observer.wait_for(lambda: 'cannot configure' in node.log)
    assert observer.state() == 'unconfigured'
    assert observer.set_parameters(model__path='gen1-tiny') == []
    assert observer.change_state('configure')
    assert observer.change_state('inactive_shutdown')
    assert observer.state() == 'finalized'


def test_a_required_autostart_that_fails_ends_the_node_with_exit_code_1(bench):
    node = bench.start_node(model__path='gen7-tiny', autostart_required='true')
    assert node.process.wait(60) == 1
    (line,) = [line for line in node.log.splitlines() if 'FATAL' in line]
    assert 'autostart_required' in line and 'gen7-tiny' in line


def test_numbers_in_a_parameter_file_may_have_another_type(bench, tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text(
        'sast_detector:\n  ros__parameters:\n    autostart: false\n'
        '    window: {stride_ms: 100, duration_ms: "80.5"}\n'
        '    model: {threads: 2.0, partition_size: ["7", "9"]}\n'
        '    detections: {score_threshold: 1}\n'
    )
    bench.start_node('--params-file', str(path))
    observer = bench.observer
    observer.wait_for_state('unconfigured')
    assert observer.parameter('window.stride_ms') == 100.0
    assert observer.parameter('window.duration_ms') == 80.5
    assert observer.parameter('model.threads') == 2
    assert list(observer.parameter('model.partition_size')) == [7, 9]
    assert observer.parameter('detections.score_threshold') == 1.0
    assert observer.describe('window.stride_ms').floating_point_range
    assert observer.set_parameters(window__stride_ms=200.0) == []


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'window__stride_ms': 'fast'}, 'window.stride_ms has the wrong type; it must be double'),
        ({'window__stride_ms': 'true'}, 'window.stride_ms has the wrong type; it must be double'),
        ({'window__stride_ms': '-5'}, 'window.stride_ms must be between 1 and 10000'),
        ({'model__threads': '2.5'}, 'model.threads has the wrong type; it must be integer'),
        (
            {'detections__score_threshold': '1.5'},
            'detections.score_threshold must be between 0 and 1',
        ),
        (
            {'sparsity__mode': 'sparse'},
            "sparsity.mode is 'sparse'; it must be one of 'adaptive', 'dense', 'budget'",
        ),
        ({'use_sim_time': '1'}, "'use_sim_time' to '1' of type 'INTEGER', expecting type 'BOOL'"),
    ],
)
def test_a_wrong_parameter_at_the_start_is_one_sentence_and_exit_code_1(
    bench, arguments, sentence
):
    node = bench.start_node(**arguments)
    assert node.process.wait(30) == 1
    (line,) = [line for line in node.log.splitlines() if sentence in line]
    assert line.startswith('[FATAL]')
    assert 'Traceback' not in node.log
