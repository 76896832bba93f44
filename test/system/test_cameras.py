# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Several cameras in one node: each as if it were alone, none in the way of another."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool
from system.streams import ARRAY, as_array, batches, Stream
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

NAMES = ('left', 'right')
CAMERAS = {'cameras': '[left, right]'}
#: Boxes in every window of untrained weights, and no window dropped.
ALL = {
    'detections__score_threshold': 0.0,
    'detections__max_count': 5,
    'overload__queue_windows': 1000,
}


def streams(messages: int = 41) -> dict[str, Stream]:
    """Return different events for each camera."""
    made = batches(messages + 40)
    return {'left': as_array(made[:messages]), 'right': as_array(made[40:])}


def heard(node: Any, *topics: str) -> dict[str, list[Any]]:
    """Subscribe to detections; return them by topic, as they arrive."""
    arrays: dict[str, list[Any]] = defaultdict(list)
    for topic in topics:
        node.observer.subscribe(Detection2DArray, topic, arrays[topic].append, 5000)
    return arrays


def publish(
    bench: Any, name: str, messages: list[bytes], *options: str, wait: bool = True
) -> None:
    publisher = bench.publisher(ARRAY, *options, topic=f'{name}/events').start(messages)
    publisher.go()
    if wait:
        publisher.finish()


def activate(node: Any, **parameters: Any) -> None:
    values = {'cameras': list(NAMES), **ALL, **parameters}
    assert node.observer.set_parameters(**values) == []
    assert node.observer.change_state('configure')
    assert node.observer.change_state('activate')


def status(node: Any, name: str, **wanted: str) -> dict[str, str]:
    """Wait for a status of a camera in which these values are (``windows_done``)."""
    expected = {key.replace('_', ' '): value for key, value in wanted.items()}
    return node.observer.status(
        lambda status, values: (
            status.name == f'sast_detector: detector {name}'
            and {'message': status.message, **values}.items() >= expected.items()
        )
    )


def resident_kib(process: Any) -> int:
    text = Path(f'/proc/{process.pid}/status').read_text()
    return int(text.split('VmRSS:')[1].split()[0])


def test_cameras_detect_what_nodes_of_their_own_do_in_less_memory(bench):
    arrays = heard(bench, *(f'/{owner}{n}/detections' for owner in ('', 'alone/') for n in NAMES))
    both = bench.start_node(**ALL, **CAMERAS)
    alone = [
        bench.start_node('-r', f'__ns:=/alone/{name}', '-r', f'events:=/{name}/events', **ALL)
        for name in NAMES
    ]
    sent = streams()
    # What is published before is not heard
    bench.observer.wait_for(
        lambda: all(bench.observer.node.count_publishers(topic) for topic in arrays),
        what='for all publishers of detections',
    )
    for name in NAMES:
        publish(bench, name, sent[name].messages, '--subscribers', '2', wait=False)
    expected = {topic: len(sent[topic.split('/')[-2]].stamps_ns) for topic in arrays}
    assert set(expected.values()) == {20}
    bench.observer.wait_for(
        lambda: all(len(arrays[topic]) >= expected[topic] for topic in arrays),
        what='for all detections',
    )
    for name in NAMES:
        assert arrays[f'/{name}/detections'] == arrays[f'/alone/{name}/detections']
    left, right = (arrays[f'/{name}/detections'] for name in NAMES)
    assert left[5].detections[0].bbox != right[5].detections[0].bbox
    assert resident_kib(both.process) <= 1.2 * min(resident_kib(node.process) for node in alone)


def test_topics_may_be_exchanged(bench):
    """A name is remapped once, whatever the other rules make of the result."""
    rules = {'left/events': '/right/events', 'right/events': '/left/events'}
    arrays = heard(bench, '/left/detections', '/right/detections')
    words = [word for old, new in rules.items() for word in ('-r', f'{old}:={new}')]
    bench.start_node(*words, **ALL, **CAMERAS)
    # What is published before is not heard
    graph = bench.observer.node
    bench.observer.wait_for(lambda: all(map(graph.count_publishers, arrays)))
    publish(bench, '/right', streams()['left'].messages, wait=False)
    bench.observer.wait_for(lambda: len(arrays['/left/detections']) > 5)
    assert not arrays['/right/detections']


