# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a running node: accepted between two windows, or refused with a reason."""

from __future__ import annotations

from sast_ros import defaults
from system.streams import ARRAY, as_array, as_cloud, batches, CLOUD, window_ends_us

START_NS = 1_700_000_000_000_000_000


def test_detections_follow_the_parameters_between_two_windows(node):
    observer = node.observer
    assert observer.set_parameters(overload__queue_windows=1000) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')

    def next_arrays(part: int) -> list:
        before = len(observer.detections)
        node.publish(ARRAY, as_array(batches(4, start_us=part * 100_000)).messages)
        # 100 ms complete one window at the first time, and two every time after it
        observer.wait_for(lambda: len(observer.detections) == before + (1 if part == 0 else 2))
        return observer.detections[before:]

    assert [len(array.detections) for array in next_arrays(0)] == [
        0
    ]  # untrained: no score reaches 0.1
    assert observer.set_parameters(detections__score_threshold=0.0, detections__max_count=3) == []
    assert [len(array.detections) for array in next_arrays(1)] == [3, 3]
    assert observer.labels[-1].threshold == 0.0
    assert (
        observer.set_parameters(detections__classes=['pedestrian'], detections__max_count=2) == []
    )
    for array in next_arrays(2):
        assert {d.results[0].hypothesis.class_id for d in array.detections} == {'pedestrian'}
    assert (
        observer.set_atomically(detections__class_id_format='index', sparsity__mode='dense') == ''
    )
    for array in next_arrays(3):
        assert {d.results[0].hypothesis.class_id for d in array.detections} == {'1'}
    values = observer.status(lambda status, values: values.get('sparsity') == 'dense')
    assert values['stage 1 tokens kept (%)'] == values['stage 4 windows kept (%)'] == '100.0'
    assert observer.set_parameters(sparsity__mode='budget', sparsity__latency_budget_ms=1.0) == []
    next_arrays(4)
    assert 'state reset: start' in node.nodes[0].log
    observer.status(
        lambda status, values: (
            values.get('windows done') == '9' and values.get('resets: start') == '1'
        )
    )


def test_stride_and_duration_change_without_a_reset(node):
    observer = node.observer
    assert observer.set_parameters(overload__queue_windows=1000) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    first = batches(4)
    node.publish(ARRAY, as_array(first).messages)
    observer.wait_for(lambda: len(observer.detections) == 1)
    assert observer.set_atomically(window__stride_ms=25.0, window__duration_ms=75.0) == ''
    node.publish(ARRAY, as_array(batches(4, start_us=100_000)).messages)
    # the second window begins 50 ms after the first, as was promised; from there every 25 ms, each
    # 75 ms long
    ends = window_ends_us(first)[:1] + [125_000, 150_000, 175_000]
    observer.wait_for(lambda: len(observer.detections) == len(ends))
    stamps = [
        array.header.stamp.sec * 10**9 + array.header.stamp.nanosec
        for array in observer.detections
    ]
    assert stamps == [START_NS + 1000 * end for end in ends]
    observer.status(
        lambda status, values: (
            values.get('resets: start') == '1' and 'resets: service' not in values
        )
    )


def test_filters_change_while_the_node_detects(node):
    observer = node.observer
    assert observer.set_parameters(overload__queue_windows=1000) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    node.publish(ARRAY, as_array(batches(4)).messages)
    observer.wait_for(lambda: len(observer.detections) == 1)
    (said,) = observer.set_parameters(input__filter=['hot-pixel', 'roi=1,2'])
    assert 'input.filter' in said and 'roi=X,Y,WIDTH,HEIGHT' in said
    assert observer.set_parameters(input__filter=['flip=horizontal', 'roi=0,0,152,240']) == []
    node.publish(ARRAY, as_array(batches(4, start_us=100_000)).messages)
    observer.wait_for(lambda: len(observer.detections) == 3)
    right = sum(int((x < 152).sum()) for x, _, _, _ in batches(4, start_us=100_000))
    observer.status(
        lambda status, values: (
            values.get('events left out: region_of_interest') == str(right)
            and values.get('events') == '2400'
            and values.get('filters') == 'flip=horizontal roi=0,0,152,240'
        )
    )
    # A region outside the sensor would stop detection
    (said,) = observer.set_parameters(input__filter=['roi=0,0,640,480'])
    assert 'input.filter' in said and 'outside the sensor of 304x240' in said
    node.publish(ARRAY, as_array(batches(4, start_us=200_000)).messages)
    observer.wait_for(lambda: len(observer.detections) == 5)
    observer.status(lambda status, values: values.get('format errors') == '0')


