# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Times of the parts of the detector: decoding, histogram, network, boxes, and all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
import time
from typing import Any

from sast_ros.bench.timing import summarize, time_actions, Timing
from sast_ros.bench.workload import active_share, make_cutter, recipe_weights, Workload
from sast_ros.defaults import WINDOW_MS
from sast_ros.detector import StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.events import open_decoder
from sast_ros.histogram import StackedHistogram
from sast_ros.model import choose_model, CONFIGS, SAST
from sast_ros.model.inference import postprocess
from sast_ros.model.inference.cpu import CpuNetwork
from sast_ros.pipeline import sensor_geometry, WindowDetector
from sast_ros.windows import EventWindow
import torch
from torch import nn, Tensor

#: What weights can be.
TRAINED, MADE_BY_RECIPE = 'trained', 'made by a recipe'

#: Windows that the parts work on in turn; the pipeline works on all of the workload.
_MAX_WINDOWS = 20


@dataclass(frozen=True)
class Part:
    """
    One line of the result.

    Attributes
    ----------
    name : str
        What was measured.
    timing : Timing
        Milliseconds of a window.
    detail : str
        What else was found; may be empty.

    """

    name: str
    timing: Timing
    detail: str = ''


def bench_model(name: str, device: str = 'cpu') -> tuple[SAST, str]:
    """
    Return a network to measure with, and what its weights are.

    Configurations have no trained weights; they get those of ``recipe_weights``, so that the
    number of selected tokens depends on the events.

    Parameters
    ----------
    name, device : str
        As for ``choose_model``.

    """
    model, trained = choose_model(name, device)
    if not trained:
        gain = 1.9 if model.config.embed_dim == CONFIGS['gen1-tiny'].embed_dim else 1.8
        model.load_state_dict(recipe_weights(model, gain), strict=False)
    return model, TRAINED if trained else MADE_BY_RECIPE


def measure_parts(
    workload: Workload,
    detector: StreamingDetector,
    seconds: float,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Part]:
    """
    Measure every part for so many seconds.

    Parameters
    ----------
    workload : Workload
        Messages of a camera.
    detector : StreamingDetector
        Its sensor size becomes that of the workload.
    seconds : float
        For each part.
    progress : callable, optional
        Called with the name of each part that begins.

    Raises
    ------
    SettingError
        The workload is shorter than one window.

    """
    windows = [window for window, _ in workload.windows()]
    if not windows:
        raise SettingError(
            f'{workload.name} holds no complete window; give a stream of at least '
            f'{2 * WINDOW_MS:g} ms'
        )
    few = windows[:_MAX_WINDOWS]
    height, width = workload.sensor_size
    geometry = sensor_geometry(detector.config, workload.sensor_size)
    histogram = StackedHistogram(
        height,
        width,
        bins=detector.config.bins,
        downsample=geometry.downsample,
        device=detector.device,
    )
    progress('decode')
    parts = [_decode(workload, len(windows), seconds)]
    progress('histogram')
    parts.append(_histogram(histogram, few, seconds))
    inputs = [histogram(window.parts) for window in few]
    progress('step')
    network, step = _network(detector, inputs, seconds)
    parts += [network, *_stages(detector, inputs, seconds), step]
    progress('boxes')
    parts.append(_boxes(detector, inputs, seconds))
    progress('pipeline')
    parts.append(_pipeline(workload, detector, seconds))
    return parts


def describe_workload(workload: Workload, detector: StreamingDetector) -> dict[str, Any]:
    """Return what the times depend on: events, active pixels, kept tokens, on average."""
    windows = [window for window, _ in workload.windows()][:_MAX_WINDOWS]
    process = WindowDetector(detector).process
    detector.reset()
    height, width = workload.sensor_size
    histogram = StackedHistogram(height, width, bins=detector.config.bins)
    active = active_share([histogram(window.parts) for window in windows])
    kept = [[stage.tokens for stage in process(window).kept] for window in windows]
    return {
        'name': workload.name,
        'message_type': workload.message_type,
        'sensor_size': {'height': height, 'width': width},
        'events_per_window': round(sum(map(len, windows)) / len(windows)),
        'active_pixels': round(active, 4),
        'kept_tokens': [round(sum(stage) / len(stage), 4) for stage in zip(*kept)],
    }


def _decode(workload: Workload, windows: int, seconds: float) -> Part:
    decode = open_decoder(workload.message_type)
    messages = [raw for _, raw in workload.messages]
    events = sum(len(decode(raw)) for raw in messages)

    def action() -> None:
        decode.reset()
        for raw in messages:
            decode(raw)

    whole = time_actions({'decode': action}, seconds)['decode']
    timing = Timing(whole.min_ms / windows, whole.median_ms / windows, whole.runs)
    return Part('decode', timing, f'{events / whole.min_ms / 1e3:.0f} Mev/s')