def test_every_camera_has_topics_status_and_state_of_its_own(node):
    observer, sent = node.observer, streams()
    arrays, labels, infos = heard(node, 'left/detections', 'right/detections'), [], []
    activate(node)
    publish(node, 'left', sent['left'].messages)
    publish(node, 'right', sent['right'].messages[:21])
    left = status(node, 'left', windows_done='20')
    assert left['hardware_id'] == left['input topic'] == '/left/events'
    assert status(node, 'right', windows_done='10')['input topic'] == '/right/events'
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    observer.subscribe(LabelInfo, 'left/label_info', labels.append, latched)
    observer.subscribe(VisionInfo, 'right/vision_info', infos.append, latched)
    observer.wait_for(lambda: labels and infos, what='for the latched topics')
    assert infos[0].database_location == '/right/label_info'
    answer = observer.reset_state('left/reset_state')
    assert answer.success
    publish(node, 'left', as_array(batches(5, start_us=10_000_000)).messages)
    publish(node, 'right', sent['right'].messages[21:])
    status(node, 'left', **{'resets:_service': '1'})
    assert 'resets: service' not in status(node, 'right', windows_done='20')
    observer.wait_for(lambda: len(arrays['right/detections']) == 20, what='for all detections')
    assert not observer.detections
    log = node.nodes[0].log
    assert log.count('[sast_detector.left]: state reset: service') == 1
    assert '[sast_detector.right]: state reset: service' not in log


def test_a_dead_or_damaged_camera_stalls_nobody(node):
    sent = streams()
    activate(node)
    damaged = [message[:-7] for message in sent['left'].messages]
    publish(node, 'left', damaged)
    publish(node, 'right', sent['right'].messages[:21])
    assert status(node, 'left', format_errors=str(len(damaged)))['windows done'] == '0'
    status(node, 'right', windows_done='10', format_errors='0')
    node.end_publishers()
    status(node, 'left', message='waiting for a publisher of events on /left/events')
    publish(node, 'right', sent['right'].messages[21:])
    status(node, 'right', windows_done='20')


def test_a_camera_that_sends_too_much_loses_its_own_windows_only(node):
    arrays = heard(node, 'left/detections', 'right/detections')
    activate(node, overload__queue_windows=20, input__queue_depth=5000)
    sent = {'left': as_array(batches(1500)), 'right': streams()['right']}
    publishers = [
        node.publisher(ARRAY, topic=f'{name}/events').start(stream.messages)
        for name, stream in sent.items()
    ]
    for publisher in publishers:
        publisher.go()
    node.observer.wait_for(lambda: len(arrays['right/detections']) == 20, what='for the right one')
    assert status(node, 'right', windows_done='20')['windows dropped'] == '0'
    node.observer.status(
        lambda status, values: (
            status.name.endswith('left')
            and int(values['windows dropped']) > 0
            and int(values['windows done']) + int(values['windows dropped'])
            == len(sent['left'].stamps_ns)
        )
    )


def test_a_camera_of_which_all_windows_fail_is_given_up_and_the_others_go_on(node):
    observer = node.observer
    # These partitions divide the maps of the design size, but not those of a 346x260 sensor
    activate(node, model__partition_size=[4, 5])
    sent = as_array(batches(41, width=346, height=260), width=346, height=260)
    publish(node, 'left', sent.messages, wait=False)
    stopped = observer.status(lambda status, values: 'detection stopped' in status.message)
    assert 'partition_size 4x5 does not divide' in stopped['message']
    enable = observer.node.create_client(SetBool, 'left/enable')
    for data, done in ((True, False), (False, True), (True, False)):
        answer = observer.call(enable, SetBool.Request(data=data))
        assert answer.success is done and ('detection stopped' in answer.message) is not done
    publish(node, 'right', streams()['right'].messages)
    status(node, 'right', windows_done='20')
    assert observer.state() == 'active'
    assert node.nodes[0].log.count('[sast_detector.left]: detection stopped') == 1
    # The last one ends the work, and a new beginning has both
    node.end_publishers()
    publish(node, 'right', sent.messages, wait=False)
    observer.wait_for_state('inactive')
    node.end_publishers()
    assert observer.change_state('activate')
    publish(node, 'left', streams()['left'].messages)
    status(node, 'left', windows_done='20', state='active')


def test_cameras_change_only_before_configure(node):
    observer = node.observer
    activate(node)
    (reason,) = observer.set_parameters(cameras=['left'])
    assert 'cameras is read when the node is configured' in reason
    assert observer.change_state('deactivate') and observer.change_state('cleanup')
    assert observer.set_parameters(cameras=['rear']) == []
    assert observer.change_state('configure') and observer.change_state('activate')
    status(node, 'rear', state='active')
    (reason,) = observer.set_parameters(cameras=['rear', 'rear'])
    assert 'different names' in reason
