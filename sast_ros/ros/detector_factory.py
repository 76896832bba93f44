# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node -> window cutters and detectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sast_ros.errors import SettingError
from sast_ros.process import network_threads, paused_collector, return_heap
from sast_ros.ros.node_parameters import make_filter, unknown_classes
from sast_ros.ros.parameters import Settings

if TYPE_CHECKING:  # torch takes seconds to import; the node is visible before
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import ModelConfig
    from sast_ros.pipeline import WindowDetector
    from sast_ros.tracking import Tracker
    from sast_ros.windows import WindowCutter

WARM_UP_STEPS = 3


def load_detectors(settings: Settings) -> tuple[list[WindowDetector], bool]:
    """
    Return a detector for each of ``cameras`` and whether its weights are untrained.

    They share the network of ``model.*``, which is warm.

    Raises
    ------
    SettingError, CheckpointError
        A model, device, partition size or class that does not exist, or damaged weights.

    """
    with paused_collector():
        from sast_ros.pipeline import WindowDetector

        detectors, trained = _load(settings)
    return_heap()
    return [WindowDetector(detector) for detector in detectors], not trained


def _load(settings: Settings) -> tuple[list[StreamingDetector], bool]:
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import choose_model
    from sast_ros.pipeline import sensor_geometry

    wanted = settings.model
    set_threads(wanted.threads)
    overrides = {}
    if any(wanted.partition_size):
        overrides['partition_size'] = tuple(wanted.partition_size)
    model, trained = choose_model(wanted.path, wanted.device, **overrides)
    reason = unknown_classes(settings.detections.classes, model.config.classes)
    if reason:
        raise SettingError(reason)
    height, width = sensor_size(settings, model.config)
    geometry = sensor_geometry(model.config, (height, width))
    detector = StreamingDetector(model, precision=wanted.precision, threads=wanted.threads)
    apply_settings(detector, settings, None)
    cells = (height // geometry.downsample, width // geometry.downsample)
    if not wanted.threads:
        detector.engine.choose_threads(network_threads(), cells)
    detectors = [detector, *(detector.new_stream() for _ in settings.cameras[1:])]
    _warm_up(detectors, cells)
    return detectors, trained


def _warm_up(detectors: list[StreamingDetector], cells: tuple[int, int]) -> None:
    """Step on histograms of this size, and in every number of streams that share a step."""
    from sast_ros.detector import step_together
    import torch

    first = detectors[0]
    shape = (first.config.channels, *cells)
    for step in range(WARM_UP_STEPS):
        first.step(torch.full(shape, step, dtype=torch.uint8))
    for count in range(2, min(len(detectors), first.engine.most_together) + 1):
        for result in step_together(
            detectors[:count], [torch.zeros(shape, dtype=torch.uint8)] * count
        ):
            if isinstance(result, Exception):
                raise result
    for detector in detectors:
        detector.reset()


def stated_size(settings: Settings) -> tuple[int, int] | None:
    """Return the (height, width) in pixels of ``input.*``, which messages do not override."""
    size = settings.input.height, settings.input.width
    return size if all(size) else None


def sensor_size(settings: Settings, config: ModelConfig) -> tuple[int, int]:
    """Return (height, width) in pixels of ``input.*``, or the design size of the network."""
    from sast_ros.pipeline import default_sensor_size

    return stated_size(settings) or default_sensor_size(config)


def make_cutter(
    settings: Settings,
    config: ModelConfig,
    now_ns: Callable[[], int],
    on_reset: Callable[[str], None],
) -> WindowCutter:
    """
    Return the window cutter of ``window.*``, ``state.*`` and ``input.*``.

    Raises
    ------
    SettingError
        A sensor size that does not fit the network, or a filter that does not exist or that does
        not fit the stated size.

    """
    from sast_ros.pipeline import sensor_geometry
    from sast_ros.windows import WindowCutter

    size, stated = sensor_size(settings, config), stated_size(settings)
    sensor_geometry(config, size)
    return WindowCutter(
        *settings.timing_us,
        sensor_size=size,
        align=settings.window.align,
        timestamp_source=settings.window.timestamp_source,
        now_ns=now_ns,
        on_reset=on_reset,
        event_filter=make_filter(settings.input.filter, () if stated is None else (stated,)),
    )


def apply_settings(
    detector: StreamingDetector, settings: Settings, before: Settings | None
) -> None:
    """Apply ``detections.*`` and ``sparsity.*`` where they differ from before."""
    if before is None or settings.detections != before.detections:
        wanted = settings.detections
        detector.configure_detections(
            wanted.score_threshold, wanted.nms_iou, wanted.max_count, wanted.class_filter
        )
    # If nothing differs, the closed loop of mode budget continues
    if before is None or settings.sparsity != before.sparsity:
        sparsity = settings.sparsity
        detector.configure_sparsity(
            sparsity.mode, sparsity.amp, sparsity.bounce, sparsity.latency_budget_ms
        )


def apply_tracking(windows: WindowDetector, tracker: Tracker, settings: Settings) -> None:
    """Apply ``tracking.*``; a tracker that is not used forgets its tracks."""
    wanted = settings.tracking.settings
    if wanted is None:
        tracker.reset()
    else:
        tracker.settings = wanted
    windows.tracker = tracker if wanted is not None else None


def set_threads(count: int) -> None:
    """Set the number of CPU threads of PyTorch; 0 for ``network_threads``."""
    import torch

    torch.set_num_threads(count or network_threads())
