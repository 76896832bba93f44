# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events, detections and figures of a run for the viewer Foxglove (package ``foxglove-sdk``).

A websocket server (protocol: https://github.com/foxglove/ws-protocol) offers the topics of the
node under their names and types, so that a layout of Foxglove serves both. What nobody has
subscribed to is neither drawn nor encoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
import json
from typing import Any

import foxglove
from sast_ros.bags.definitions import message_types
from sast_ros.bags.detections import detection_message, DETECTIONS_TOPIC, window_stamp_ns
from sast_ros.defaults import OVERLAY_LAYERS
from sast_ros.detections import Detections, DETECTIONS_TYPE, TokenMap
from sast_ros.errors import SastError
from sast_ros.process import reachable_host
from sast_ros.tracking.trails import Trails
from sast_ros.visualization.annotations import (
    annotations_message,
    ANNOTATIONS_TOPIC,
    ANNOTATIONS_TYPE,
    COMPRESSED_IMAGE_TYPE,
    EVENT_IMAGE_TOPIC,
    image_message,
)
from sast_ros.visualization.overlay import draw_events, draw_overlay, OverlayStyle
from sast_ros.visualization.window_log import event_rate
from sast_ros.windows import EventWindow

OVERLAY_TOPIC = '/overlay/compressed'
FIGURES_TOPIC = '/figures'

#: Messages that wait for a slow client; of more the oldest are dropped.
MAX_WAITING = 32

STYLE = OverlayStyle(OVERLAY_LAYERS)

_TYPES = {
    EVENT_IMAGE_TOPIC: COMPRESSED_IMAGE_TYPE,
    ANNOTATIONS_TOPIC: ANNOTATIONS_TYPE,
    DETECTIONS_TOPIC: DETECTIONS_TYPE,
    OVERLAY_TOPIC: COMPRESSED_IMAGE_TYPE,
}
_NUMBER = {'type': 'number'}
_FIGURES = {
    'type': 'object',
    'title': 'sast_ros.Figures',
    'properties': {
        'event_rate_mev_s': _NUMBER,
        'latency_ms': _NUMBER,
        'kept_tokens_percent': {'type': 'array', 'items': _NUMBER},
    },
}


class FoxgloveError(SastError, OSError):
    """The address cannot be used."""


class FoxgloveLog:
    """
    A server for Foxglove, to which windows are written one by one, while a ``with`` block lasts.

    Parameters
    ----------
    host : str
        Address to listen on. Whoever reaches it can see everything, and change nothing.
    port : int
        Port to listen on; 0 for any free one.
    style : OverlayStyle
        Layers of the overlay, and the colours of all pictures.

    Raises
    ------
    FoxgloveError
        The address cannot be used, when the block is entered.

    """

    def __init__(self, host: str, port: int, style: OverlayStyle = STYLE) -> None:
        self._host, self._port, self._style = host, port, style
        self.encoded: Counter[str] = Counter()
        self._shift_ns: int | None = 0
        self._next_ns = 0
        self._trails = Trails()

    def __enter__(self) -> FoxgloveLog:
        """Start the server."""
        context = self._context = foxglove.Context()  # without it the channels are gone
        try:
            self._server = foxglove.start_server(
                name='sast_ros',
                host=self._host,
                port=self._port,
                context=context,
                message_backlog_size=MAX_WAITING,
            )
        except RuntimeError as error:
            reason = str(error).rpartition('Failed to bind port: ')[2]
            raise FoxgloveError(
                f'Foxglove cannot be served on port {self._port} of {self._host} ({reason}); '
                'choose others with --port and --host'
            ) from error
        types = message_types()
        self._channels = {
            FIGURES_TOPIC: foxglove.Channel(FIGURES_TOPIC, schema=_FIGURES, context=context)
        }
        for topic, name in _TYPES.items():
            definition, _ = types.generate_msgdef(name, ros_version=2)
            schema = foxglove.Schema(name=name, encoding='ros2msg', data=definition.encode())
            self._channels[topic] = foxglove.Channel(
                topic, message_encoding='cdr', schema=schema, context=context
            )
        self.url = f'ws://{reachable_host(self._host)}:{self._server.port}'
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server."""
        self._server.stop()

    @property
    def watched(self) -> bool:
        """Whether a client has subscribed to something."""
        return any(channel.has_sinks() for channel in self._channels.values())

    def repeat(self) -> None:
        """
        Begin a recording again: the times of the next window follow those of the last.

        Foxglove shows the newest picture and annotations with the same stamp.
        """
        self._shift_ns = None

    def log(
        self,
        window: EventWindow,
        detections: Detections,
        latency_ms: float | None = None,
        tokens: TokenMap | None = None,
    ) -> None:
        """Write a window with its detections, see ``WindowLog``."""
        stamp_ns = window_stamp_ns(detections)
        if self._shift_ns is None:
            self._shift_ns = self._next_ns - stamp_ns
        stamp_ns += self._shift_ns
        self._next_ns = stamp_ns + 1000 * (window.t_end - window.t_start)
        shown = replace(detections, stamp_ns=stamp_ns)
        height, width, style = shown.height, shown.width, self._style
        trails = self._trails.update(shown)  # unwatched too, so that none is of a pass before

        def picture() -> bytes:
            drawn = draw_events(window.parts, height, width, theme=style.colours)
            return image_message(drawn, shown, jpeg=True)

        def overlay() -> bytes:
            drawn = draw_overlay(
                window, shown, height, width, style=style, tokens=tokens, trails=trails
            )
            return image_message(drawn, shown, jpeg=True)

        makers: dict[str, Callable[[], bytes]] = {
            EVENT_IMAGE_TOPIC: picture,
            ANNOTATIONS_TOPIC: lambda: annotations_message(shown, style.theme),
            DETECTIONS_TOPIC: lambda: detection_message(shown),
            OVERLAY_TOPIC: overlay,
            FIGURES_TOPIC: lambda: _figures(window, shown, latency_ms),
        }
        for topic, make in makers.items():
            channel = self._channels[topic]
            if channel.has_sinks():
                channel.log(make(), log_time=max(0, stamp_ns))
                self.encoded[topic] += 1


def _figures(window: EventWindow, detections: Detections, latency_ms: float | None) -> bytes:
    figures: dict[str, Any] = {
        'event_rate_mev_s': event_rate(window),
        'kept_tokens_percent': [100 * share.tokens for share in detections.kept],
    }
    if latency_ms is not None:
        figures['latency_ms'] = latency_ms
    return json.dumps(figures).encode()
