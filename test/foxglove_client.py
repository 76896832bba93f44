# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A client of a server for Foxglove, as the viewer is one; ROS messages decoded by mcap_ros2."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
import json
import struct
from typing import Any

import aiohttp
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory

PROTOCOL = 'foxglove.sdk.v1'
PATIENCE_S = 60


class Client:
    """One connection; ``heard`` are stamp (ns) and decoded message of each topic."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.channels: dict[str, dict[str, Any]] = {}
        self.heard: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self._decoders: dict[int, tuple[str, Callable[[bytes], Any]]] = {}

    async def wait_for(self, condition: Callable[[], object]) -> None:
        """Receive until a condition is met; ``ConnectionError`` where the server ends first."""
        while not condition():
            message = await self._socket.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                raise ConnectionError('the server has closed the connection')
            self._take(message.data)

    async def subscribe(self, *topics: str) -> None:
        """Subscribe, and know how to decode."""
        await self.wait_for(lambda: self.channels.keys() >= set(topics))
        subscriptions = []
        for topic in topics:
            channel = self.channels[topic]
            identifier = 100 + channel['id']
            self._decoders[identifier] = topic, decoder_of(channel)
            subscriptions.append({'id': identifier, 'channelId': channel['id']})
        await self._socket.send_json({'op': 'subscribe', 'subscriptions': subscriptions})

    def _take(self, data: str | bytes) -> None:
        if isinstance(data, str):
            message = json.loads(data)
            if message['op'] == 'advertise':
                self.channels |= {channel['topic']: channel for channel in message['channels']}
            return
        code, identifier, stamp_ns = struct.unpack_from('<BIQ', data)
        assert code == 1, 'a message of a subscription'
        topic, decode = self._decoders[identifier]
        self.heard[topic].append((stamp_ns, decode(data[13:])))


def decoder_of(channel: dict[str, Any]) -> Callable[[bytes], Any]:
    """Return what decodes the messages of a channel, by its own description alone."""
    if channel['encoding'] == 'json':
        return json.loads
    schema = Schema(
        id=channel['id'],
        name=channel['schemaName'],
        encoding=channel['schemaEncoding'],
        data=channel['schema'].encode(),
    )
    decode = DecoderFactory().decoder_for(channel['encoding'], schema)
    assert decode is not None
    return decode


def visit(url: str, work: Callable[[Client], Awaitable[Any]]) -> Client:
    """Connect, do the work, and return the client."""

    async def connect() -> Client:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=[PROTOCOL]) as socket,
        ):
            client = Client(socket)
            await work(client)
            return client

    return run(connect())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE_S))
