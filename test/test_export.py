# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""An exported network gives the same detections in other runtimes, from its file alone."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import main
from sast_ros.detector import StreamingDetector
from sast_ros.export import FORMATS, INPUTS, METADATA, OUTPUTS
from sast_ros.histogram import StackedHistogram
from sast_ros.model import add_calibration, Calibration, load_model, SAST
from sast_ros.model.inference.postprocess import non_maximum_suppression
from sast_ros.windows import WindowCutter
import torch

STEPS = 20
REPOSITORY = Path(__file__).resolve().parent.parent

Run = Callable[[np.ndarray, list[np.ndarray]], list[np.ndarray]]


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    """Return the bundled weights with a calibration that changes the order of the classes."""
    path = tmp_path_factory.mktemp('weights') / 'weights.safetensors'
    add_calibration('default', path, Calibration(0.7, 1.6, (1.0, 0.5, -0.4)))
    return path


@pytest.fixture(scope='module')
def model(weights) -> SAST:
    return load_model(weights)


@pytest.fixture(scope='module')
def exported(weights, tmp_path_factory) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """Return a function that exports the weights once for each format."""
    folder, made = tmp_path_factory.mktemp('export'), {}

    def export(file_format: str) -> tuple[Path, dict[str, Any]]:
        if file_format == 'onnx':
            pytest.importorskip('onnxscript')
        if file_format not in made:
            path, report = (
                folder / f'network{FORMATS[file_format]}',
                folder / f'{file_format}.json',
            )
            options = ('--format', file_format, '--json', report, '--model', weights)
            assert main(['export', str(path), *map(str, options)]) == 0
            made[file_format] = path, json.loads(report.read_text())
        return made[file_format]

    return export


@pytest.fixture(scope='module')
def example_histograms(model) -> list[torch.Tensor]:
    """Return consecutive windows of the bundled recording, which has objects."""
    with open_recording('example') as recording:
        cutter, windows = WindowCutter(50_000, 50_000), []
        for chunk in recording:
            windows.extend(cutter.cut(chunk))
            if len(windows) >= STEPS:
                break
    to_histogram = StackedHistogram(windows[0].height, windows[0].width)
    return [to_histogram(window.parts) for window in windows[:STEPS]]


