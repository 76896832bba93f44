# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The executable ``player`` and what a subscriber receives from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from bags.recordings import EVENT_ARRAY, event_messages, EVENT_PACKET, TOPIC, write_recording
from interruption import INTERRUPTIONS
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the player needs ROS 2')

from sast_ros.bags import open_recording  # noqa: E402 - after the skip
from sast_ros.demo import player as player_module  # noqa: E402 - after the skip
from sast_ros.demo.player import QOS  # noqa: E402 - after the skip
from sast_ros.events import open_decoder  # noqa: E402 - after the skip
from sast_ros.ros.event_subscription import find_message_class  # noqa: E402 - after the skip
from sast_ros.ros.own_node import own_node  # noqa: E402 - after the skip


class Listener:
    """A node that keeps the messages on a topic, with their arrival times."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.received: list[tuple[int, bytes]] = []

    def subscribe(self, type_name: str) -> None:
        kind = find_message_class(type_name)
        self.node.create_subscription(kind, TOPIC, self._keep, QOS, raw=True)

    def wait(self, condition: object, process: subprocess.Popen) -> None:
        limit = time.monotonic() + 60
        while not condition():
            assert process.poll() in (None, 0), process.stderr.read()
            assert time.monotonic() < limit
            self.node.executor.spin_once(timeout_sec=0.05)

    def _keep(self, raw: bytes) -> None:
        self.received.append((time.time_ns(), raw))


@pytest.fixture
def listener(ros_domain: str) -> Iterator[Listener]:
    with own_node('listener') as (node, _):
        yield Listener(node)


def start_player(**parameters: object) -> subprocess.Popen:
    arguments = ['--ros-args', '-r', f'events:={TOPIC}']
    for name, value in parameters.items():
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    return subprocess.Popen(
        [sys.executable, '-m', 'sast_ros.demo.player', *arguments],
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize('type_name', [EVENT_PACKET, EVENT_ARRAY])
def test_every_message_comes_in_real_time_with_a_stamp_of_today(
    tmp_path: Path, listener: Listener, type_name: str
) -> None:
    messages = event_messages(type_name, messages=40, period_ns=20_000_000)
    path = write_recording(tmp_path, 'mcap', {TOPIC: (type_name, messages)})
    began = time.time_ns()
    listener.subscribe(type_name)
    with start_player(recording=str(path)) as player:
        listener.wait(lambda: player.poll() is not None and len(listener.received) == 40, player)
        assert player.returncode == 0
        assert 'sent 40 messages' in player.stderr.read()
    decode = open_decoder(type_name)
    played = [decode(raw) for _, raw in listener.received]
    with open_recording(path) as recording:
        recorded = list(recording)
    shift_ns = played[0].stamp_ns - recorded[0].stamp_ns
    assert began < played[0].stamp_ns < time.time_ns()
    for (arrived_ns, _), (at_ns, _), now, before in zip(
        listener.received, messages, played, recorded, strict=True
    ):
        assert now.stamp_ns == before.stamp_ns + shift_ns
        assert (now.t - before.t == shift_ns // 1000).all()
        assert (now.x == before.x).all()
        assert arrived_ns > at_ns + shift_ns  # never before its time
    assert listener.received[-1][0] - messages[-1][0] - shift_ns < 5 * 10**9


def test_it_waits_for_its_subscriptions_and_plays_only_so_much(
    tmp_path: Path, listener: Listener
) -> None:
    messages = event_messages(EVENT_PACKET, messages=40, period_ns=10_000_000)
    path = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})
    listener.subscribe(EVENT_PACKET)
    with start_player(recording=str(path), subscriptions=2, seconds=0.2) as player:
        listener.wait(lambda: listener.node.count_publishers(TOPIC) == 1, player)
        assert f'waits for 2 subscriptions of {TOPIC}' in player.stderr.readline()
        assert not listener.received
        listener.subscribe(EVENT_PACKET)
        listener.wait(lambda: player.poll() is not None, player)
        listener.wait(lambda: len(listener.received) == 2 * 20, player)
        assert player.returncode == 0


def test_a_size_may_be_given_that_the_recording_does_not_state(
    tmp_path: Path, listener: Listener
) -> None:
    events = np.zeros(2000, [('x', '<u2'), ('y', '<u2'), ('p', 'u1'), ('t', '<i8')])
    events['t'], events['x'] = 100 * np.arange(2000), np.arange(2000) % 70
    np.save(tmp_path / 'events.npy', events)
    listener.subscribe(EVENT_PACKET)
    with start_player(recording=str(tmp_path / 'events.npy'), height=60, width=80) as player:
        listener.wait(lambda: player.poll() is not None, player)
        assert player.returncode == 0
    decode = open_decoder(EVENT_PACKET)
    played = [decode(raw) for _, raw in listener.received]
    assert {(one.height, one.width) for one in played} == {(60, 80)}
    assert sum(map(len, played)) == 2000


def test_a_misspelt_parameter_is_named(ros_domain: str) -> None:
    with start_player(recordng='mine', seconds=0.1) as player:
        try:
            line = player.stderr.readline()
        finally:
            player.kill()
    assert 'no parameter recordng (did you mean recording?)' in line


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(ros_domain: str, number: int) -> None:
    with start_player() as player:
        assert 'example.mcap waits' in player.stderr.readline()
        player.send_signal(number)
        assert player.wait(30) == 0
        assert 'Traceback' not in player.stderr.read()


def test_a_recording_that_cannot_be_read_is_one_sentence(ros_domain: str, tmp_path: Path) -> None:
    with start_player(recording=str(tmp_path / 'missing.mcap')) as player:
        assert player.wait(60) == 1
        said = player.stderr.read()
    assert 'missing.mcap does not exist' in said
    assert 'Traceback' not in said


@pytest.mark.parametrize(
    ('parameters', 'facts'),
    [
        ({'subscriptions': 'two'}, ['subscriptions', 'integer']),
        ({'subscriptions': -1}, ['subscriptions', '0', '1000']),
        ({'seconds': 'all'}, ['seconds', 'double']),
        ({'seconds': -1}, ['seconds', '-1.0', '0 or more']),
        ({'loop': 'yes please'}, ['loop', 'bool']),
        ({'height': 'tall', 'width': 80}, ['height', 'integer']),
        ({'height': 60}, ['height is 60', 'width 0']),
        ({'recording_topic': 'left'}, ['no topic left', 'choose with recording_topic: ']),
    ],
)
def test_a_parameter_that_cannot_be_is_one_sentence(
    ros_domain: str, parameters: dict[str, object], facts: list[str]
) -> None:
    with start_player(**parameters) as player:
        assert player.wait(60) == 1
        said = player.stderr.read()
    assert said.count('\n') == 1 and all(fact in said for fact in facts), said


@pytest.mark.parametrize('play', INTERRUPTIONS)
def test_an_interruption_is_its_ordinary_end(
    ros_domain: str, monkeypatch: pytest.MonkeyPatch, play: Callable[[object], None]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(player_module, 'play', play)
    monkeypatch.setattr('sys.argv', ['player'])
    try:
        assert player_module.main() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
