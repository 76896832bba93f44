# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The policy of SROS 2 allows what the running node has in the graph, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from sensor_msgs.msg import CameraInfo
from system.streams import ARRAY

POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2' / 'policy.xml'
EVENTS, INFO = '/event_camera/events', '/event_camera/camera_info'

# Rule of the policy -> method of rclpy's Node that lists names and types in the graph.
RULES = {
    'publish': 'get_publisher_names_and_types_by_node',
    'subscribe': 'get_subscriber_names_and_types_by_node',
    'reply': 'get_service_names_and_types_by_node',
    'request': 'get_client_names_and_types_by_node',
}

# Services that rclpy of Humble does not have.
SINCE_JAZZY = {'reply /sast_detector/get_type_description'}

# Topics of types that may not be installed.
OPTIONAL = {'publish /annotations'}


def allowed() -> set[str]:
    """Return ``'RULE NAME'`` of all that the policy allows, with absolute names."""
    (profile,) = ElementTree.parse(POLICY).iter('profile')
    namespace, node = profile.get('ns', '').rstrip('/'), profile.get('node')
    found = set()
    for group in profile:
        for rule, qualifier in group.items():
            assert qualifier == 'ALLOW'
            for entry in group:
                name = entry.text or ''
                if name.startswith('~'):
                    name = f'{namespace}/{node}{name[1:]}'
                elif not name.startswith('/'):
                    name = f'{namespace}/{name}'
                assert f'{rule} {name}' not in found, f'{rule} {name} stands there twice'
                found.add(f'{rule} {name}')
    return found


def in_graph(observer) -> set[str]:
    """Return ``'RULE NAME'`` of all that the node has in the graph."""
    return {
        f'{rule} {name}'
        for rule, method in RULES.items()
        for name, _ in getattr(observer.node, method)('sast_detector', '/')
    }


def differences(observer) -> list[str]:
    """Return what is in the graph or the policy only."""
    policy, graph = allowed(), in_graph(observer)
    return [
        *(f'not in the policy: {entry}' for entry in sorted(graph - policy)),
        *(
            f'not in the graph: {entry}'
            for entry in sorted(policy - graph - SINCE_JAZZY - OPTIONAL)
        ),
    ]


def test_the_policy_allows_what_the_node_does_and_nothing_else(bench):
    observer = bench.observer
    bench.publisher(ARRAY, topic=EVENTS).start([])
    observer.node.create_publisher(CameraInfo, INFO, 1)
    # With simulated time the node subscribes to /clock too.
    remapped = ['-r', f'events:={EVENTS}', '-r', f'camera_info:={INFO}']
    bench.start_node(*remapped, autostart='true', use_sim_time='true')
    observer.wait_for(lambda: 'sast_detector' in observer.node.get_node_names())
    # The node subscribes once it is active and knows the publishers.
    with suppress(AssertionError):
        observer.wait_for(lambda: not differences(observer))
    assert differences(observer) == []
