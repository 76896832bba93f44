"""QoS: follow the publisher on the way in, promise what consumers expect on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sast_ros.events import EVENT_TYPES
from sast_ros.ros.parameters import AUTO

#: Detections: nobody should miss one, and a slow reader must not hold up the node.
DETECTIONS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)

#: label_info and vision_info: said once, heard by whoever comes later.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

#: Pictures for people: the newest ones count.
OVERLAY = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=2,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)


def events_qos(publishers: Iterable[TopicEndpointInfo], depth: int) -> QoSProfile:
    """
    Return the strictest profile that all the publishers satisfy, keeping ``depth`` messages.

    Reliable if all publishers are reliable, transient-local if all are; a single weaker one would
    not be heard at all by a stricter subscription.
    """
    profiles = [publisher.qos_profile for publisher in publishers]
    reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
    latched = all(
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles
    ) and bool(profiles)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def same_demands(one: QoSProfile, other: QoSProfile) -> bool:
    """Say whether two profiles match the same publishers."""
    return (one.reliability, one.durability) == (other.reliability, other.durability)


def describe(profile: QoSProfile) -> str:
    """Return a profile in words, for log and diagnostics."""
    words = [profile.reliability.name, profile.durability.name]
    return (
        ', '.join(word.lower().replace('_', ' ') for word in words)
        + f', keep last {profile.depth}'
    )


def choose_type(wanted: str, publishers: Sequence[TopicEndpointInfo]) -> str | None:
    """
    Return the message type to subscribe with, ``None`` if there is no publisher to be heard.

    ``wanted``: ``'auto'`` or one of ``EVENT_TYPES``. A topic with several of these types has the
    most preferred read.
    """
    offered = {publisher.topic_type for publisher in publishers}
    for name in EVENT_TYPES if wanted == AUTO else (wanted,):
        if name in offered:
            return name
    return None
