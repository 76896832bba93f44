# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
QoS: the subscription follows the publishers, the publishers offer what consumers request.

Both can be overridden by parameters ``qos_overrides./TOPIC.publisher.POLICY`` and
``qos_overrides./TOPIC.subscription.POLICY``, as in other nodes of ROS 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sast_ros.errors import SettingError
from sast_ros.events import EVENT_TYPES
from sast_ros.ros.own_node import full_topic
from sast_ros.ros.parameters import AUTO
from sast_ros.ros.rclpy_compat import rcl_reason, RCLError

AnyPublisher = TypeVar('AnyPublisher', bound=Publisher)

#: Policies that parameters may override.
_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)

#: Detections: keep last, reliable, volatile, and deep enough for slow subscribers.
DETECTIONS = QoSProfile(depth=100)

#: label_info and vision_info: published once, delivered to late subscribers.
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

#: Status, as publishers of it usually offer.
DIAGNOSTICS = QoSProfile(depth=10)

#: Pictures and the like for viewers: only the newest.
VIEWERS = QoSProfile(depth=2)


def create_publisher(
    create: Callable[..., AnyPublisher], message_class: type, topic: str, profile: QoSProfile
) -> AnyPublisher:
    """
    Return a publisher whose QoS the parameters may override.

    Parameters
    ----------
    create : callable
        ``create_publisher`` or ``create_lifecycle_publisher`` of a node.
    message_class : type
        Class of the messages.
    topic : str
        Name of the topic.
    profile : QoSProfile
        QoS where nothing is overridden.

    Raises
    ------
    SettingError
        A value that a policy cannot have, or a name that no topic can have.

    """
    options = QoSOverridingOptions(_POLICIES)
    try:
        # rclpy writes into the profile
        return create(message_class, topic, copy.copy(profile), qos_overriding_options=options)
    except RCLError as error:
        raise SettingError(
            f'no publisher of {topic} with its remapping and qos_overrides: {rcl_reason(error)}'
        ) from error
    except (ParameterException, RuntimeError, AssertionError, ValueError) as error:
        raise SettingError(f'qos_overrides of the publisher of {topic}: {error}') from error


@dataclass(frozen=True)
class SubscriptionQos:
    """
    QoS of a subscription that follows its publishers.

    Attributes
    ----------
    depth : int
        Messages that are kept.
    history : HistoryPolicy
        Keep last or keep all.
    reliability, durability : policy or None
        ``None`` to follow the publishers.

    """

    depth: int
    history: HistoryPolicy = HistoryPolicy.KEEP_LAST
    reliability: ReliabilityPolicy | None = None
    durability: DurabilityPolicy | None = None

    def request(self, publishers: Iterable[TopicEndpointInfo]) -> QoSProfile:
        """
        Return the strictest profile that all the publishers satisfy.

        Reliable if all publishers are reliable, transient-local if all are; a stricter
        subscription would not match the others. Reliable and volatile without any.
        """
        profiles = [publisher.qos_profile for publisher in publishers]
        reliable = {profile.reliability for profile in profiles} <= {ReliabilityPolicy.RELIABLE}
        kinds = {profile.durability for profile in profiles}
        latched = kinds == {DurabilityPolicy.TRANSIENT_LOCAL}
        return QoSProfile(
            depth=self.depth,
            history=self.history,
            reliability=self.reliability
            or (ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT),
            durability=self.durability
            or (DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
        )


def read_subscription_qos(node: Node, topic: str, depth: int) -> SubscriptionQos:
    """
    Return the QoS of the subscription to a topic; its parameters are declared the first time.

    Raises
    ------
    SettingError
        A value that a policy cannot have, or a name that no topic can have.

    """
    name = f'qos_overrides.{full_topic(node, topic)}.subscription'
    reliability = ('reliable', 'best_effort')
    durability = ('volatile', 'transient_local')
    return SubscriptionQos(
        _override(node, f'{name}.depth', 0, range(1, 1 << 31)) or depth,
        HistoryPolicy[_override(node, f'{name}.history', 'keep_last', ('keep_all',)).upper()],
        _policy(ReliabilityPolicy, _override(node, f'{name}.reliability', AUTO, reliability)),
        _policy(DurabilityPolicy, _override(node, f'{name}.durability', AUTO, durability)),
    )


def _override(node: Node, name: str, default: Any, others: Sequence[Any]) -> Any:
    """Return the value of a parameter, which is declared if it is not."""
    from rcl_interfaces.msg import ParameterDescriptor

    meaning = "'auto' follows the publishers" if default == AUTO else 'QoS of the subscription'
    if default == 0:
        meaning = '0 takes the default; for events that is input.queue_depth'
    descriptor = ParameterDescriptor(description=f'{meaning}.', read_only=True)
    try:
        if not node.has_parameter(name):
            node.declare_parameter(name, default, descriptor)
        value = node.get_parameter(name).value
    except ParameterException as error:
        raise SettingError(f'parameter {name}: {error}') from error
    if value != default and value not in others:
        allowed = ', '.join(map(repr, (default, *others))) if isinstance(others, tuple) else '>= 0'
        raise SettingError(f'parameter {name} is {value!r}; it must be {allowed}')
    return value


def _policy(kind: Any, name: str) -> Any:
    return None if name == AUTO else kind[name.upper()]


def same_requests(one: QoSProfile, other: QoSProfile) -> bool:
    """Return whether two profiles match the same publishers."""
    return (one.reliability, one.durability) == (other.reliability, other.durability)


def is_satisfied(profile: QoSProfile, by: QoSProfile) -> bool:
    """Return whether publishers that satisfy one request satisfy another one too."""
    return (
        profile.reliability != ReliabilityPolicy.RELIABLE
        or by.reliability == ReliabilityPolicy.RELIABLE
    ) and (
        profile.durability != DurabilityPolicy.TRANSIENT_LOCAL
        or by.durability == DurabilityPolicy.TRANSIENT_LOCAL
    )


def as_volatile(profile: QoSProfile, depth: int = 0) -> QoSProfile:
    """Return a profile without what is latched, of another depth if one is given."""
    changed = copy.copy(profile)
    changed.durability = DurabilityPolicy.VOLATILE
    if depth:
        changed.history, changed.depth = HistoryPolicy.KEEP_LAST, depth
    return changed


def describe(profile: QoSProfile) -> str:
    """Return a profile in words, for log and diagnostics."""
    history = profile.history.name
    if profile.history == HistoryPolicy.KEEP_LAST:
        history += f' {profile.depth}'
    words = f'{profile.reliability.name}, {profile.durability.name}, {history}'
    return words.lower().replace('_', ' ')


def choose_type(
    wanted: str, publishers: Sequence[TopicEndpointInfo], present: str = ''
) -> str | None:
    """
    Return the message type to subscribe with, ``None`` if there is no publisher of it.

    ``wanted``: ``'auto'`` for the ``present`` type as long as it is published, else the first of
    ``EVENT_TYPES`` that is; or one of them.
    """
    offered = {publisher.topic_type for publisher in publishers}
    types = (present, *EVENT_TYPES) if wanted == AUTO else (wanted,)
    return next((name for name in types if name in offered), None)
