# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""QoS and type follow the publishers."""

from __future__ import annotations

from itertools import chain, combinations, product
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sast_ros.events import EVENT_TYPES  # noqa: E402
from sast_ros.ros import qos  # noqa: E402
from sast_ros.ros.qos import choose_type, describe, SubscriptionQos  # noqa: E402

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
VOLATILE, LATCHED = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL
PACKET, ARRAY = EVENT_TYPES[:2]


def events_qos(publishers, depth):
    return SubscriptionQos(depth).request(publishers)


def publisher(reliability=RELIABLE, durability=VOLATILE, topic_type=PACKET):
    profile = QoSProfile(depth=1, reliability=reliability, durability=durability)
    return SimpleNamespace(qos_profile=profile, topic_type=topic_type)


@pytest.mark.parametrize(
    ('publishers', 'reliability', 'durability'),
    [
        ([publisher()], RELIABLE, VOLATILE),
        ([publisher(BEST_EFFORT)], BEST_EFFORT, VOLATILE),
        ([publisher(), publisher(BEST_EFFORT)], BEST_EFFORT, VOLATILE),
        ([publisher(RELIABLE, LATCHED)], RELIABLE, LATCHED),
        ([publisher(RELIABLE, LATCHED), publisher()], RELIABLE, VOLATILE),
        ([publisher(BEST_EFFORT, LATCHED), publisher(RELIABLE, LATCHED)], BEST_EFFORT, LATCHED),
    ],
)
def test_the_strictest_profile_that_hears_all(publishers, reliability, durability):
    profile = events_qos(publishers, 1000)
    assert (profile.reliability, profile.durability) == (reliability, durability)
    assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, 1000)


def test_depth_is_no_demand():
    assert qos.same_requests(events_qos([publisher()], 10), events_qos([publisher()], 1000))
    assert not qos.same_requests(
        events_qos([publisher()], 10), events_qos([publisher(BEST_EFFORT)], 10)
    )


def test_a_request_that_all_publishers_satisfy_need_not_change():
    offered = [publisher(*each) for each in product((RELIABLE, BEST_EFFORT), (VOLATILE, LATCHED))]
    for some in chain(*(combinations(offered, count) for count in range(1, 5))):
        strictest = events_qos(some, 10)
        for one in offered:
            weak = one.qos_profile
            matches = all(
                (weak.reliability == BEST_EFFORT or each.qos_profile.reliability == RELIABLE)
                and (weak.durability == VOLATILE or each.qos_profile.durability == LATCHED)
                for each in some
            )
            assert qos.is_satisfied(weak, strictest) == matches


def test_parameters_override_what_follows_the_publishers():
    wanted = SubscriptionQos(5, HistoryPolicy.KEEP_ALL, BEST_EFFORT)
    profile = wanted.request([publisher(RELIABLE, LATCHED)])
    assert (profile.reliability, profile.durability) == (BEST_EFFORT, LATCHED)
    assert describe(profile) == 'best effort, transient local, keep all'
    assert describe(
        SubscriptionQos(5, durability=VOLATILE).request([publisher(RELIABLE, LATCHED)])
    ) == ('reliable, volatile, keep last 5')


def test_a_profile_in_words():
    assert (
        describe(events_qos([publisher(BEST_EFFORT, LATCHED)], 7))
        == 'best effort, transient local, keep last 7'
    )


@pytest.mark.parametrize(
    ('wanted', 'offered', 'chosen'),
    [
        ('auto', [], None),
        ('auto', ['std_msgs/msg/String'], None),
        ('auto', [ARRAY], ARRAY),
        ('auto', [ARRAY, PACKET], PACKET),
        (ARRAY, [ARRAY, PACKET], ARRAY),
        (ARRAY, [PACKET], None),
    ],
)
def test_the_type_is_that_of_a_publisher(wanted, offered, chosen):
    assert choose_type(wanted, [publisher(topic_type=name) for name in offered]) == chosen


def test_a_type_that_joins_later_does_not_replace_the_present_one():
    both = [publisher(topic_type=name) for name in (ARRAY, PACKET)]
    assert choose_type('auto', both, ARRAY) == ARRAY
    assert choose_type('auto', both[1:], ARRAY) == PACKET
    assert choose_type('auto', both, '') == PACKET
