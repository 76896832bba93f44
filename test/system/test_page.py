# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The live page in a real browser, beside a real node that detects in a recording."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
import io
import re
import signal

from browser import Browser, CHROMIUM, NO_CHROMIUM
import numpy as np
from program import Program, wait_for_text
import pytest
from sast_ros.example import EXAMPLE
from system.streams import score_of, stamps_of

pytest.importorskip('aiohttp', reason='the live page needs aiohttp')
Picture = pytest.importorskip('PIL.Image')
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)

LAYERS = 'overlay.layers'
URL = r'(http://\S+)'

#: The picture as text, to see whether it changes.
CONTENT = "document.querySelector('#picture').toDataURL()"

MOVE = """(() => {{
  const row = document.querySelector('[data-setting="{name}"]');
  const input = row.querySelector('input, select');
  input.value = {value};
  input.dispatchEvent(new Event('input', {{ bubbles: true }}));
  input.dispatchEvent(new Event('change', {{ bubbles: true }}));
}})()"""


def move(browser: Browser, name: str, value: str) -> None:
    """Move a slider or choose from a list, as a hand does."""
    browser.evaluate(MOVE.format(name=name, value=value))


def start_player(bench, events: str = 'events') -> Program:
    """Play the bundled recording again and again."""
    return Program(
        bench.folder,
        *('sast_ros.demo.player', '--ros-args', '-p', f'recording:={EXAMPLE}'),
        *('-p', 'loop:=true', '-r', f'events:={events}'),
        environment=bench.environment,
    )


@pytest.fixture
def playing(bench) -> Iterator[object]:
    """Start a node with the bundled weights, and a player that repeats the bundled recording."""
    bench.start_node(model__path='default', page__port=free_port())
    with start_player(bench) as player:
        yield bench
        assert player.end() == 0


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def overlay_readers(bench) -> int:
    return bench.observer.node.count_subscribers('overlay')


@needs_chromium
def test_the_picture_moves_and_a_slider_changes_what_is_published(playing, tmp_path):
    observer = playing.observer
    url = wait_for_text(lambda: playing.nodes[0].log, URL)
    observer.wait_for(lambda: observer.detections and observer.diagnostics)
    assert overlay_readers(playing) == 0  # nobody looks: the node draws nothing

    def listen() -> None:
        observer.executor.spin_once(timeout_sec=0.0)

    with Browser(tmp_path / 'profile') as browser:
        browser.show_as(1280, 900)
        browser.open(url)
        browser.wait_for('page.pictures > 0 && samples.length > 0', meanwhile=listen)
        first = browser.evaluate(CONTENT)
        browser.wait_for(f'{CONTENT} !== {first!r}', meanwhile=listen)
        observer.wait_for(lambda: overlay_readers(playing) == 1)
        assert browser.evaluate("document.querySelector('#topic').textContent") == '/events'
        assert browser.evaluate("page.settings['detections.score_threshold']") == 0.1

        move(browser, 'detections.score_threshold', '1')
        observer.wait_for(lambda: observer.parameter('detections.score_threshold') == 1.0)
        observer.wait_for(lambda: not any(a.detections for a in observer.detections[-5:]))
        move(browser, 'detections.score_threshold', '0.05')
        observer.wait_for(lambda: all(a.detections for a in observer.detections[-5:]))

        move(browser, 'sparsity.mode', "'dense'")
        values = observer.status(lambda status, values: values.get('sparsity') == 'dense')
        assert values['sparsity'] == 'dense'
        browser.wait_for("page.settings['sparsity.mode'] === 'dense'")
        # Changes of others are shown, too
        assert observer.set_parameters(detections__score_threshold=0.25) == []
        browser.wait_for("document.querySelector('output').value === '0.25'")

        assert browser.problems == []
        assert browser.hosts == {url.rstrip('/')}
    observer.wait_for(lambda: overlay_readers(playing) == 0)


