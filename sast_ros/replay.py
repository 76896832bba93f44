# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Replay of a recording through the event pipeline, without a middleware.

``replay_to_folder`` is used by the commands; ``replay`` is its loop, for other writers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
from dataclasses import dataclass, replace
import functools
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TYPE_CHECKING

import numpy as np
from sast_ros import defaults
from sast_ros.bags import DetectionWriter, Recording, RecordingError
from sast_ros.detections import Detections
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.filters import FilterChain
from sast_ros.output import check_place
from sast_ros.tracking import DEFAULT_TRACKING, TrackingSettings
from sast_ros.windows import Alignment, EventWindow, TimestampSource

if TYPE_CHECKING:  # torch takes seconds to import
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import SAST
    from sast_ros.pipeline import EventPipeline

VIDEO = 'overlay.mp4'
GIF = 'overlay.gif'

#: Called with ``(done, total, unit)``.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ReplayOptions:
    """
    Settings of a replay.

    Attributes
    ----------
    model, device : str
        As for ``choose_model``.
    window_ms, stride_ms, max_gap_ms : float
        Timing of the pipeline.
    align : {'first_event', 'epoch'}
        Where windows begin, see windows.py.
    timestamp_source : {'auto', 'header', 'receive'}
        Stamp of the detections, see windows.py; nothing is received here, so that the last is
        the first.
    precision : {'float32', 'bfloat16'}
        As for ``StreamingDetector``.
    partition_size : tuple of int
        Height and width of the attention partitions, tokens; (0, 0) for those of the model.
    sparsity : {'adaptive', 'dense', 'budget'}
        Mode of the token selection; for it, and ``amp``, ``bounce`` (``None`` for those of the
        model) and ``latency_budget_ms``, see ``StreamingDetector.configure_sparsity``.
    score_threshold, nms_iou : float
        As for ``StreamingDetector``.
    max_detections : int
        As for ``StreamingDetector``.
    classes : tuple of str
        Names of the classes to report; empty for all.
    class_id_format : {'name', 'index'}
        Content of ``hypothesis.class_id`` in ``detections.mcap``.
    score : {'product', 'class', 'uncalibrated'}
        Score of a detection: objectness x class probability, calibrated where the weights have a
        calibration; the class probability alone; or the product as the network gives it. With the
        last two the threshold is one of the product as the network gives it, too.
    tracking : TrackingSettings, optional
        Settings of the tracker; ``None`` for detections without numbers of objects.
    sensor_size : tuple of int, optional
        (height, width) in pixels instead of what the recording states.
    time_unit : {'auto', 's', 'ms', 'us', 'ns'}
        Unit of the times in PointCloud2.
    filters : tuple of str
        Filters of the events, as for ``FilterChain``.
    start, end : float
        Seconds since the first event, see ``replay``.
    threads : int, optional
        CPU threads of the network, which affect the last bits of sums; by default those of the
        process.
    video, gif : bool
        Whether to write ``overlay.mp4``, ``overlay.gif``.
    video_speed : float
        Of both: 1 for real time, 0.25 for a quarter of it.
    video_min_score : float
        Minimum score of detections in them.
    visual : bool
        Whether to write a picture of the events and the annotations of Foxglove for each window
        into ``detections.mcap``.
    layers : tuple of str
        What the videos show, of ``defaults.OVERLAY_LAYERS``.
    theme : {'dark', 'light'}
        Their colours, and those of the picture.

    """

    model: str = 'default'
    device: str = 'auto'
    window_ms: float = defaults.WINDOW_MS
    stride_ms: float = defaults.STRIDE_MS
    max_gap_ms: float = defaults.MAX_GAP_MS
    align: Alignment = 'first_event'
    timestamp_source: TimestampSource = 'auto'
    precision: str = 'float32'
    partition_size: tuple[int, int] = (0, 0)
    sparsity: str = 'adaptive'
    amp: float | None = None
    bounce: float | None = None
    latency_budget_ms: float | None = None
    score_threshold: float = defaults.SCORE_THRESHOLD
    nms_iou: float = defaults.NMS_IOU
    max_detections: int = defaults.MAX_DETECTIONS
    classes: tuple[str, ...] = ()
    class_id_format: Literal['name', 'index'] = 'name'
    score: Literal['product', 'class', 'uncalibrated'] = 'product'
    tracking: TrackingSettings | None = DEFAULT_TRACKING
    sensor_size: tuple[int, int] | None = None
    time_unit: str = 'auto'
    filters: tuple[str, ...] = ()
    start: float = 0
    end: float | None = None
    threads: int | None = None
    video: bool = False
    gif: bool = False
    video_speed: float = 1
    visual: bool = False
    video_min_score: float = 0
    layers: tuple[str, ...] = defaults.SHOWN_LAYERS
    theme: str = 'dark'


