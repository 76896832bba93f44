# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording in Foxglove: what a real client of its websocket receives."""

from __future__ import annotations

import io
import json
from pathlib import Path
import re
import signal
import sys

import numpy as np
from program import Program
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import main
from sast_ros.detections import Detections
from sast_ros.example import EXAMPLE
from sast_ros.replay import make_pipeline, replay, replay_to_folder, ReplayOptions
from sast_ros.tracking import Trails
from sast_ros.visualization.overlay import OverlayStyle
from sast_ros.windows import EventWindow

for package in ('aiohttp', 'foxglove', 'mcap_ros2'):
    pytest.importorskip(package, reason=f'{package} is not installed')
Picture = pytest.importorskip('PIL.Image')
client_module = pytest.importorskip('foxglove_client')
foxglove_log = pytest.importorskip('sast_ros.visualization.foxglove_log')
Client, visit = client_module.Client, client_module.visit

IMAGE, ANNOTATIONS = '/event_image', '/annotations'
LAYOUT = Path(__file__).resolve().parents[2] / 'config' / 'foxglove' / 'detections.json'
WINDOWS = 6
URL = r'(ws://\S+)'
THRESHOLD = 0.05


def serve(folder: Path, *options: str, recording: Path = EXAMPLE) -> Program:
    """Start ``sast-ros view --foxglove``, for a ``with`` block."""
    command = ('sast_ros', 'view', str(recording), '--foxglove', '--port', '0', *options)
    return Program(folder, *command)


@pytest.fixture(scope='module')
def windows() -> list[tuple[EventWindow, Detections]]:
    """Return the first windows of the example."""
    found: list[tuple[EventWindow, Detections]] = []
    with open_recording(EXAMPLE) as recording:
        pipeline, _ = make_pipeline(recording, ReplayOptions(score_threshold=THRESHOLD))
        replay(recording, pipeline, end=0.4, on_window=lambda *pair: found.append(pair))
    return found


def decode(message: object) -> np.ndarray:
    """Return the pixels of a ``CompressedImage``, which must be a JPEG."""
    with Picture.open(io.BytesIO(bytes(message.data))) as file:
        assert file.format == 'JPEG'
        return np.asarray(file.convert('RGB')).astype(int)


def corners(message: object) -> list[tuple[float, ...]]:
    """Return the boxes of ``ImageAnnotations``."""
    points = [[(p.x, p.y) for p in frame.points] for frame in message.points]
    return [(*np.min(box, axis=0), *np.max(box, axis=0)) for box in points]


def test_the_example_comes_as_its_replay(tmp_path):
    with open_recording(EXAMPLE) as recording:
        options = ReplayOptions(score_threshold=THRESHOLD)
        replay_to_folder(recording, tmp_path / 'replay', options)
    rows = np.load(tmp_path / 'replay' / 'windows.npy')
    boxes = np.load(tmp_path / 'replay' / 'detections.npy')
    assert (boxes['track_id'] > 0).any()

    async def look(client: Client) -> None:
        await client.subscribe(IMAGE, ANNOTATIONS, '/detections', '/figures')
        await client.wait_for(lambda: all(len(client.heard[topic]) > WINDOWS for topic in topics))

    topics = (IMAGE, ANNOTATIONS, '/detections', '/figures')
    with serve(tmp_path, '--score-threshold', str(THRESHOLD)) as server:
        heard = visit(server.wait_for(URL), look).heard
        assert 'Traceback' not in server.log
    stamps = {topic: [stamp for stamp, _ in heard[topic]] for topic in topics}
    first = rows['stamp_ns'].tolist().index(stamps[ANNOTATIONS][0])
    for stamp, drawn in heard[ANNOTATIONS]:
        row = rows[rows['stamp_ns'] == stamp]
        assert len(row) == 1 and stamp in rows['stamp_ns'][first:]
        expected = boxes[boxes['t'] == row['t']]
        shown = corners(drawn)
        assert len(shown) == len(expected) == len(drawn.texts)
        for box, want in zip(shown, expected, strict=True):
            edges = (want['x'], want['y'], want['x'] + want['w'], want['y'] + want['h'])
            np.testing.assert_allclose(box, edges, atol=1e-3)
        rising = expected[np.argsort(expected['class_confidence'], kind='stable')]
        for text, want in zip(drawn.texts, rising, strict=True):
            number = re.match(r'#(\d+) ', text.text)
            assert int(number.group(1) if number else 0) == want['track_id']
            assert text.text.endswith(f'{want["class_confidence"]:.2f}')
    assert any(drawn.texts for _, drawn in heard[ANNOTATIONS])
    for _, array in heard['/detections']:
        assert array.header.stamp.sec * 10**9 + array.header.stamp.nanosec in rows['stamp_ns']
    pictures = [decode(image) for _, image in heard[IMAGE]]
    assert all((one != other).mean() > 0.001 for one, other in zip(pictures, pictures[1:]))
    for stamp, figures in heard['/figures']:
        row = rows[rows['stamp_ns'] == stamp][0]
        assert figures['event_rate_mev_s'] == pytest.approx(row['events'] / 0.05 / 1e6)
        assert figures['kept_tokens_percent'] == pytest.approx(100 * row['kept_tokens'], rel=1e-4)
        assert figures['latency_ms'] > 0


