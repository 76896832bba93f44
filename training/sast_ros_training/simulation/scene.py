# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a sequence shows: a place, its light, a camera, and the bodies in front of it."""

from __future__ import annotations

from typing import NamedTuple

from sast_ros_training.simulation.actors import Actor
from sast_ros_training.simulation.motion import MovingCamera
from sast_ros_training.simulation.street import Light, Street


class Scene(NamedTuple):
    """
    A place with its camera and bodies.

    ``actors`` are the bodies that get a label, ``still`` those that never move, ``moving`` those
    that do and have no label.
    """

    light: Light
    street: Street
    camera: MovingCamera
    actors: list[Actor]
    still: list[Actor]
    moving: list[Actor]
