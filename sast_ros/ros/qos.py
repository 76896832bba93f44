# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""QoS: the subscription follows the publishers, the publishers offer what consumers request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sast_ros.events import EVENT_TYPES
from sast_ros.ros.parameters import AUTO

#: Detections: keep last, reliable, volatile, and deep enough for slow subscribers.
DETECTIONS = QoSProfile(depth=100)

#: label_info and vision_info: published once, delivered to late subscribers.
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

#: Pictures for viewers: only the newest.
OVERLAY = QoSProfile(depth=2)


def events_qos(publishers: Iterable[TopicEndpointInfo], depth: int) -> QoSProfile:
    """
    Return the strictest profile that all the publishers satisfy, keeping ``depth`` messages.

    Reliable if all publishers are reliable, transient-local if all are; a stricter subscription
    would not match the others.
    """
    profiles = [publisher.qos_profile for publisher in publishers]
    reliable = {profile.reliability for profile in profiles} <= {ReliabilityPolicy.RELIABLE}
    latched = {profile.durability for profile in profiles} == {DurabilityPolicy.TRANSIENT_LOCAL}
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def same_requests(one: QoSProfile, other: QoSProfile) -> bool:
    """Return whether two profiles match the same publishers."""
    return (one.reliability, one.durability) == (other.reliability, other.durability)


def describe(profile: QoSProfile) -> str:
    """Return a profile in words, for log and diagnostics."""
    words = f'{profile.reliability.name}, {profile.durability.name}, keep last {profile.depth}'
    return words.lower().replace('_', ' ')


def choose_type(wanted: str, publishers: Sequence[TopicEndpointInfo]) -> str | None:
    """
    Return the message type to subscribe with, ``None`` if there is no publisher of it.

    ``wanted``: ``'auto'`` for the first of ``EVENT_TYPES`` that is published, or one of them.
    """
    offered = {publisher.topic_type for publisher in publishers}
    types = EVENT_TYPES if wanted == AUTO else (wanted,)
    return next((name for name in types if name in offered), None)