def test_only_what_somebody_subscribed_to_is_encoded(windows):
    with foxglove_log.FoxgloveLog('127.0.0.1', 0) as log:
        log.log(*windows[0])
        assert not log.watched and not log.encoded

        async def look(client: Client) -> None:
            await client.wait_for(lambda: client.channels)
            log.log(*windows[1])
            assert not log.encoded  # connected, but not subscribed
            await client.subscribe(ANNOTATIONS)
            while not client.heard[ANNOTATIONS]:
                log.log(*windows[2])
                if log.encoded:
                    await client.wait_for(lambda: client.heard[ANNOTATIONS])

        visit(log.url, look)
        assert log.encoded.keys() == {ANNOTATIONS}


def test_a_recording_that_begins_again_has_later_stamps(windows):
    passes = 3
    assert passes * len(windows) < foxglove_log.MAX_WAITING  # nothing is dropped

    async def look(client: Client) -> None:
        await client.subscribe('/detections')
        while not log.watched:
            pass  # it is subscribed to in a thread of the server
        for _ in range(passes):
            for pair in windows:
                log.log(*pair)
            log.repeat()
        await client.wait_for(lambda: len(client.heard['/detections']) == passes * len(windows))

    with foxglove_log.FoxgloveLog('127.0.0.1', 0) as log:
        heard = visit(log.url, look).heard['/detections']
    stamps = [stamp for stamp, _ in heard]
    assert stamps[: len(windows)] == [detections.stamp_ns for _, detections in windows]
    assert set(np.diff(stamps)) == {50_000_000}
    for stamp, array in heard:
        assert array.header.stamp.sec * 10**9 + array.header.stamp.nanosec == stamp


def test_the_picture_registers_to_the_pixel_and_the_overlay_shows_more(windows):
    async def look(client: Client) -> None:
        await client.subscribe(IMAGE, '/overlay/compressed')
        while not all(client.heard[topic] for topic in (IMAGE, '/overlay/compressed')):
            log.log(*windows[3])
            if log.encoded.keys() >= {IMAGE, '/overlay/compressed'}:
                await client.wait_for(
                    lambda: client.heard[IMAGE] and client.heard['/overlay/compressed']
                )

    with foxglove_log.FoxgloveLog('127.0.0.1', 0) as log:
        heard = visit(log.url, look).heard
    window, detections = windows[3]
    picture = decode(heard[IMAGE][0][1])
    assert picture.shape == (detections.height, detections.width, 3)
    lit = np.zeros(picture.shape[:2], bool)
    for part in window.parts:
        lit[part.y, part.x] = True
    bright = picture.max(axis=2)
    assert bright[lit].mean() > 3 * bright[~lit].mean()
    overlay = decode(heard['/overlay/compressed'][0][1])
    assert overlay.shape == picture.shape and (overlay != picture).any()


def test_trails_are_the_same_whether_somebody_looked_before_or_not(windows, monkeypatch):
    shown: list[dict[int, list]] = []
    style = OverlayStyle(('ids',), 'light')

    def draw(*given: object, trails: dict[int, np.ndarray], **options: object) -> np.ndarray:
        assert options['style'] is style
        shown.append({number: trail.tolist() for number, trail in trails.items()})
        return draw_overlay(*given, trails=trails, **options)

    async def look(client: Client) -> None:
        await client.subscribe('/overlay/compressed')
        while not log.watched:
            pass  # it is subscribed to in a thread of the server
        log.log(*windows[-1])

    draw_overlay, trails = foxglove_log.draw_overlay, Trails()
    monkeypatch.setattr(foxglove_log, 'draw_overlay', draw)
    with foxglove_log.FoxgloveLog('127.0.0.1', 0, style) as log:
        for pair in windows[:-1]:
            log.log(*pair)
        visit(log.url, look)
    wanted = [trails.update(detections) for _, detections in windows][-1]
    assert wanted
    assert shown == [{number: trail.tolist() for number, trail in wanted.items()}]