@needs_chromium
def test_the_switch_shows_and_hides_the_mask(playing, tmp_path):
    from sast_ros.visualization import THEMES
    from sensor_msgs.msg import Image

    observer, tints = playing.observer, THEMES['dark'].table[1:, 0]
    url = wait_for_text(lambda: playing.nodes[0].log, URL)
    observer.wait_for(lambda: observer.detections)
    tinted: list[bool] = []

    def look(image: Image) -> None:
        picture = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        tinted.append(bool((picture[:, :, None] == tints).all(axis=-1).any()))

    observer.subscribe(Image, 'overlay', look, 10)
    with Browser(tmp_path / 'profile') as browser:
        browser.open(url)
        switch = """document.querySelector('[data-layer="tokens"] input')"""
        browser.wait_for(f'!{switch}.closest("label").hidden && page.pictures > 0')
        for shown in (True, False, True):
            browser.evaluate(f'{switch}.click()')
            observer.wait_for(lambda on=shown: on == ('tokens' in observer.parameter(LAYERS)))
            tinted.clear()
            observer.wait_for(lambda on=shown: len(tinted) > 3 and set(tinted[-3:]) == {on})
            browser.wait_for(
                f'page.settings["{LAYERS}"].includes("tokens") === {str(shown).lower()}'
            )
            assert browser.evaluate(f'{switch}.checked') == shown
        assert set(observer.parameter(LAYERS)) > {'events', 'boxes', 'tokens'}
        assert browser.problems == []


@needs_chromium
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_fits_a_phone(playing, tmp_path, scheme):
    url = wait_for_text(lambda: playing.nodes[0].log, URL)
    with Browser(tmp_path / 'profile') as browser:
        browser.show_as(360, 740, scheme=scheme, phone=True)
        browser.open(url)
        browser.wait_for('page.pictures > 0 && samples.length > 1')
        assert browser.evaluate('innerWidth') == 360
        assert browser.evaluate('document.documentElement.scrollWidth') <= 360
        small = browser.evaluate(
            "Math.min(...[...document.querySelectorAll('input, select')].filter((one) => "
            'one.offsetParent).map((one) => one.offsetHeight))'
        )
        assert small >= 22  # pixels, for a finger
        shown = Picture.open(browser.screenshot(tmp_path / 'page.png')).convert('RGB')
        assert shown.size == (720, 1480)
        light = {'light': (244, 245, 248), 'dark': (15, 18, 24)}[scheme]
        assert shown.getpixel((2, 2)) == light
        assert len(np.unique(np.asarray(shown.convert('L')))) > 100
        assert browser.problems == []


def test_a_page_that_cannot_be_served_costs_no_detection(bench):
    node = bench.start_node(page__port=1, page__host='192.0.2.1')
    observer = bench.observer
    observer.wait_for(lambda: 'the live page has ended with exit code 1' in node.log)
    assert '192.0.2.1' in node.log
    observer.wait_for_state('active')
    assert node.end() == 0


@needs_chromium
def test_a_newcomer_sees_boxes_move(bench, tmp_path):
    """The command that ``make demo`` prints."""
    command = ['sast_ros', 'view', 'example', '--page', '--port', '0']
    with Program(tmp_path, *command, environment=bench.environment) as program:
        url = program.wait_for(URL)
        with Browser(tmp_path / 'profile') as browser:
            browser.open(url)
            browser.wait_for('page.pictures > 0')
            first = browser.evaluate(CONTENT)
            browser.wait_for(f'{CONTENT} !== {first!r}')
            assert browser.problems == []
        assert program.end() == 128 + signal.SIGTERM, program.log