def _histogram(histogram: StackedHistogram, windows: list[EventWindow], seconds: float) -> Part:
    following = cycle(windows)
    timing = time_actions({'': lambda: histogram(next(following).parts)}, seconds)['']
    return Part('histogram', timing)


def _network(
    detector: StreamingDetector, inputs: list[Tensor], seconds: float
) -> tuple[Part, Part]:
    """Time the network alone and the whole step in turn, each with a state of its own."""
    detector.reset()
    alone, whole = cycle(inputs), cycle(inputs)
    states = None

    def network() -> None:
        nonlocal states
        output = detector.engine.step(next(alone)[None], states)
        states = output.states
        synchronize(detector.device)

    times = time_actions({'network': network, 'step': lambda: detector.step(next(whole))}, seconds)
    return Part('network', times['network']), Part('step', times['step'])


def _stages(detector: StreamingDetector, inputs: list[Tensor], seconds: float) -> list[Part]:
    """Time the parts of the network, where the engine runs them one after the other."""
    network = detector.engine.network
    if isinstance(network, CpuNetwork):
        return _operations(network, inputs, seconds)
    modules = network_modules(network)
    if not modules:
        return []
    times: dict[str, list[float]] = {name: [] for name in modules}
    with _hooks(modules, times, detector.device):
        following = cycle(inputs)
        time_actions({'': lambda: detector.step(next(following))}, seconds)
    return [Part(f'  {name}', summarize(values)) for name, values in times.items()]


def _operations(network: CpuNetwork, inputs: list[Tensor], seconds: float) -> list[Part]:
    """Time the operations of compiled loops, part by part, on the first of their threads."""
    times: dict[str, list[float]] = {}
    following = cycle(inputs)

    def action() -> None:
        for name, value in network.time_operations(next(following)[None], None).items():
            times.setdefault(name, []).append(value)

    time_actions({'': action}, seconds)
    return [Part(f'  {name}', summarize(values)) for name, values in times.items()]


def network_modules(network: Any) -> dict[str, nn.Module]:
    """Return stages, FPN and head of a network of PyTorch modules, else nothing."""
    if not isinstance(network, nn.Module):
        return {}
    whole: Any = network  # attributes of modules may be anything
    stages = getattr(whole, 'backbone', whole).stages
    named = {f'stage {index}': stage for index, stage in enumerate(stages, start=1)}
    return {**named, 'FPN': whole.fpn, 'head': whole.yolox_head}


@contextmanager
def _hooks(
    modules: dict[str, nn.Module], times: dict[str, list[float]], device: torch.device
) -> Iterator[None]:
    """Note the milliseconds of every call of a module."""
    handles, began = [], {}

    def watch(name: str, module: nn.Module) -> None:
        def before(module: nn.Module, arguments: Any) -> None:
            synchronize(device)
            began[name] = time.perf_counter()

        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            synchronize(device)
            times[name].append(1e3 * (time.perf_counter() - began[name]))

        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after))

    try:
        for name, module in modules.items():
            watch(name, module)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _boxes(detector: StreamingDetector, inputs: list[Tensor], seconds: float) -> Part:
    detector.reset()
    outputs = [detector.engine.step(histogram[None], None) for histogram in inputs]
    following = cycle(outputs)

    def action() -> int:
        output = next(following)
        with torch.inference_mode():
            head = postprocess.probabilities(output.head[0].float())
            found = postprocess.select_boxes(
                head, output.input_size, detector.raw_threshold, detector.nms_iou
            )
        return len(found[0])

    return Part('boxes', time_actions({'': action}, seconds)[''])


def _pipeline(workload: Workload, detector: StreamingDetector, seconds: float) -> Part:
    """Time messages to ``Detections``, window by window, as in the node but in one thread."""
    times: list[float] = []
    process = WindowDetector(detector).process
    end = time.perf_counter() + seconds
    while True:
        decode, cutter = open_decoder(workload.message_type), make_cutter(workload.sensor_size)
        detector.reset()
        began = time.perf_counter()
        for _, raw in workload.messages:
            for window in cutter.cut(decode(raw)):
                process(window)
                now = time.perf_counter()
                times.append(1e3 * (now - began))
                began = now
                if now > end and len(times) > 2:
                    timing = summarize(times)
                    factor = WINDOW_MS / timing.median_ms
                    return Part('pipeline', timing, f'{factor:.1f} x real time')


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