def replay_to_folder(
    recording: Recording,
    folder: Path,
    options: ReplayOptions,
    *,
    progress: Progress | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Run a recording through the detector and write all results into a folder.

    Parameters
    ----------
    recording : Recording
        Source of the events.
    folder : Path
        Folder of ``detections.npy``, ``detections.mcap``, ``windows.npy``, ``summary.json`` and,
        optionally, ``overlay.mp4`` and ``overlay.gif``; created if needed.
    options : ReplayOptions
        Settings.
    progress : callable, optional
        Called after every chunk of events.
    facts : mapping, optional
        Further entries of the summary.

    Returns
    -------
    dict
        The summary, as written into ``summary.json``.

    Raises
    ------
    RecordingError, SettingError, VideoError
        See ``replay``, ``choose_model``, ``EventPipeline`` and ``OverlayVideo``.
    OSError
        A file cannot be written, for one because a folder has its name; told before the replay.

    """
    pipeline, trained = make_pipeline(recording, options)
    with (
        _threads(options.threads),
        DetectionWriter(
            folder, log_offset_ns=recording.log_offset_ns, class_id_format=options.class_id_format
        ) as writer,
    ):
        for name in (VIDEO, GIF):
            check_place(folder / name)
        with _window_writer(writer, options, pipeline.detector, trained) as write:
            summary = replay(
                recording,
                pipeline,
                start=options.start,
                end=options.end,
                progress=progress,
                on_window=write,
            )
        summary |= {
            'weights': options.model if trained else 'untrained',
            'score': options.score,
            'threads': options.threads,
            'video_speed': options.video_speed,
            **(facts or {}),
        }
        for wanted, name in ((options.video, VIDEO), (options.gif, GIF)):
            if not (wanted and summary['windows']):  # that of an earlier run would not match
                (folder / name).unlink(missing_ok=True)
        writer.finish(summary)
    return summary


def make_pipeline(recording: Recording, options: ReplayOptions) -> tuple[EventPipeline, bool]:
    """
    Return a pipeline for ``replay``, and whether its weights are trained.

    Raises
    ------
    SettingError, CheckpointError
        See ``choose_model`` and ``EventPipeline``.
    RecordingError
        The recording states a size of the sensor that is impossible, or does not fit the options.

    """
    from sast_ros.detector import StreamingDetector
    from sast_ros.pipeline import EventPipeline, sensor_geometry

    event_filter = FilterChain(options.filters)
    model, trained = _load_model(
        options.model, options.device, options.partition_size, _file_stamp(options.model)
    )
    detector = StreamingDetector(
        model,
        options.score_threshold,
        options.nms_iou,
        max_detections=options.max_detections,
        classes=options.classes or None,
        precision=options.precision,
    )
    if options.score != 'product':
        detector.calibration = None
    detector.configure_sparsity(
        options.sparsity, options.amp, options.bounce, options.latency_budget_ms
    )
    recording.given_size, recording.time_unit = options.sensor_size, options.time_unit
    size = options.sensor_size
    if size is None and (size := recording.sensor_size) is not None:
        try:
            sensor_geometry(detector.config, size)
        except SettingError as error:  # of this recording, not of the options alone
            raise RecordingError(f'{recording.path}: {error}') from error
    pipeline = EventPipeline(
        detector,
        size,
        options.window_ms,
        options.stride_ms,
        options.max_gap_ms,
        event_filter=event_filter,
        align=options.align,
        tracking=options.tracking,
    )
    pipeline.cutter.timestamp_source = options.timestamp_source
    return pipeline, trained


@contextlib.contextmanager
def _window_writer(
    writer: DetectionWriter, options: ReplayOptions, detector: StreamingDetector, trained: bool
) -> Iterator[Callable[[EventWindow, Detections], None]]:
    """Yield a function that writes a window with its detections into files and video."""
    with contextlib.ExitStack() as stack:
        videos = []
        for wanted, name in ((options.video, VIDEO), (options.gif, GIF)):
            if wanted:
                from sast_ros.visualization import OverlayStyle, replay_video, Replayed

                style = OverlayStyle(options.layers, options.theme)
                replayed = Replayed(options.stride_ms, trained, options.video_speed, style)
                videos.append(stack.enter_context(replay_video(writer.folder / name, replayed)))

        def write(window: EventWindow, detections: Detections) -> None:
            if options.score == 'class':
                detections = replace(detections, scores=detections.class_scores)
            writer.write(detections)
            tokens = None
            if videos and 'tokens' in options.layers and detector.selected is not None:
                tokens = detector.selected.token_map()
            for draw in videos:
                draw(window, detections.with_score(options.video_min_score), tokens=tokens)
            if options.visual:
                from sast_ros.visualization.annotations import visual_messages

                shown = detections.with_score(options.video_min_score)
                for message in visual_messages(window, shown, options.theme):
                    writer.write_beside(detections, *message)

        yield write


@functools.lru_cache(maxsize=1)
def _load_model(
    name: str, device: str, partition_size: tuple[int, int], stamp: object
) -> tuple[SAST, bool]:
    """Return the model and whether it is trained; cached for further recordings."""
    from sast_ros.model import choose_model
    from sast_ros.process import keep_heap

    keep_heap()
    overrides = {'partition_size': partition_size} if any(partition_size) else {}
    return choose_model(name, device, **overrides)


def _file_stamp(name: str) -> object:
    """Return time and size of a weights file, which identify its content."""
    if not Path(name).is_file():
        return None
    status = Path(name).stat()
    return status.st_mtime_ns, status.st_size


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def replay(
    recording: Recording,
    pipeline: EventPipeline,
    *,
    start: float = 0,
    end: float | None = None,
    progress: Progress | None = None,
    on_window: Callable[[EventWindow, Detections], None] | None = None,
) -> dict[str, Any]:
    """
    Run a recording, or a part of it, through the pipeline.

    Windows and state are those of the node, so the detections are the same in every run. A
    truncated recording is replayed to its end, and the summary names what is missing.

    Parameters
    ----------
    recording : Recording
        Source of the events.
    pipeline : EventPipeline
        Must be a new one for every recording.
    start, end : float
        Interval [start, end) in seconds since the first event; ``None`` is no end.
    progress : callable, optional
        Called after every chunk of events.
    on_window : callable, optional
        Called with every window and its detections, in order.

    Returns
    -------
    dict
        Counts and settings, as in ``summary.json``.

    Raises
    ------
    RecordingError
        The recording is damaged, has no events in the interval, or the size of its sensor is
        wrong.
    SettingError
        An impossible start or end.

    """
    began = perf_counter()
    totals = _Totals(pipeline.sensor_size)

    def process(steps: Iterator[tuple[EventWindow, Detections]]) -> None:
        for window, detections in steps:
            totals.count_detections(detections)
            if on_window is not None:
                on_window(window, detections)

    try:
        for chunk in recording.between(start, end) if start or end is not None else recording:
            totals.count_events(chunk)
            process(pipeline.steps(chunk))
            if progress is not None:
                progress(*recording.progress)
        process(pipeline.finish())
    except EventFormatError as error:  # the size of the sensor is wrong
        raise RecordingError(f'{recording.path}: {error}') from error
    if totals.first is None:
        raise RecordingError(
            f'{recording.path} has no events{" on " * bool(recording.topic)}{recording.topic}'
        )
    pipeline.reset('end')  # counts the events of the last, incomplete window
    return _summarize(recording, pipeline, totals, perf_counter() - began, (start, end))


class _Totals:
    """Sums over the chunks and windows of a replay."""

    def __init__(self, sensor_size: tuple[int, int]) -> None:
        self.sensor_size = sensor_size
        self.detections = 0
        self.microseconds = 0
        self.first: int | None = None
        self.last: int | None = None
        self._windows = 0
        self._kept = np.zeros((4, 2))

    def count_events(self, chunk: EventChunk) -> None:
        if len(chunk) == 0:
            return
        if chunk.width:
            self.sensor_size = (chunk.height, chunk.width)
        first, last = int(chunk.t[0]), int(chunk.t[-1])
        # Where time jumps back (a bag with two runs), each run counts with its own length.
        if self.first is None:
            self.first = first
        if self.last is not None and not chunk.discontinuity:
            first, last = self.last, max(self.last, last)
        self.microseconds += last - first
        self.last = last

    def count_detections(self, detections: Detections) -> None:
        self.sensor_size = (detections.height, detections.width)
        self.detections += len(detections)
        self._windows += 1
        self._kept += [(stage.windows, stage.tokens) for stage in detections.kept]

    def kept(self, column: int) -> list[float]:
        return [round(float(share), 6) for share in self._kept[:, column] / max(1, self._windows)]


def _no_window(pipeline: EventPipeline, totals: _Totals) -> list[str]:
    """Return why nothing was detected, if no window was complete."""
    if pipeline.statistics.windows:
        return []
    return [
        f'No window is complete, so nothing is detected: the events last '
        f'{totals.microseconds / 1000:g} ms in all, a window '
        f'{pipeline.cutter.duration_us / 1000:g} ms; choose a shorter one with --window-ms.'
    ]


def _summarize(
    recording: Recording,
    pipeline: EventPipeline,
    totals: _Totals,
    wall_seconds: float,
    interval: tuple[float, float | None],
) -> dict[str, Any]:
    """Return the content of ``summary.json``; ``classes`` are in the order of ``class_id``."""
    statistics, detector = pipeline.statistics, pipeline.detector
    seconds = totals.microseconds / 1e6
    summary = recording.summary()
    height, width = totals.sensor_size
    if not (recording.given_size or recording.sensor_size):
        summary['warnings'].append(
            f'The recording does not state the size of the sensor; {width}x{height} pixels, those '
            'of the network, are taken; give another with --sensor-size.'
        )
    summary['warnings'] += _no_window(pipeline, totals)
    if pipeline.cutter.warning:
        summary['warnings'].append(pipeline.cutter.warning)
    # Every recording begins with a zero state; that is not counted as a reset.
    resets = {reason: count for reason, count in statistics.resets.items() if reason != 'start'}
    return {
        **summary,
        'start': interval[0],
        'end': interval[1],
        'model': detector.config.name,
        'classes': list(detector.config.classes),
        'calibrated': detector.calibration is not None,
        'score_threshold': detector.score_threshold,
        'nms_iou': detector.nms_iou,
        'sensor_size': {'height': height, 'width': width},
        'window_ms': pipeline.cutter.duration_us / 1000,
        'stride_ms': pipeline.cutter.stride_us / 1000,
        'align': pipeline.cutter.align,
        'filters': list(pipeline.cutter.event_filter.texts),
        'first_event_us': totals.first,
        'last_event_us': totals.last,
        'events': statistics.events,
        'windows': statistics.windows,
        'windows_skipped': statistics.skipped_windows,
        'detections': totals.detections,
        'seconds': seconds,
        'resets': sum(resets.values()),
        'resets_by_reason': resets,
        'drops': statistics.dropped_events,
        'events_left_out': dict(statistics.left_out),
        'reordered': statistics.reordered,
        'lost_packets': statistics.lost_packets,
        'unused_events': statistics.unused_events,
        'clamped': statistics.clamped,
        'kept_windows': totals.kept(0),
        'kept_tokens': totals.kept(1),
        'wall_seconds': round(wall_seconds, 3),
        'realtime_factor': round(seconds / wall_seconds, 3) if wall_seconds else 0.0,
    }