def test_a_refused_change_changes_nothing(node):
    observer = node.observer
    assert observer.change_state('configure')
    for values, reason in [
        ({'detections__score_threshold': 1.5}, 'detections.score_threshold'),
        ({'window__stride_ms': 0.0}, 'window.stride_ms'),
        (
            {'sparsity__mode': 'sparse'},
            "sparsity.mode is 'sparse'; it must be one of 'adaptive', 'dense', 'budget'",
        ),
        (
            {'detections__classes': ['tram']},
            'names tram, which the network does not know; it knows car, pedestrian',
        ),
        ({'model__path': 'gen1-base'}, 'model.path is read when the node is configured'),
        ({'autostart': True}, 'read'),
    ]:
        (said,) = observer.set_parameters(**values)
        assert reason in said
    refused = observer.set_atomically(detections__nms_iou=0.3, sparsity__mode='sparse')
    assert 'sparsity.mode' in refused
    assert observer.parameter('detections.nms_iou') == 0.45
    assert observer.parameter('sparsity.mode') == 'adaptive'
    assert observer.parameter('detections.score_threshold') == defaults.SCORE_THRESHOLD


def test_a_misspelt_parameter_is_refused_with_its_name(node):
    names = {'detections__score_treshold': 0.3, 'window__stride_ms': 100.0}
    sentence = 'detections.score_treshold (did you mean detections.score_threshold?)'
    (reason,) = node.observer.set_parameters(**names)
    assert reason.endswith(sentence)
    assert node.observer.set_atomically(**names).endswith(sentence)


def test_a_number_may_have_another_type(node):
    observer = node.observer
    assert observer.set_parameters(window__stride_ms=125, detections__max_count=7.0) == []
    assert observer.set_atomically(detections__score_threshold=1, model__threads='2') == ''
    values = [
        observer.parameter(name)
        for name in ('window.stride_ms', 'detections.score_threshold', 'detections.max_count')
    ]
    assert repr(values) == '[125.0, 1.0, 7]'
    (reason,) = observer.set_parameters(window__stride_ms=0)
    assert 'out of range' in reason
    for value in ('fast', True, [125.0]):
        (reason,) = observer.set_parameters(window__stride_ms=value)
        assert 'Wrong parameter type' in reason
    (reason,) = observer.set_parameters(detections__max_count=7.5)
    assert 'Wrong parameter type' in reason


def test_a_type_that_does_not_exist_is_refused_and_the_node_lives(node):
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically

    observer = node.observer
    wrong = Parameter(name='detections.nms_iou', value=ParameterValue(type=42))
    (result,) = observer.call(observer._set, SetParameters.Request(parameters=[wrong])).results
    request = SetParametersAtomically.Request(parameters=[wrong])
    other = observer.call(observer._set_atomically, request).result
    for each in (result, other):
        assert not each.successful and 'detections.nms_iou: no type' in each.reason
    assert observer.set_parameters(detections__nms_iou=0.4) == []


def test_descriptors_tell_range_unit_and_meaning(node):
    observer = node.observer
    stride = observer.describe('window.stride_ms')
    assert (
        stride.floating_point_range[0].from_value,
        stride.floating_point_range[0].to_value,
    ) == (1.0, 10_000.0)
    assert stride.description.endswith('[ms]')
    assert not stride.read_only
    assert 'dense' in observer.describe('sparsity.mode').additional_constraints
    assert observer.describe('overload.queue_windows').integer_range[0].to_value == 1000


def test_a_worker_that_cannot_go_on_deactivates_the_node(node):
    observer = node.observer
    # these partitions divide the maps of the design size, but not those of a 346x260 sensor
    assert observer.set_parameters(model__partition_size=[4, 5]) == []
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    node.publish(
        ARRAY, as_array(batches(25, width=346, height=260), width=346, height=260).messages
    )
    observer.wait_for_state('inactive')
    values = observer.status(lambda status, values: status.level == b'\x02')
    assert 'detection stopped: partition_size 4x5 does not divide' in values['message']
    assert node.nodes[0].log.count('detection stopped') == 1
    assert 'a window was skipped: unexpected SettingError' in node.nodes[0].log
    assert observer.change_state('activate')
    observer.wait_for_state('active')


def test_wrong_sensor_size_is_an_error_that_names_the_parameters(node):
    observer = node.observer
    assert observer.change_state('configure')
    assert observer.change_state('activate')
    node.publish(CLOUD, as_cloud(batches(90, width=640, height=480)).messages)
    observer.wait_for(lambda: 'input.width and input.height' in node.nodes[0].log)
    observer.status(
        lambda status, values: (
            int(values.get('events left out: outside_sensor', 0)) > 1000
            and int(values['format errors']) >= 1
        )
    )
    assert observer.state() == 'active'


def test_an_empty_list_is_none_as_in_a_parameter_file(node):
    observer = node.observer
    for name in ('input.filter', 'overlay.layers', 'detections.classes', 'cameras'):
        # sent as one of bytes; as one of bool by ros2 param set
        assert observer.set_parameters(**{name.replace('.', '__'): []}) == []
        assert observer.parameter(name) == ['']
    assert observer.change_state('configure')
