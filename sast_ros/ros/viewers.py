# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a camera publishes for people: pictures, markers, events as points, annotations.

The worker hands a window over when its detections are published; a thread of low priority makes
the messages that somebody listens to. A window that comes while it does replaces the one that
waits, so that no viewer ever delays a detection.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass
import functools
import os
import threading
from typing import Any, TYPE_CHECKING

import numpy as np
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sast_ros.detections import Detections, TokenMap
from sast_ros.errors import escape_controls, format_error
from sast_ros.ros import messages, qos
from sast_ros.ros.parameters import OverlaySettings
from sast_ros.tracking import Trails
from sast_ros.windows import EventWindow
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

if TYPE_CHECKING:  # torch takes seconds to import
    from sast_ros.detector import SelectedTokens

#: Niceness of the thread, as of nice(1).
_NICENESS = 10


@dataclass(frozen=True, eq=False)
class View:
    """
    One window with all that viewers may want of it.

    Attributes
    ----------
    window : EventWindow
        The events.
    detections : Detections
        What was found.
    selected : SelectedTokens
        What the network attended to.
    settings : OverlaySettings
        Layers and theme.
    untrained : bool
        Whether the weights are random.
    trails : dict of int to numpy.ndarray
        Of ``Trails``.

    """

    window: EventWindow
    detections: Detections
    selected: SelectedTokens
    settings: OverlaySettings
    untrained: bool
    trails: dict[int, np.ndarray]

    def stamped(self, build: Callable[..., Any], content: Any) -> Any:
        """Return a message with stamp and frame of the detections."""
        return build(content, self.window.stamp_ns, self.detections.frame_id)

    @functools.cached_property
    def tokens(self) -> TokenMap:
        """Where stage 1 of the network attended."""
        return self.selected.token_map()

    @functools.cached_property
    def overlay(self) -> np.ndarray:
        """The picture with its layers, ``uint8[height, width, 3]``."""
        from sast_ros.visualization import draw_overlay, OverlayStyle, UNTRAINED_NOTE

        found, layers = self.detections, tuple(filter(None, self.settings.layers))
        return draw_overlay(
            self.window,
            found,
            found.height,
            found.width,
            note=UNTRAINED_NOTE if self.untrained else '',
            style=OverlayStyle(layers, self.settings.theme),
            tokens=self.tokens if 'tokens' in layers else None,
            trails=self.trails,
        )

    @property
    def token_mask(self) -> np.ndarray:
        """Where stage 1 attended, ``uint8[height, width]``, see ``messages.MASK_STEP``."""
        return self.tokens.mask(self.detections.height, self.detections.width) * messages.MASK_STEP

    @property
    def event_image(self) -> np.ndarray:
        """The events alone, ``uint8[height, width, 3]``."""
        from sast_ros.visualization import draw_events, THEMES

        found, theme = self.detections, THEMES[self.settings.theme]
        return draw_events(self.window.parts, found.height, found.width, theme=theme)


def _markers(view: View) -> MarkerArray:
    from sast_ros.ros.markers import marker_array

    return marker_array(view.detections, view.window.stamp_ns)


def _event_cloud(view: View) -> PointCloud2:
    window = view.window
    return messages.event_cloud(
        window.parts, window.t_end, window.stamp_ns, view.detections.frame_id
    )


def _annotations(view: View) -> Any:
    from sast_ros.visualization.annotations import image_annotations

    found, stamp_ns, theme = view.detections, view.window.stamp_ns, view.settings.theme
    return image_annotations(found, stamp_ns, messages.message_class, theme)


#: Type of each topic, and what makes a message of a window.
TOPICS: dict[str, tuple[type, Callable[[View], Any]]] = {
    'overlay': (Image, lambda view: view.stamped(messages.image, view.overlay)),
    'overlay/compressed': (
        CompressedImage,
        lambda view: view.stamped(messages.compressed_image, view.overlay),
    ),
    'event_image': (Image, lambda view: view.stamped(messages.image, view.event_image)),
    'token_mask': (Image, lambda view: view.stamped(messages.image, view.token_mask)),
    'markers': (MarkerArray, _markers),
    'event_cloud': (PointCloud2, _event_cloud),
}
try:
    from foxglove_msgs.msg import ImageAnnotations
except ImportError:  # an optional package
    pass
else:
    TOPICS['annotations'] = (ImageAnnotations, _annotations)


class Viewers:
    """
    The topics for viewers of one camera.

    Parameters
    ----------
    create : callable
        Returns a publisher of a message class, a topic and a QoS.
    logger : object
        Logger of the node.
    is_running : callable
        Returns False once the program ends.

    Attributes
    ----------
    published : int
        Messages that were made.

    """

    def __init__(
        self,
        create: Callable[[type, str, QoSProfile], Publisher],
        logger: Any,
        is_running: Callable[[], bool],
    ) -> None:
        self._publishers = {
            topic: create(message_class, topic, qos.VIEWERS)
            for topic, (message_class, _) in TOPICS.items()
        }
        self._logger, self._is_running = logger, is_running
        self._trails = Trails()
        self._failed: set[str] = set()
        self._condition = threading.Condition()
        self._waiting: Callable[[], View] | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.published = 0

    def show(
        self,
        window: EventWindow,
        detections: Detections,
        selected: SelectedTokens,
        settings: OverlaySettings,
        untrained: bool,
    ) -> None:
        """Hand a window over if anybody listens; see ``View``."""
        if not any(map(self._is_wanted, TOPICS)):
            return

        def view() -> View:
            trails = self._trails.update(detections)
            return View(window, detections, selected, settings, untrained, trails)

        with self._condition:
            self._waiting = view
            self._condition.notify()
        if self._thread is None:
            self._stopped = False
            self._thread = threading.Thread(target=self._run, name='sast_viewers', daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish the present message and end the thread; ``show`` starts it again."""
        if self._thread is None:
            return
        with self._condition:
            self._stopped = True
            self._waiting = None
            self._condition.notify()
        self._thread.join()
        self._thread = None

    def _is_wanted(self, topic: str) -> bool:
        return self._publishers[topic].get_subscription_count() > 0

    def _run(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # where threads have no priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._waiting is not None)
                waiting, self._waiting = self._waiting, None
            if waiting is None:
                return
            view = self._try('viewers', waiting)
            for topic, (_, build) in TOPICS.items() if view is not None else ():
                self._try(topic, functools.partial(self._publish, topic, build, view))

    def _publish(self, topic: str, build: Callable[[View], Any], view: View) -> None:
        if self._is_wanted(topic) and not self._stopped:
            self._publishers[topic].publish(build(view))
            self.published += 1

    def _try(self, topic: str, do: Callable[[], Any]) -> Any:
        """Let a failure cost a viewer one message, and the detector nothing."""
        try:
            return do()
        except Exception as error:
            # Nothing can be published any more where the program ends
            if topic not in self._failed and self._is_running():
                self._failed.add(topic)
                sentence = escape_controls(format_error(error))
                self._logger.warning(f'nothing on {topic}: {sentence}')
            return None
