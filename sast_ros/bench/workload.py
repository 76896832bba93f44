# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events and weights to measure with, where there are no recordings and no trained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
import math
from pathlib import Path
import zlib

import numpy as np
from sast_ros.bags import open_recording, RecordingError
from sast_ros.bags.writers import MESSAGES
from sast_ros.defaults import MAX_GAP_MS, STRIDE_MS, WINDOW_MS
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk, open_decoder
from sast_ros.events.encoders import cut_packets, EventArrayEncoder, EventPacketEncoder
from sast_ros.windows import EventWindow, microseconds, WindowCutter
import torch

#: Pixels of the sensor to an event of a window: 7 to 9 % of the pixels are then active.
PIXELS_PER_EVENT = 8

#: ROS time of the first event of synthetic messages.
BEGIN_NS = 1_700_000_000 * 10**9

FRAME_ID = 'camera'

_SCENE_US = 200_000
_MAX_WINDOWS = 100  # of a recording; their events are kept

#: How near a density must be, and trials for it.
_NEAR, _MAX_TRIALS = 0.05, 30


@dataclass(frozen=True)
class Workload:
    """
    Messages as a camera sends them.

    Attributes
    ----------
    name : str
        Where they are from, for the reader.
    message_type : str
        Type of all messages.
    sensor_size : tuple of int
        (height, width) in pixels.
    messages : list of tuple
        Nanoseconds since the first message, at which it is sent, and the serialised message.

    """

    name: str
    message_type: str
    sensor_size: tuple[int, int]
    messages: list[tuple[int, bytes]]

    def windows(self) -> Iterator[tuple[EventWindow, int]]:
        """
        Cut the windows as the node does by default.

        Yields
        ------
        window : EventWindow
            The window.
        message : int
            Index of the message that holds its last event.

        """
        decode = open_decoder(self.message_type)
        cutter = make_cutter(self.sensor_size)
        for index, (_, raw) in enumerate(self.messages):
            chunk = decode(raw)
            for window in cutter.cut(chunk):
                yield window, index if chunk.t[0] <= window.t_end else index - 1


def make_cutter(sensor_size: tuple[int, int]) -> WindowCutter:
    """Return a cutter of windows with the default timing."""
    times = microseconds(WINDOW_MS, STRIDE_MS, MAX_GAP_MS)
    return WindowCutter(*times, sensor_size=sensor_size)


def synthetic_workload(
    sensor_size: tuple[int, int],
    seconds: float,
    rate: float | None = None,
    message_type: str = 'EventPacket',
) -> Workload:
    """
    Return messages with the events of ``edge_stream``, each of 4 ms.

    Parameters
    ----------
    sensor_size : tuple of int
        (height, width) in pixels.
    seconds : float
        Length.
    rate : float, optional
        Events a second; by default an eighth of the number of pixels in 50 ms.
    message_type : {'EventPacket', 'EventArray'}, optional
        An EventPacket is encoded in EVT 3.0.

    """
    height, width = sensor_size
    if rate is None:
        rate = height * width / PIXELS_PER_EVENT / (WINDOW_MS / 1000)
    encoder = EventPacketEncoder if message_type == 'EventPacket' else EventArrayEncoder
    encode = encoder(width, height, FRAME_ID)
    messages = []
    for packet in edge_stream(sensor_size, seconds, rate):
        first, last = 1000 * int(packet.t[0]), 1000 * int(packet.t[-1])
        # Received when the last event has come
        messages.append((last, encode(packet, BEGIN_NS + first)))
    return Workload(
        f'synthetic edges, {rate / 1e6:.2f} Mev/s', MESSAGES[message_type], sensor_size, messages
    )


def recorded_workload(path: Path, topic: str | None = None) -> Workload:
    """
    Return the messages of the first hundred windows of a recording, or of all.

    Raises
    ------
    RecordingError
        It cannot be read, does not state its sensor size, or holds less than one window.

    """
    with open_recording(path, topic) as recording:
        messages: list[tuple[int, bytes]] = []
        last_us = first_us = 0
        decode = open_decoder(recording.message_type)
        for logged_ns, raw in recording.messages():
            chunk = decode(raw)
            if not len(chunk):
                continue
            first_us = first_us if messages else int(chunk.t[0])
            messages.append((logged_ns, raw))
            last_us = int(chunk.t[-1])
            if last_us - first_us > 1000 * (_MAX_WINDOWS * STRIDE_MS + WINDOW_MS):
                break
        if last_us - first_us <= 1000 * WINDOW_MS or recording.sensor_size is None:
            raise RecordingError(
                f'{recording.path} holds less than the {WINDOW_MS:g} ms of one window; give a '
                'longer recording'
            )
        begin_ns = messages[0][0]
        messages = [(logged_ns - begin_ns, raw) for logged_ns, raw in messages]
        return Workload(
            recording.path.name, recording.message_type, recording.sensor_size, messages
        )


