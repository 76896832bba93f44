# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters and life cycle of the node without what rclpy has not had in Humble yet."""

from __future__ import annotations

from system.test_lifecycle import test_every_transition_is_taken_and_reported  # noqa: F401
from system.test_live_parameters import (  # noqa: F401
    test_a_refused_change_changes_nothing,
    test_detections_follow_the_parameters_between_two_windows,
    test_filters_change_while_the_node_detects,
    test_stride_and_duration_change_without_a_reset,
)

# By comparison of rclpy 3.3.15 (Humble) and 7.1.6 (Jazzy), without what rclpy itself needs.
PROGRAM = (
    '-c',
    """
import sys
from rclpy.node import Node
from rclpy.subscription import Subscription

for name in (
    'add_post_set_parameters_callback',
    'add_pre_set_parameters_callback',
    'remove_post_set_parameters_callback',
    'remove_pre_set_parameters_callback',
    'count_clients',
    'count_services',
    'get_fully_qualified_node_names',
    'wait_for_node',
):
    delattr(Node, name)
del Subscription.get_publisher_count

from sast_ros.ros.detector_node import main

sys.exit(main())
""",
)