def open_onnx(path: Path) -> tuple[Run, dict[str, Any]]:
    """Return what runs a file, and its metadata."""
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(path)
    assert [each.name for each in session.get_inputs()] == list(INPUTS)
    assert [each.name for each in session.get_outputs()] == list(OUTPUTS)
    metadata = session.get_modelmeta().custom_metadata_map

    def run(histogram: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
        return session.run(None, dict(zip(INPUTS, [histogram, *states])))

    return run, {
        key: value if key in ('sast_ros', 'model') else json.loads(value)
        for key, value in metadata.items()
    }


def open_torch(path: Path) -> tuple[Run, dict[str, Any]]:
    """Return what runs a file, and its metadata."""
    extra = {METADATA: ''}
    network = torch.export.load(path, extra_files=extra).module()

    def run(histogram: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            tensors = network(torch.from_numpy(histogram), *map(torch.from_numpy, states))
        return [tensor.numpy() for tensor in tensors]

    return run, json.loads(extra[METADATA])


OPEN = {'onnx': open_onnx, 'torch': open_torch}


@pytest.mark.parametrize('file_format', OPEN)
def test_detections_of_consecutive_steps_are_those_of_the_detector(
    file_format, exported, model, example_histograms
):
    run, about = OPEN[file_format](exported(file_format)[0])
    detector = StreamingDetector(model, about['score_threshold'], about['nms_iou'])
    rows, columns = about['input_size']
    states = [
        np.zeros((1, channels, rows // stride, columns // stride), np.float32)
        for _ in 'hc'
        for channels, stride in zip(model.config.stage_dims, (4, 8, 16, 32))
    ]
    compared = 0
    for histogram in example_histograms:
        detections, *states = run(histogram.numpy()[None], states)
        expected = detector.step(histogram)
        boxes, objectness, classes = np.split(detections[0], [4, 5], axis=1)
        raw, class_ids = objectness[:, 0] * classes.max(axis=1), classes.argmax(axis=1)
        scores = Calibration(**about['calibration'])(raw, class_ids)
        over = scores >= about['score_threshold']
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        corners, ids = np.hstack([low, high])[over], class_ids[over]
        kept = non_maximum_suppression(corners, raw[over], ids, about['nms_iou'])
        kept = kept[np.argsort(-scores[over][kept], kind='stable')]
        corners = np.clip(corners[kept], 0, [304, 240, 304, 240])
        assert ids[kept].tolist() == expected.class_ids.tolist()
        np.testing.assert_allclose(corners, expected.boxes, rtol=0, atol=0.01)
        np.testing.assert_allclose(scores[over][kept], expected.scores, rtol=0, atol=1e-4)
        compared += len(expected)
    for state, (stage, part) in zip(states, ((s, p) for p in (0, 1) for s in range(4))):
        # The rounding of all steps, which differs between processors and grows here and there.
        kept_by_detector = detector._states[stage][part].numpy()
        difference = np.linalg.norm(state - kept_by_detector)
        assert difference < 1e-4 * np.linalg.norm(kept_by_detector)
    assert compared >= STEPS


@pytest.mark.parametrize('file_format', OPEN)
def test_file_says_how_it_is_run(file_format, exported, model):
    path, summary = exported(file_format)
    _, about = OPEN[file_format](path)
    assert {key: summary[key] for key in about} == about
    assert about['model'] == model.config.name
    assert about['classes'] == list(model.config.classes)
    assert about['trained'] is True
    assert about['calibration'] == model.calibration.as_dict()
    assert (about['sensor_size'], about['downsample']) == ([240, 304], 1)
    assert (about['input_size'], about['histogram_size']) == ([256, 320], [240, 304])
    assert (about['bins'], about['window_ms']) == (10, model.config.window_ms)


@pytest.mark.parametrize('file_format', OPEN)
def test_file_is_about_as_large_as_the_weights_and_names_no_path(file_format, exported, model):
    path, _ = exported(file_format)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert weights < path.stat().st_size < 1.3 * weights
    content = path.read_bytes()
    assert str(REPOSITORY).encode() not in content
    assert b'site-packages' not in content


def test_no_operator_of_the_onnx_file_has_an_output_whose_size_depends_on_data(exported):
    onnx = pytest.importorskip('onnx')
    graph = onnx.load(exported('onnx')[0]).graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {'NonZero', 'Compress', 'Unique', 'Loop', 'If', 'TopK', 'Sequence'}
    assert all(node.domain == '' for node in graph.node)
    assert not any(tensor.external_data for tensor in graph.initializer)


def test_another_sensor_is_in_the_metadata_and_its_size_the_input(tmp_path, capsys):
    path = tmp_path / 'vga.pt2'
    options = ('--format', 'torch', '--model', 'gen1-tiny', '--sensor-size', '640x480')
    assert main(['export', str(path), *options]) == 0
    said = capsys.readouterr().err
    assert 0 < said.index('tracing gen1-tiny') < said.index('writing') < said.index('UNTRAINED')
    run, about = open_torch(path)
    assert (about['sensor_size'], about['downsample']) == ([480, 640], 2)
    assert about['box_offset'] == 0.5
    assert (about['histogram_size'], about['trained']) == ([240, 320], False)
    states = [
        np.zeros((1, channels, 256 // stride, 320 // stride), np.float32)
        for _ in 'hc'
        for channels, stride in zip((32, 64, 128, 256), (4, 8, 16, 32))
    ]
    detections, *_ = run(np.zeros((1, 20, 240, 320), np.uint8), states)
    assert detections.shape == (1, 1680, 7)


def test_a_missing_package_is_one_sentence_with_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    assert main(['export', str(tmp_path / 'network.onnx')]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert re.fullmatch(
        r'sast-ros: onnx(script)? is not installed; .* -m pip install .*\bonnxscript\b.*', said[0]
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('size', ['0x480', '640', '9000x9000'])
def test_a_sensor_that_is_impossible_is_refused(tmp_path, capsys, size):
    options = ('--format', 'torch', '--sensor-size', size)
    assert main(['export', str(tmp_path / 'network.pt2'), *options]) == 2
    assert size.split('x')[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name, options', [('a.pt2', []), ('a.onnx', ['--format', 'torch'])])
def test_a_name_of_another_format_is_refused(tmp_path, capsys, name, options):
    assert main(['export', str(tmp_path / name), *options]) == 2
    assert 'must end in' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_file_can_be_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('sast_ros.export.describe', lambda *_, **__: pytest.fail('work'))
    (tmp_path / 'a.pt2').mkdir()
    assert main(['export', str(tmp_path / 'a.pt2'), '--format', 'torch']) == 1
    assert f'{tmp_path / "a.pt2"}: ' in capsys.readouterr().err


def test_example_prints_a_line_for_each_window(exported, model, example_histograms, tmp_path):
    pytest.importorskip('onnxruntime')
    short = tmp_path / 'short.raw'
    assert main(['transcode', 'example', str(short), '--end', '1.5']) == 0
    command = [sys.executable, REPOSITORY / 'examples' / 'run_onnx.py']
    done = subprocess.run([*command, exported('onnx')[0], short], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > STEPS
    assert sum(int(line.split(', ')[1]) for line in lines) > len(lines)
    assert any('car 0.' in line for line in lines)
    # What it prints of the first windows is what the detector finds
    detector = StreamingDetector(model)
    for line, histogram in zip(lines, example_histograms):
        scores = [float(score) for score in re.findall(r', [a-z-]+ ([01]\.\d+) at', line)]
        expected = sorted(detector.step(histogram).scores.tolist())
        np.testing.assert_allclose(sorted(scores), expected, rtol=0, atol=0.0051)
