# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The one path from events to detections, in two halves for two threads.

``WindowCutter`` (windows.py) turns events into windows and belongs to the thread that receives;
``WindowDetector`` turns windows into detections and belongs to the thread that computes. The node
runs them in two threads, ``EventPipeline`` one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sast_ros.defaults import MAX_GAP_MS, STRIDE_MS, WINDOW_MS
from sast_ros.detector import Detections, step_together, StreamingDetector
from sast_ros.errors import SastError, SettingError
from sast_ros.events.chunk import EventChunk, refuse_sensor_size, SIZE_ADVICE
from sast_ros.events.filters import FilterChain
from sast_ros.histogram import StackedHistogram
from sast_ros.model import ModelConfig
from sast_ros.tracking import DEFAULT_TRACKING, Tracker, TrackingSettings
from sast_ros.windows import Alignment, EventWindow, microseconds, StreamStatistics, WindowCutter
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SensorGeometry:
    """
    How a sensor's pixels reach the network.

    A sensor of about the design size of the network is used unchanged. A larger one is sub-sampled
    by the integer that brings it nearest to the design size, keeping one pixel of every
    ``downsample`` x ``downsample`` as in the published 1 Mpx preprocessing, so that objects have
    the size of the training data. The input (and the partitions with it) is enlarged for the rest;
    a smaller sensor is padded with zeros at the bottom and the right.

    Attributes
    ----------
    height, width : int
        Sensor size in pixels.
    downsample : int
        Sensor pixels per histogram cell.
    input_size : tuple of int
        (height, width) of the padded network input.

    """

    height: int
    width: int
    downsample: int
    input_size: tuple[int, int]


