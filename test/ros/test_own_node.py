# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A node of its own ends with its block, however that ends."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from sast_ros.errors import SettingError
from sast_ros.ros import qos
from sast_ros.ros.own_node import full_service, own_node


def test_an_executor_that_the_collector_has_finalised_first_is_shut_down(ros_domain):
    own = own_node('left_open')
    node, executor = own.__enter__()
    executor.__del__()
    own.__exit__(None, None, None)
    assert not node.context.ok()
    executor._sigint_gc = None  # the collector calls it only once


@pytest.mark.parametrize('name', ['events', 'detections', 'enable'])
def test_a_name_that_is_remapped_to_one_that_is_too_long_is_told(ros_domain, name):
    with (
        own_node('remapped', ['-r', f'{name}:=/{"a" * 300}']) as (node, _),
        pytest.raises(SettingError, match=f'{name}.*length') as raised,
    ):
        if name == 'events':
            qos.read_subscription_qos(node, name, 10)
        elif name == 'detections':
            qos.create_publisher(node.create_publisher, DiagnosticArray, name, qos.DETECTIONS)
        else:
            full_service(node, name)
    assert '/src/' not in str(raised.value)