def edge_stream(sensor_size: tuple[int, int], seconds: float, rate: float) -> Iterator[EventChunk]:
    """
    Yield events as a driver sends them, every 4 ms; a scene of 0.2 s is seen again and again.

    Parameters
    ----------
    sensor_size : tuple of int
        (height, width) in pixels.
    seconds : float
        Length.
    rate : float
        Events a second.

    """
    if rate < 1000:
        raise SettingError(f'{rate:g} events a second are too few to measure with; give 1000')
    count = round(rate * _SCENE_US / 1e6)
    scene = list(cut_packets(outlines(0, *sensor_size, count, _SCENE_US)))
    end = round(1e6 * seconds)
    for start in range(0, end, _SCENE_US):
        for packet in scene:
            if start + int(packet.t[-1]) < end:
                yield replace(packet, t=packet.t + start, checked=True)


def outlines(
    seed: int, height: int, width: int, count: int, duration_us: int = 50_000, rectangles: int = 8
) -> EventChunk:
    """
    Events on the edges of a few rectangles, plus 4 % noise.

    About 8 % of the pixels are active at 9000 events on Gen1.

    Parameters
    ----------
    seed : int
        Of all random numbers.
    height, width : int
        Sensor size in pixels.
    count : int
        Number of events.
    duration_us : int, optional
        Their times are from 0 to this, microseconds.
    rectangles : int, optional
        How many there are.

    """
    random = np.random.default_rng(seed)
    noise = count // 25
    edge = count - noise
    boxes = random.uniform([0, 0, 0.06, 0.06], [0.8, 0.8, 0.3, 0.3], (rectangles, 4)) * [
        width,
        height,
        width,
        height,
    ]
    left, top, w, h = boxes[random.integers(0, rectangles, edge)].T
    along, side = random.random(edge), random.integers(0, 4, edge)
    x = np.where(side < 2, left + w * (side % 2), left + w * along) + random.normal(0, 1.5, edge)
    y = np.where(side < 2, top + h * along, top + h * (side % 2)) + random.normal(0, 1.5, edge)
    columns = np.concatenate([np.clip(x, 0, width - 1), random.integers(0, width, noise)])
    rows = np.concatenate([np.clip(y, 0, height - 1), random.integers(0, height, noise)])
    polarity = random.integers(0, 2, count)
    times = np.sort(random.integers(0, duration_us, count))
    return EventChunk(
        columns.astype(np.uint16),
        rows.astype(np.uint16),
        polarity.astype(np.uint8),
        times,
        width=width,
        height=height,
    )


def windows_of_density(
    histogram: Callable[[EventChunk], torch.Tensor],
    sensor_size: tuple[int, int],
    active: float,
    count: int = 4,
) -> list[torch.Tensor]:
    """
    Return histograms of windows in which about this share of the cells has events.

    Parameters
    ----------
    histogram : callable
        ``StackedHistogram`` of the sensor.
    sensor_size : tuple of int
        (height, width) in pixels.
    active : float
        Share of the cells, at most about a half; that of the windows is within 5 % of it.
    count : int, optional
        Number of windows.

    """
    height, width = sensor_size
    covered = 2 * (height + width) / (height * width)  # by a rectangle, about
    rectangles = max(1, round(-1.5 * math.log(1 - active) / covered))
    events = active * height * width
    for _ in range(_MAX_TRIALS):
        made = [
            histogram(outlines(seed, height, width, round(events), rectangles=rectangles))
            for seed in range(count)
        ]
        share = active_share(made)
        if abs(share - active) < _NEAR * active:
            break
        events = max(events * active / share, 1.0)
    return made


def active_share(histograms: Sequence[torch.Tensor]) -> float:
    """Return the mean share of the cells that have events."""
    shares = [float((one > 0).any(dim=0).float().mean()) for one in histograms]
    return sum(shares) / len(shares)


def recipe_weights(model: torch.nn.Module, gain: float) -> dict[str, torch.Tensor]:
    """
    Weights made from the name of each tensor.

    Selections depend on the scene (those of untrained weights hardly do).

    Parameters
    ----------
    model : torch.nn.Module
        Network whose weights they shall be.
    gain : float
        Factor of the weights of FPN and head: 1.9 for tiny, 1.8 for base.

    """
    made = {}
    for name, tensor in model.state_dict().items():
        if name.endswith('num_batches_tracked'):
            continue
        shape = tuple(tensor.shape)
        u = 2 * np.random.RandomState(zlib.crc32(name.encode('ascii'))).random_sample(shape) - 1
        leaf = name.rsplit('.', 1)[-1]
        norm = '.norm' in name or '.bn.' in name
        if leaf == 'running_mean':
            value = 0.1 * u
        elif leaf == 'running_var':
            value = 1 + 0.3 * u
        elif norm:
            value = 1 + 0.2 * u if leaf == 'weight' else 0.1 * u
        elif leaf == 'gamma':
            value = 0.5 + 0.2 * u
        elif 'to_controls' in name:
            value = 1 + 0.2 * u
        elif leaf == 'weight':
            factor = gain if name.startswith('fpn.') or 'yolox_head.' in name else 1
            for part, special in (
                ('to_scores', 4),
                ('cls_preds.', 3),
                ('obj_preds.', 3),
                ('reg_preds.', 0.8),
            ):
                factor = special if part in name else factor
            value = factor * np.sqrt(3 / np.prod(shape[1:])) * u
        else:
            value = 0.1 * u - 1.5 * ('cls_preds' in name) - 2.5 * ('obj_preds' in name)
        made[name] = torch.from_numpy(
            value.astype(np.float32).astype(np.float16).astype(np.float32)
        )
    return made
