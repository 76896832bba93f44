"""The one path from events to detections, for the node, the replayer and the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sast_ros.detector import Detections, StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError, MAX_SENSOR_SIDE
from sast_ros.histogram import StackedHistogram
from sast_ros.model import ModelConfig
from sast_ros.windows import EventWindow, StreamStatistics, WindowCutter


@dataclass(frozen=True, slots=True)
class SensorGeometry:
    """
    How a sensor's pixels reach the network.

    A sensor of about the size that the network was designed for is taken as it is. A larger one is
    sub-sampled by the integer that brings it nearest to the design size, keeping one pixel of
    every ``downsample`` x ``downsample`` as in the published 1 Mpx preprocessing, so that objects
    have the size in cells that the network knows. What then is not covered by the design input
    enlarges the input (and the partitions with it); a smaller sensor is padded with zeros at the
    bottom and the right.

    ``height``, ``width``: sensor; ``downsample``: sensor pixels per cell; ``input_size``: padded
    network input (height, width).
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
    ValueError: a side below 1 or above ``MAX_SENSOR_SIDE``, or a configured partition size that
        does not divide the maps.

    """
    height, width = sensor_size
    if not (1 <= height <= MAX_SENSOR_SIDE and 1 <= width <= MAX_SENSOR_SIDE):
        raise SettingError(
            f'a sensor of {width}x{height} pixels is not possible; give its size as (height, '
            f'width), each between 1 and {MAX_SENSOR_SIDE}'
        )
    ratio = max(height / config.frame[0], width / config.frame[1])
    downsample = min(max(1, round(ratio)), height, width)
    input_size = config.padded_size((height // downsample, width // downsample))
    config.partitions(input_size)
    return SensorGeometry(height, width, downsample, input_size)


class EventPipeline:
    """
    Events of one camera in, detections out.

    Parameters
    ----------
    detector: its state and its box scale belong to this pipeline from now on.
    sensor_size: (height, width) in pixels of a camera whose events do not tell it; ``None``
        assumes the size that the network was designed for, and events outside it are an error.
        Where chunks tell their size, that holds; when it changes a new stream starts (reset reason
        ``'sensor_size'``).
    window_ms, stride_ms: integration time of a histogram and time from one step to the next,
        milliseconds of sensor time.
    max_gap_ms: a silence longer than this starts a new stream (reset reason ``'gap'``).

    Raises
    ------
    ValueError: an impossible sensor size or time.

    """

    def __init__(
        self,
        detector: StreamingDetector,
        sensor_size: tuple[int, int] | None = None,
        window_ms: float = 50,
        stride_ms: float = 50,
        max_gap_ms: float = 1000,
    ) -> None:
        self.detector = detector
        self._windows = WindowCutter(*_microseconds(window_ms, stride_ms, max_gap_ms))
        config = detector.config
        height, width = (side * config.downsample for side in config.frame)
        self._untold_size = sensor_size or (height, width)
        sensor_geometry(config, self._untold_size)  # raises if impossible
        self._histogram: StackedHistogram | None = None
        self.geometry: SensorGeometry | None = None

    @property
    def statistics(self) -> StreamStatistics:
        """Counts of what went in since the pipeline was made."""
        return self._windows.statistics

    def feed(self, chunk: EventChunk) -> Iterator[Detections]:
        """
        Add the next events of the stream and return the detections of the completed windows.

        They come in the order of the windows.

        Raises
        ------
        EventFormatError: events outside the sensor.

        """
        for window in self.cut(chunk):
            yield self.process(window)

    def cut(self, chunk: EventChunk) -> Iterator[EventWindow]:
        """
        Do the first, cheap half of ``feed``: return the windows that these events complete.

        Raises
        ------
        EventFormatError: events outside the sensor; none of the chunk is taken and the stream goes
            on with the next one.

        """
        if not chunk.width and len(chunk):
            _check_inside(chunk, *self._untold_size)
        return self._windows.cut(chunk)

    def process(self, window: EventWindow) -> Detections:
        """
        Do the second half of ``feed``: histogram, network and boxes of one window.

        Windows must come in order.
        """
        size = (window.height, window.width) if window.width else self._untold_size
        if window.reset is not None:
            self.detector.reset()
        reset = window.reset
        geometry, histogram = self.geometry, self._histogram
        if geometry is None or histogram is None or (geometry.height, geometry.width) != size:
            if geometry is not None and reset is None:
                self.detector.reset()
                reset = 'sensor_size'
            histogram = self._fit(size)
        detections = self.detector.step(histogram(window.parts))
        return replace(
            detections,
            t_start=window.t_start,
            t_end=window.t_end,
            stamp_ns=window.stamp_ns,
            frame_id=window.frame_id,
            events=len(window),
            reset=reset,
        )

    @property
    def window_ms(self) -> float:
        """Integration time of a histogram."""
        return self._windows.duration_us / 1000

    @property
    def stride_ms(self) -> float:
        """Time from one step to the next."""
        return self._windows.stride_us / 1000

    def set_timing(self, window_ms: float, stride_ms: float, max_gap_ms: float) -> None:
        """
        Change the timing.

        Window and stride take effect from the next window on, without a reset.
        """
        self._windows.set_timing(*_microseconds(window_ms, stride_ms, max_gap_ms))

    def reset(self, reason: str) -> None:
        """Forget pending events and, before the next window, the recurrent state."""
        self._windows.restart(reason)

    def _fit(self, size: tuple[int, int]) -> StackedHistogram:
        geometry = sensor_geometry(self.detector.config, size)
        self.detector.downsample = geometry.downsample
        self.detector.sensor_size = size
        histogram = StackedHistogram(
            *size,
            bins=self.detector.config.bins,
            downsample=geometry.downsample,
            device=self.detector.device,
        )
        self.geometry, self._histogram = geometry, histogram
        return histogram


def _microseconds(window_ms: float, stride_ms: float, max_gap_ms: float) -> tuple[int, int, int]:
    return round(1000 * window_ms), round(1000 * stride_ms), round(1000 * max_gap_ms)


def _check_inside(chunk: EventChunk, height: int, width: int) -> None:
    for name, values, size in (('x', chunk.x, width), ('y', chunk.y, height)):
        if int(values.max()) >= size:
            index = int((values >= size).argmax())
            raise EventFormatError(
                f'event {index} has {name} = {int(values[index])}, outside the sensor of '
                f'{width}x{height} pixels; '
                'give the sensor size of the camera that recorded it',
                field=name,
                offset=index,
            )