def sensor_geometry(config: ModelConfig, sensor_size: tuple[int, int]) -> SensorGeometry:
    """
    Return how a sensor of (height, width) pixels is fitted to a network.

    Raises
    ------
    SettingError
        No sensor has this size, or a configured partition size does not divide the maps.

    """
    height, width = sensor_size
    reason = refuse_sensor_size(height, width)
    if reason:
        raise SettingError(
            f'a sensor of {width}x{height} pixels is not possible: {reason}; {SIZE_ADVICE}'
        )
    ratio = max(height / config.frame[0], width / config.frame[1])
    downsample = min(max(1, round(ratio)), height, width)
    input_size = config.padded_size((height // downsample, width // downsample))
    config.partitions(input_size)
    return SensorGeometry(height, width, downsample, input_size)


def default_sensor_size(config: ModelConfig) -> tuple[int, int]:
    """Return the (height, width) in pixels of the design sensor of a network."""
    height, width = config.frame
    return height * config.downsample, width * config.downsample


class WindowDetector:
    """
    Windows of one camera in, detections out.

    Parameters
    ----------
    detector : StreamingDetector
        Its state and its box scale belong to this object.
    tracker : Tracker, optional
        Gives the detections their ``track_ids``, and moves them on by ``lead_ms``; ``None`` where
        nothing is tracked.

    """

    def __init__(self, detector: StreamingDetector, tracker: Tracker | None = None) -> None:
        self.detector = detector
        self.tracker = tracker
        self.geometry: SensorGeometry | None = None

    def process(self, window: EventWindow) -> Detections:
        """
        Return the detections of a window; windows must be in order.

        An error in a step of the network or the tracker resets both.

        Raises
        ------
        DetectorError
            The network gave no usable output.

        """
        histogram = self.prepare(window)
        try:
            return self.complete(self.detector.step(histogram), window)
        except Exception:
            self.reset()
            raise

    def prepare(self, window: EventWindow) -> Tensor:
        """Return the histogram of a window, and bring the detector to where it begins."""
        if window.reset is not None:
            self.reset()
        size = (window.height, window.width)
        if self.geometry is None or size != (self.geometry.height, self.geometry.width):
            self._fit(size)
        return self._histogram(window.parts)

    def complete(self, detections: Detections, window: EventWindow) -> Detections:
        """Return what the detector found with the facts of the window and the tracks."""
        detections = replace(
            detections,
            t_start=window.t_start,
            t_end=window.t_end,
            stamp_ns=window.stamp_ns,
            frame_id=window.frame_id,
            events=len(window),
            reset=window.reset,
        )
        if self.tracker is None:
            return detections
        numbers = self.tracker.step(detections)
        return replace(detections, track_ids=numbers, boxes=self.tracker.lead(detections))

    def reset(self) -> None:
        """Zero the recurrent state and end all tracks."""
        self.detector.reset()
        if self.tracker is not None:
            self.tracker.reset()

    def _fit(self, size: tuple[int, int]) -> None:
        config = self.detector.config
        geometry = sensor_geometry(config, size)
        self._histogram = StackedHistogram(
            *size, bins=config.bins, downsample=geometry.downsample, device=self.detector.device
        )
        self.detector.downsample = geometry.downsample
        self.detector.sensor_size = size
        self.geometry = geometry  # last, so that the next window tries again after an error


def process_together(
    detectors: Sequence[WindowDetector], windows: Sequence[EventWindow]
) -> list[Detections | Exception]:
    """
    Return of a window of each camera what ``process`` would return or raise.

    See ``step_together``: cameras whose detectors share an engine share a step on a GPU.
    """
    results: dict[int, Detections | Exception] = {}
    histograms: dict[int, Tensor] = {}
    for index, (detector, window) in enumerate(zip(detectors, windows)):
        try:
            histograms[index] = detector.prepare(window)
        except Exception as error:
            results[index] = error
    ready = [detectors[index].detector for index in histograms]
    for index, found in zip(histograms, step_together(ready, list(histograms.values()))):
        try:
            if isinstance(found, Exception):
                raise found
            results[index] = detectors[index].complete(found, windows[index])
        except Exception as error:
            detectors[index].reset()
            results[index] = error
    return [results[index] for index in range(len(windows))]


class EventPipeline:
    """
    Events of one camera in, detections out.

    Parameters
    ----------
    detector : StreamingDetector
        Its state and its box scale belong to this pipeline.
    sensor_size : tuple of int, optional
        (height, width) in pixels of a camera whose events do not carry it; by default the design
        size of the network. Events outside it are left out. When the size that chunks carry
        changes, a new stream starts (reset reason ``'sensor_size'``).
    window_ms, stride_ms : float
        Integration time of a histogram and time from one step to the next, milliseconds of sensor
        time.
    max_gap_ms : float
        A longer time without events starts a new stream (reset reason ``'gap'``).
    event_filter : FilterChain, optional
        Removes events before they are in windows.
    align : {'first_event', 'epoch'}
        Where windows begin, see windows.py.
    tracking : TrackingSettings, optional
        Settings of the tracker; ``None`` for detections without ``track_ids``.

    Raises
    ------
    SettingError
        An impossible sensor size, time or alignment.

    """

    def __init__(
        self,
        detector: StreamingDetector,
        sensor_size: tuple[int, int] | None = None,
        window_ms: float = WINDOW_MS,
        stride_ms: float = STRIDE_MS,
        max_gap_ms: float = MAX_GAP_MS,
        event_filter: FilterChain | None = None,
        align: Alignment = 'first_event',
        tracking: TrackingSettings | None = DEFAULT_TRACKING,
    ) -> None:
        #: (height, width) of events that do not carry it.
        self.sensor_size = sensor_size or default_sensor_size(detector.config)
        sensor_geometry(detector.config, self.sensor_size)  # raises if impossible
        times = microseconds(window_ms, stride_ms, max_gap_ms)
        self.cutter = WindowCutter(
            *times, sensor_size=self.sensor_size, event_filter=event_filter, align=align
        )
        self._windows = WindowDetector(detector, Tracker(tracking) if tracking else None)

    @property
    def detector(self) -> StreamingDetector:
        """The detector with its settings."""
        return self._windows.detector

    @property
    def tracker(self) -> Tracker | None:
        """What gives the detections their ``track_ids``, with its tracks."""
        return self._windows.tracker

    @property
    def geometry(self) -> SensorGeometry | None:
        """How the sensor of the last window reaches the network."""
        return self._windows.geometry

    @property
    def statistics(self) -> StreamStatistics:
        """Counters of the events and windows."""
        return self.cutter.statistics

    def feed(self, chunk: EventChunk) -> Iterator[Detections]:
        """
        Add the next events and return the detections of the completed windows, in order.

        Raises
        ------
        SettingError
            A region or a mask of the filters does not fit the size of the sensor; the chunk is
            discarded.
        EventFormatError
            More than a third of all events were outside the sensor. It is raised behind the
            detections, and the stream continues with the next chunk.
        DetectorError
            The network gave no usable output for a window; its state was reset. It is raised
            behind the detections of the other windows.

        """
        for _, detections in self.steps(chunk):
            yield detections

    def steps(self, chunk: EventChunk) -> Iterator[tuple[EventWindow, Detections]]:
        """Do as ``feed``, and return each window with its detections."""
        yield from self._detect(self.cutter.cut(chunk))

    def finish(self) -> Iterator[tuple[EventWindow, Detections]]:
        """Return the windows that are complete when no more events follow, as ``steps``."""
        yield from self._detect(self.cutter.finish())

    def _detect(self, windows: Iterator[EventWindow]) -> Iterator[tuple[EventWindow, Detections]]:
        failed: SastError | None = None
        for window in windows:  # to the end: what is not cut would be lost
            try:
                detections = self._windows.process(window)
            except SastError as error:
                failed = failed or error
            else:
                yield window, detections
        if failed is not None:
            raise failed

    def set_timing(self, window_ms: float, stride_ms: float, max_gap_ms: float) -> None:
        """Change the timing, from the next window on and without a reset."""
        self.cutter.set_timing(*microseconds(window_ms, stride_ms, max_gap_ms))

    def reset(self, reason: str) -> None:
        """Discard pending events and, before the next window, the recurrent state."""
        self.cutter.restart(reason)
