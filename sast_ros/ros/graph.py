# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detectors in the graph, for viewers: what each says of itself on /diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, fields

from diagnostic_msgs.msg import DiagnosticStatus

#: A detector whose last status is older is gone, seconds; it has one every second.
SILENCE_S = 5.0


@dataclass(frozen=True)
class DetectorTopics:
    """
    A detector, or one camera of it.

    Attributes
    ----------
    node : str
        Full name of the node.
    input, detections, label_info, overlay, token_mask : str
        Topics of its events, its detections, their classes, its pictures and where the network
        attends.

    """

    node: str
    input: str  # noqa: A003 - as the parameters that it belongs to
    detections: str
    label_info: str
    overlay: str
    token_mask: str


def topics_of(status: DiagnosticStatus, topic: str) -> DetectorTopics | None:
    """
    Return the topics of the camera that a status is of.

    ``None`` if it is of none, or of one that neither reads ``topic`` nor publishes its detections
    on it. Names of topics say nothing of that, as each may be remapped.
    """
    values = {pair.key: pair.value for pair in status.values}
    own = {
        field.name: values.get(f'{field.name} topic', '')
        for field in fields(DetectorTopics)
        if field.name != 'node'
    }
    if not all(own.values()) or topic not in (own['input'], own['detections']):
        return None
    return DetectorTopics(f'/{status.name.partition(": ")[0]}', **own)


def waiting_for(topic: str) -> str:
    """Return what a viewer says as long as there is no detector of a topic."""
    return f'waiting for a detector that reads or publishes {topic}'