def test_the_layout_finds_its_topics(windows):
    layout = json.loads(LAYOUT.read_text())
    panel = layout['configById']['Image!detections']['imageMode']
    raw = layout['configById']['RawMessages!detections']['topicPath'].split('.')[0]
    wanted = {panel['imageTopic'], *panel['annotations'], raw}

    async def look(client: Client) -> None:
        await client.wait_for(lambda: client.channels.keys() >= wanted)

    with foxglove_log.FoxgloveLog('127.0.0.1', 0) as log:
        channels = visit(log.url, look).channels
    types = {topic: channel['schemaName'] for topic, channel in channels.items()}
    assert types[panel['imageTopic']] == 'sensor_msgs/msg/CompressedImage'
    assert types['/annotations'] == 'foxglove_msgs/msg/ImageAnnotations'
    assert types['/detections'] == 'vision_msgs/msg/Detection2DArray'
    fields = json.loads(channels['/figures']['schema'])['properties']
    plots = [panel for name, panel in layout['configById'].items() if name.startswith('Plot!')]
    paths = [re.sub(r'\[\d\]', '', path['value']) for plot in plots for path in plot['paths']]
    assert set(paths) == {f'/figures.{name}' for name in fields}


@pytest.mark.parametrize(
    ('request_to_end', 'code'), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
@pytest.mark.parametrize('watched', [False, True])
def test_it_ends_when_it_is_told_to(tmp_path, request_to_end, code, watched):
    async def look(client: Client) -> None:
        await client.subscribe(IMAGE)
        await client.wait_for(lambda: client.heard[IMAGE])
        server.process.send_signal(request_to_end)

    with serve(tmp_path) as server:
        url = server.wait_for(URL)
        if watched:
            visit(url, look)
        else:
            server.process.send_signal(request_to_end)
        assert server.process.wait(60) == code
        assert 'Traceback' not in server.log


def test_a_port_in_use_is_one_sentence(capsys):
    with foxglove_log.FoxgloveLog('127.0.0.1', 0) as log:
        port = log.url.rpartition(':')[2]
        assert main(['view', str(EXAMPLE), '--foxglove', '--port', port]) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and port in said and '--port' in said and 'in use' in said


def test_another_address_is_open_to_everybody_and_says_so(capsys, monkeypatch):
    monkeypatch.setattr('sast_ros.cli.view._log_recording', interrupt)
    assert main(['view', str(EXAMPLE), '--foxglove', '--port', '0', '--host', '0.0.0.0']) == 0
    assert 'everybody' in capsys.readouterr().err
    assert main(['view', str(EXAMPLE), '--foxglove', '--port', '0']) == 0
    assert capsys.readouterr().err == ''


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_without_the_package_its_distribution_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'foxglove', None)
    monkeypatch.delitem(sys.modules, 'sast_ros.visualization.foxglove_log')
    assert main(['view', str(EXAMPLE), '--foxglove']) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'pip install foxglove-sdk' in said


def test_without_rerun_the_page_is_named_that_needs_no_more(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    monkeypatch.delitem(sys.modules, 'sast_ros.visualization.rerun_log', raising=False)
    assert main(['view', str(EXAMPLE)]) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'pip install rerun-sdk' in said and '--page' in said


@pytest.mark.parametrize('way', [(), ('--page',), ('--foxglove', '--port', '0')])
def test_a_missing_recording_is_named_before_anything_starts(way, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    assert main(['view', 'missing.raw', *way]) == 1
    said = capsys.readouterr()
    assert said.out == '' and said.err.startswith('sast-ros: missing.raw does not exist')
    assert said.err.count('\n') == 1


def test_a_recording_without_a_size_is_named_before_the_node_of_a_page_starts(
    tmp_path, capsys, monkeypatch
):
    events = np.zeros(100, [('x', '<u2'), ('y', '<u2'), ('p', 'u1'), ('t', '<i8')])
    np.save(tmp_path / 'events.npy', events)
    monkeypatch.chdir(tmp_path)
    assert main(['view', 'events.npy', '--page']) == 1
    assert '--sensor-size' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_recording_shorter_than_a_window_is_one_sentence(tmp_path):
    events = np.zeros(100, [('x', '<u2'), ('y', '<u2'), ('p', 'u1'), ('t', '<i8')])
    events['t'] = np.arange(100)
    np.save(tmp_path / 'short.npy', events)

    async def look(client: Client) -> None:
        await client.subscribe(IMAGE)
        await client.wait_for(lambda: False)

    with serve(tmp_path, recording=tmp_path / 'short.npy') as server:
        with pytest.raises(ConnectionError):
            visit(server.wait_for(URL), look)
        assert server.process.wait(60) == 1
        assert '--window-ms' in server.log and 'Traceback' not in server.log
