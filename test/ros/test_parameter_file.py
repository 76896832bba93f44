# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A parameter file of the node means the same to the commands, which read it without ROS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

from facts import facts
import pytest
from sast_ros import cli
from sast_ros.bags import open_recording
from sast_ros.cli.arguments import detector_options, OPTIONS
from sast_ros.errors import SettingError
from sast_ros.model.config import CONFIGS
from sast_ros.replay import make_pipeline, ReplayOptions
from sast_ros.ros.detector_factory import apply_tracking, load_detectors, make_cutter
from sast_ros.ros.parameter_file import NODE_NAME, read_parameter_file, values_of_node
from sast_ros.ros.parameters import PARAMETERS, Settings
from sast_ros.tracking import Tracker
from workspace import REPOSITORY

#: Parameters that decide when and where something is computed, not what.
WITHOUT_MEANING_OFFLINE = (
    *('autostart', 'cameras', 'input.type', 'input.queue_depth', 'overload.', 'page.'),
)

NOT_DEFAULT = """
/**:
  ros__parameters:
    use_sim_time: true
    autostart: false
    model: {path: gen1-tiny, device: cpu, precision: float32, partition_size: [4, 5], threads: 1}
    window: {duration_ms: 40, stride_ms: '20', align: epoch, timestamp_source: header}
    sparsity: {mode: dense, amp: 3.0e-4, bounce: 2e-3}
    detections.score_threshold: 0.2
    detections:
      nms_iou: 0.6
      max_count: 7
      classes: [car]
      class_id_format: index
    input: {type: auto, width: 320, height: 240, time_unit: us, filter: [hot-pixel]}
    overload.queue_windows: 3
    tracking: {min_hits: 3, max_age_ms: 250}
    state.max_gap_ms: 300.0
    qos_overrides./parameter_events.publisher.depth: 5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / 'detector.yaml'
    path.write_text(text)
    return path


def options_of(*words: object) -> ReplayOptions:
    arguments = cli._parser().parse_args(['replay', 'bag', *map(str, words)])
    return ReplayOptions(**detector_options(arguments))


def test_the_file_with_all_defaults_changes_nothing():
    path = REPOSITORY / 'config' / 'detector.yaml'
    assert read_parameter_file(path) == {name: p.default for name, p in PARAMETERS.items()}
    assert options_of('--params', path) == ReplayOptions(
        amp=PARAMETERS['sparsity.amp'].default,
        bounce=PARAMETERS['sparsity.bounce'].default,
        latency_budget_ms=PARAMETERS['sparsity.latency_budget_ms'].default,
    )


def test_every_parameter_is_an_option_of_the_replay_or_has_no_meaning_there():
    size = {'input.width', 'input.height'}
    assert OPTIONS.keys() <= PARAMETERS.keys()
    tracking = {name for name in PARAMETERS if name.startswith('tracking.')}
    others = PARAMETERS.keys() - OPTIONS.keys() - size - tracking
    assert [name for name in others if not name.startswith(WITHOUT_MEANING_OFFLINE)] == []


def test_the_replay_has_the_detector_and_the_windows_of_the_node(tmp_path):
    path = write(tmp_path, NOT_DEFAULT)
    settings = Settings.from_values(read_parameter_file(path))
    (node,), untrained = load_detectors(settings)
    cutter = make_cutter(settings, node.detector.config, lambda: 0, lambda reason: None)
    with open_recording('example') as recording:
        pipeline, trained = make_pipeline(recording, options_of('--params', path))
        assert recording.time_unit == settings.input.time_unit
    assert untrained is not trained
    for name in ('duration_us', 'stride_us', 'max_gap_us', 'align', 'timestamp_source'):
        assert getattr(pipeline.cutter, name) == getattr(cutter, name), name
    assert pipeline.cutter.event_filter.texts == cutter.event_filter.texts == ('hot-pixel',)
    assert pipeline.sensor_size == (240, 320)
    ours, its = pipeline.detector, node.detector
    for name in ('config', 'score_threshold', 'nms_iou', 'max_detections', 'precision'):
        assert getattr(ours, name) == getattr(its, name), name
    assert ours._class_ids == its._class_ids == [ours.config.classes.index('car')]
    assert ours._control == its._control
    tracker = Tracker()
    apply_tracking(node, tracker, settings)
    assert pipeline.tracker.settings == tracker.settings
    assert (tracker.settings.min_hits, tracker.settings.max_age_ms) == (3, 250.0)
    assert its._control.mode == 'dense'


def test_a_filter_outside_the_stated_sensor_is_refused_before_there_are_events():
    default = Settings()
    wanted = replace(default.input, height=240, width=304, filter=['roi=0,0,640,480'])
    with pytest.raises(SettingError, match=facts('input.filter', '304x240')):
        make_cutter(
            replace(default, input=wanted), CONFIGS['gen1-tiny'], lambda: 0, lambda reason: None
        )


def test_options_win_over_the_file_wherever_they_stand(tmp_path):
    path = write(tmp_path, NOT_DEFAULT)
    words = ['--nms-iou', '0.45', '--params', path, '--filter', 'roi=0,0,9,9', '--align']
    options = options_of(*words, 'first_event', '--filter', 'flip=vertical')
    assert options.nms_iou == 0.45
    assert options.align == 'first_event'
    assert options.filters == ('roi=0,0,9,9', 'flip=vertical')
    assert (options.score_threshold, options.window_ms, options.stride_ms) == (0.2, 40, 20)


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['/**', 'sast_detector'], 3),
        (['sast_detector', '/**'], 3),
        (['/**', '/left/sast_detector'], 3),
        (['/**', 'camera_driver'], 2),
        (['left_eye'], 2),
        (['/*/left_eye'], 2),
    ],
)
def test_the_later_section_wins_as_in_a_node(tmp_path, names, expected):
    sections = [
        f'{name}: {{ros__parameters: {{detections: {{max_count: {count}}}}}}}'
        if name != 'camera_driver'
        else f'{name}: {{ros__parameters: {{bias_diff: 1}}}}'
        for count, name in enumerate(names, start=2)
    ]
    path = write(tmp_path, '\n'.join(sections))
    assert read_parameter_file(path) == {'detections.max_count': expected}


def test_a_file_means_the_same_to_command_node_and_launch(tmp_path, ros_domain):
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from sast_ros.ros.node_parameters import declare_parameters

    path = write(
        tmp_path,
        '/**: {ros__parameters: {bias_diff: 3, camera_name: a, window.stride_ms: 25.0}}\n'
        'tracker: {ros__parameters: {cameras: [left, right]}}',
    )
    expected = {'window.stride_ms': 25.0}
    assert read_parameter_file(path) == values_of_node(path, '/sast_detector') == expected
    context = rclpy.Context()
    rclpy.init(context=context)
    words = ['--ros-args', '--params-file', str(path)]
    node = rclpy.create_node(NODE_NAME, context=context, cli_args=words)
    node.get_logger = Mock()
    try:
        assert declare_parameters(node) == Settings.from_values(expected)
        node.get_logger.assert_not_called()
    finally:
        node.destroy_node()
        context.try_shutdown()


def test_namespaces_may_be_nested(tmp_path):
    path = write(tmp_path, 'robot: {eye: {sast_detector: {ros__parameters: {autostart: no}}}}')
    assert read_parameter_file(path) == {'autostart': False}


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('/**: {ros__parameters: {window: {stride: 5}}}', 'window.stride (did you mean window.'),
        ('/**: {ros__parameters: {window.stride_ms: fast}}', "window.stride_ms is 'fast'"),
        ('/**: {ros__parameters: {window.stride_ms: 0}}', 'between 1 and 10000'),
        ('/**: {ros__parameters: {model.path: 5}}', 'string'),
        ('/**: {ros__parameters: {autostart: 1}}', 'bool'),
        ('/**: {ros__parameters: {detections.classes: [car, 1]}}', 'string array'),
        ('/**: {ros__parameters: {window.align: event}}', "'first_event', 'epoch'"),
        ('window: {stride_ms: 5}', 'ros__parameters'),
        ('- 5', 'ros__parameters'),
        ('sast_detector: {ros__parameters: {bias_diff: 5}}', 'no parameter bias_diff'),
        ('a: [', 'no YAML'),
        (
            'l/sast_detector: {ros__parameters: {autostart: no}}\n'
            'r/sast_detector: {ros__parameters: {autostart: no}}',
            '/l/sast_detector, /r/sast_detector',
        ),
    ],
)
def test_mistakes_are_named_with_their_file(tmp_path, text, named):
    path = write(tmp_path, text)
    with pytest.raises(SettingError) as caught:
        read_parameter_file(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_command_says_what_is_wrong_in_one_sentence(tmp_path, capsys):
    path = write(tmp_path, '/**: {ros__parameters: {windows: {stride_ms: 5}}}')
    assert cli.main(['replay', 'example', '--params', str(path)]) == 1
    error = capsys.readouterr().err
    assert 'windows.stride_ms' in error
    assert 'window.stride_ms' in error
    assert len(error.strip().splitlines()) == 1
