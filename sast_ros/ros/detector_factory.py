# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node -> window cutter and detector."""

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
    from sast_ros.windows import WindowCutter

WARM_UP_STEPS = 3


def load_detector(settings: Settings) -> tuple[WindowDetector, bool]:
    """
    Return the detector of ``model.*``, warm, and whether its weights are untrained.

    Raises
    ------
    SettingError, CheckpointError
        A model, device, partition size or class that does not exist, or damaged weights.

    """
    with paused_collector():
        detector, trained = _load(settings)
    return_heap()
    return detector, not trained


def _load(settings: Settings) -> tuple[WindowDetector, bool]:
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import choose_model
    from sast_ros.pipeline import sensor_geometry, WindowDetector
    import torch

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
    for step in range(WARM_UP_STEPS):
        detector.step(torch.full((detector.config.channels, *cells), step, dtype=torch.uint8))
    detector.reset()
    return WindowDetector(detector), trained


def sensor_size(settings: Settings, config: ModelConfig) -> tuple[int, int]:
    """Return (height, width) in pixels of ``input.*``, or the design size of the network."""
    from sast_ros.pipeline import default_sensor_size

    size = settings.input.height, settings.input.width
    return size if all(size) else default_sensor_size(config)


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
        A sensor size that does not fit the network, or a filter that does not exist.

    """
    from sast_ros.pipeline import sensor_geometry
    from sast_ros.windows import WindowCutter

    size = sensor_size(settings, config)
    sensor_geometry(config, size)
    return WindowCutter(
        *settings.timing_us,
        sensor_size=size,
        timestamp_source=settings.window.timestamp_source,
        now_ns=now_ns,
        on_reset=on_reset,
        event_filter=make_filter(settings.input.filter),
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


def set_threads(count: int) -> None:
    """Set the number of CPU threads of PyTorch; 0 for ``network_threads``."""
    import torch

    torch.set_num_threads(count or network_threads())