@pytest.mark.skipif(find_spec('rerun') is None, reason='no rerun-sdk: make test-view')
def test_rerun_holds_what_a_node_publishes(playing, tmp_path):
    from visualization.test_rerun import read

    path = tmp_path / 'live.rrd'
    command = ['sast_ros', 'view', '--topic', '/events', '--save', str(path)]
    observer = playing.observer
    with Program(tmp_path, *command, environment=playing.environment) as program:
        observer.wait_for(lambda: observer.node.count_subscribers('detections') == 2)
        observer.wait_for(lambda: path.exists() and path.stat().st_size > 200_000)
        assert program.end() == 128 + signal.SIGTERM, program.log
    found = read(path)
    logged = [
        (int(time.timestamp() * 1e6), len(labels))
        for time, labels in zip(
            found['/camera/detections']['time'], found['/camera/detections']['Boxes2D:labels']
        )
    ]
    last, _ = logged[-1]
    observer.wait_for(lambda: stamps_of(observer.detections[-1:])[0] // 1000 >= last)
    counts = [len(array.detections) for array in observer.detections]
    published = {
        (stamp // 1000, count) for stamp, count in zip(stamps_of(observer.detections), counts)
    }
    assert len(logged) > 5
    # The observer may be there later than the viewer
    assert {one for one in logged if one >= min(published)} <= published
    assert max(map(len, found['/events']['Points3D:positions'])) > 100
    times = found['/camera/detections']['time']
    masks = dict(
        zip(found['/camera/tokens']['time'], found['/camera/tokens']['SegmentationImage:buffer'])
    )
    assert masks.keys() <= set(times) and len(masks) > len(times) / 2
    assert any({1, 2} & set(np.ravel(mask)) for mask in masks.values())


needs_foxglove = pytest.mark.skipif(
    not all(map(find_spec, ('foxglove', 'mcap_ros2'))), reason='no foxglove-sdk, mcap-ros2-support'
)


@needs_foxglove
def test_foxglove_receives_what_a_node_publishes(playing, tmp_path):
    from foxglove_client import Client, visit

    command = ['sast_ros', 'view', '--topic', '/events', '--foxglove', '--port', '0']
    observer = playing.observer

    async def look(client: Client) -> None:
        await client.subscribe('/event_image', '/annotations')
        await client.wait_for(lambda: len(client.heard['/event_image']) > 5)

    with Program(tmp_path, *command, environment=playing.environment) as program:
        observer.wait_for(lambda: observer.node.count_subscribers('detections') == 2)
        observer.wait_for(lambda: observer.detections)
        heard = visit(program.wait_for(r'(ws://\S+)'), look).heard
        assert program.end(signal.SIGINT) == 0 and 'Traceback' not in program.log
    last = max(stamp for messages in heard.values() for stamp, _ in messages)
    observer.wait_for(lambda: max(stamps_of(observer.detections), default=0) >= last)
    published = dict(zip(stamps_of(observer.detections), observer.detections))
    assert heard['/annotations']
    for stamp, drawn in heard['/annotations']:
        ids = [one.id for one in sorted(published[stamp].detections, key=score_of)]
        shown = [re.match(r'#(\d+) ', text.text) for text in drawn.texts]
        assert [found.group(1) if found else '' for found in shown] == ids
    pictures = [bytes(image.data) for _, image in heard['/event_image']]
    assert len(set(pictures)) > 3 and all(one.startswith(b'\xff\xd8') for one in pictures)
    frames = {image.header.frame_id for _, image in heard['/event_image']}
    assert frames == {array.header.frame_id for array in published.values()} != {''}


@needs_foxglove
def test_foxglove_shows_the_camera_that_reads_the_topic_as_it_reads_it(bench, tmp_path):
    """Whose topics have any names, and which turns the picture; the other has no events."""
    from foxglove_client import Client, visit

    remapped = {
        'left/events': '/cam_0/events',
        'right/events': '/cam_1/events',
        'right/detections': '/found',
        'right/label_info': '/names',
    }
    bench.start_node(
        *(word for old, new in remapped.items() for word in ('-r', f'{old}:={new}')),
        model__path='default',
        cameras="['left', 'right']",
        input__filter="['flip=rotate-180']",
        detections__score_threshold=0.5,
    )
    command = ['sast_ros', 'view', '--topic', '/cam_1/events', '--foxglove', '--port', '0']

    async def look(client: Client) -> None:
        await client.subscribe('/event_image', '/annotations')
        await client.wait_for(lambda: len(client.heard['/annotations']) > 15)

    with (
        start_player(bench, '/cam_1/events') as player,
        Program(tmp_path, *command, environment=bench.environment) as program,
    ):
        heard = visit(program.wait_for(r'(ws://\S+)'), look).heard
        assert program.end(signal.SIGINT) == 0 and 'Traceback' not in program.log
        assert player.end() == 0
    pictures = dict(heard['/event_image'])
    active = np.zeros((2, 2))  # pixels with events, and all, outside and inside of boxes
    for stamp, drawn in heard['/annotations']:
        if stamp in pictures and drawn.points:
            jpeg = Picture.open(io.BytesIO(bytes(pictures[stamp].data))).convert('RGB')
            picture = np.asarray(jpeg).astype(int)
            inside = np.zeros(picture.shape[:2], int)
            for frame in drawn.points:
                corners = np.array([(point.x, point.y) for point in frame.points]).round()
                (left, top), (right, bottom) = np.maximum(
                    [corners.min(axis=0), corners.max(axis=0)], 0
                ).astype(int)
                inside[top:bottom, left:right] = 1
            background = np.median(picture.reshape(-1, 3), axis=0)
            bright = np.abs(picture - background).max(axis=2) > 60
            for place in (0, 1):
                active[place] += bright[inside == place].sum(), (inside == place).sum()
    assert active[1, 1] > 0
    outside, within = active[:, 0] / active[:, 1]
    assert within > 5 * outside, (within, outside)
