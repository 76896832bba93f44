# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A network as one file for other runtimes: ONNX, or a program of ``torch.export``.

The file holds the masked network of one input size (``sast_ros.model.inference.masked``) with its
weights. The recurrent state is explicit: what a step gives out goes into the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import io
import json
import logging
from pathlib import Path
from typing import Any
import warnings

from sast_ros import defaults
from sast_ros.errors import SettingError
from sast_ros.histogram import sampling_offset
from sast_ros.model import SAST
from sast_ros.model.config import STRIDES
from sast_ros.model.head import decode_boxes
from sast_ros.model.inference.masked import MaskedNetwork, Thresholds
from sast_ros.model.inference.plain import folded_copy
from sast_ros.model.inference.postprocess import probabilities
from sast_ros.output import check_place, write_file
from sast_ros.pipeline import default_sensor_size, sensor_geometry, SensorGeometry
from sast_ros.version import installed_version
import torch
from torch import nn, Tensor

#: Ending of the files of each format.
FORMATS = {'onnx': '.onnx', 'torch': '.pt2'}

STATES = ('h1', 'h2', 'h3', 'h4', 'c1', 'c2', 'c3', 'c4')
INPUTS = ('histogram', *STATES)
OUTPUTS = ('detections', *(f'new_{name}' for name in STATES))

#: Extra file of a ``torch.export`` program.
METADATA = 'metadata.json'

#: The lowest that the exporter writes itself; TensorRT and old runtimes read it.
_OPSET = 18


class ExportedNetwork(nn.Module):
    """
    The masked network with tensors only.

    Parameters
    ----------
    model : SAST
        The network; it is not changed. Its selection is as in its ``control``.

    """

    def __init__(self, model: SAST) -> None:
        super().__init__()
        self.network = MaskedNetwork(folded_copy(model))

    def forward(self, histogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """
        Advance by one window.

        Parameters
        ----------
        histogram : torch.Tensor
            ``uint8[1, channels, H, W]`` of ``StackedHistogram``.
        *states : torch.Tensor
            State: h of the four stages, then c, ``float32[1, C, H / stride, W / stride]`` each,
            of the padded size; zeros at the start of a stream.

        Returns
        -------
        detections : torch.Tensor
            ``float32[1, anchors, 5 + classes]`` cx, cy, w, h in pixels of the histogram, and the
            probabilities of an object and of each class.
        *states : torch.Tensor
            For the next window, in the order of the inputs.

        """
        output = self.network.advance(
            histogram.float(),
            list(zip(states[:4], states[4:])),
            Thresholds.of(self.network.control),
        )
        head = probabilities(output.head)
        boxes = decode_boxes(head, output.input_size)
        hidden, cells = zip(*output.states)
        return torch.cat([boxes, head[..., 4:]], dim=-1), *hidden, *cells


def export_network(
    model: SAST,
    path: Path,
    file_format: str,
    sensor_size: tuple[int, int] | None = None,
    *,
    trained: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Write a network as one file.

    Parameters
    ----------
    model : SAST
        The network, on the CPU.
    path : Path
        File to write.
    file_format : {'onnx', 'torch'}
        ``'onnx'`` with metadata_props, or ``'torch'`` for ``torch.export.load`` with an extra
        file ``metadata.json``.
    sensor_size : tuple of int, optional
        (height, width) of the sensor in pixels; by default that of the network's design.
    trained : bool, optional
        Whether the weights are trained, for the metadata.
    progress : callable, optional
        Called with a sentence whenever a new step begins.

    Returns
    -------
    dict
        The metadata in the file.

    Raises
    ------
    SettingError
        No sensor has this size, or the name has another ending than those of the format.
    ModuleNotFoundError
        The packages of the extra ``export`` are missing.
    OSError
        See ``check_place``.

    """
    require_ending(path, file_format)
    # What is wrong is said before a minute of work
    check_place(path)
    if file_format == 'onnx':
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    geometry = sensor_geometry(model.config, sensor_size or default_sensor_size(model.config))
    metadata = describe(model, geometry, trained=trained)
    progress(f'tracing {metadata["model"]}')
    program = _trace(model, geometry)
    progress(f'writing {path}')
    if file_format == 'onnx':
        content = _as_onnx(program, metadata)
    else:
        content = _as_torch(program, metadata)
    write_file(path, content)
    return metadata


def require_ending(path: Path, file_format: str) -> None:
    """
    Check the name of a file to write.

    Raises
    ------
    SettingError
        Its ending is not that of the format.

    """
    if path.suffix != FORMATS[file_format]:
        raise SettingError(
            f'{path}: a file of format {file_format} must end in {FORMATS[file_format]}; choose '
            'another name, or another --format'
        )


def describe(model: SAST, geometry: SensorGeometry, *, trained: bool) -> dict[str, Any]:
    """
    Return what a program that runs the network must know, ready for JSON.

    Parameters
    ----------
    model : SAST
        The network.
    geometry : SensorGeometry
        Sensor that it is exported for.
    trained : bool
        Whether its weights are trained.

    """
    config, control = model.config, model.control
    return {
        'sast_ros': installed_version(),
        'model': config.name,
        'trained': trained,
        'classes': list(config.classes),
        'sensor_size': [geometry.height, geometry.width],
        'downsample': geometry.downsample,
        'box_offset': sampling_offset(geometry.downsample, config.downsample),
        'histogram_size': list(_histogram_size(geometry)),
        'input_size': list(geometry.input_size),
        'bins': config.bins,
        'cutoff': 10,
        'window_ms': config.window_ms,
        'stride_ms': config.stride_ms,
        'calibration': None if model.calibration is None else model.calibration.as_dict(),
        'score_threshold': defaults.SCORE_THRESHOLD,
        'nms_iou': defaults.NMS_IOU,
        'selection': {'mode': control.mode, 'amp': control.amp, 'bounce': control.bounce},
    }


def _histogram_size(geometry: SensorGeometry) -> tuple[int, int]:
    return geometry.height // geometry.downsample, geometry.width // geometry.downsample


def _trace(model: SAST, geometry: SensorGeometry) -> torch.export.ExportedProgram:
    """Return the program of one input size."""
    config, (height, width) = model.config, geometry.input_size
    size = 1, config.channels, *_histogram_size(geometry)
    states = [  # a tensor each: one that is given twice is one input of the program
        torch.zeros(1, channels, height // stride, width // stride, dtype=torch.float32)
        for _ in range(2)
        for channels, stride in zip(config.stage_dims, STRIDES)
    ]
    network = ExportedNetwork(model).eval()
    arguments = (torch.zeros(size, dtype=torch.uint8), *states)
    with torch.no_grad(), _quiet():
        # Makes the constants of this size (position embeddings, anchors) outside of the trace
        network(*arguments)
        program = torch.export.export(network, arguments)
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop('stack_trace', None)  # source lines and paths of this machine
    program.example_inputs = None  # would be in the file
    return program


def _as_torch(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer, extra_files={METADATA: json.dumps(metadata)})
    return buffer.getvalue()


def _as_onnx(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> bytes:
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            input_names=INPUTS,
            output_names=OUTPUTS,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    for entry in (model.graph, *model.graph.node):  # notes of the exporter, longer than the graph
        entry.ClearField('metadata_props')
        entry.ClearField('doc_string')
    model.graph.ClearField('value_info')
    model.producer_name, model.producer_version = 'sast_ros', metadata['sast_ros']
    for name, value in metadata.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=name, value=text)
    return model.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes of the exporter about itself and about packages that it does not need away."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)
