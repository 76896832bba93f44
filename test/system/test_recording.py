# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A real recording, played into the running node, gives what the pipeline gives."""

from __future__ import annotations

from sast_ros.bags import open_recording
from sast_ros.detector import StreamingDetector
from sast_ros.events import open_decoder
from sast_ros.model import untrained_model
from sast_ros.pipeline import EventPipeline
from sast_ros.ros import messages

BOXES = 5


def test_the_bag_played_into_the_node_equals_the_pipeline(bench, shared, threads):
    threads(1)  # as many as the node has, so that sums are rounded alike
    with open_recording(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1') as recording:
        stored = list(recording.messages())
        type_name = recording.type
    decoder = open_decoder(type_name)
    detector = StreamingDetector(
        untrained_model('gen1-tiny'), score_threshold=0.0, max_detections=BOXES
    )
    pipeline = EventPipeline(detector)
    expected = [
        messages.detection_array(found, found.stamp_ns)
        for _, raw in stored
        for found in pipeline.feed(decoder(raw))
    ]
    node = bench.start_node(
        detections__score_threshold=0.0,
        detections__max_count=BOXES,
        model__threads=1,
        model__device='cpu',
    )
    observer = bench.observer
    observer.wait_for_state('active')
    begin = stored[0][0]
    publisher = bench.publisher(type_name).start(
        [raw for _, raw in stored], [at - begin for at, _ in stored]
    )
    publisher.go()
    publisher.finish()
    observer.wait_for(lambda: len(observer.detections) >= len(expected), what='for all windows')
    assert observer.detections == expected
    assert len(expected) == 41
    values = observer.status(
        lambda status, values: values.get('windows done') == str(len(expected))
    )
    assert [key for key in values if key.startswith('resets')] == ['resets: start']
    assert values['windows dropped'] == values['packets lost'] == values['format errors'] == '0'
    assert values['events'] == '343474'
    assert node.end() == 0
