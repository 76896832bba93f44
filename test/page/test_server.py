# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The server of the live page: who is served, what a slow page receives, who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
import json
import queue
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

aiohttp = pytest.importorskip('aiohttp', reason='the live page needs aiohttp')

from sast_ros.page import PageError, PageServer  # noqa: E402 - after the skip
from sast_ros.page import server as server_module  # noqa: E402 - after the skip

PATIENCE_S = 15

#: What a page sends to open its stream.
HANDSHAKE = (
    'GET /stream HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2FzdF9yb3MgbGl2ZSBwYQ==\r\n\r\n'
)


class Told(queue.Queue):
    """What the server has reported, in order."""

    def __call__(self, *report: Any) -> None:
        self.put(report)

    def next(self) -> tuple:  # noqa: A003
        return self.get(timeout=PATIENCE_S)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def server(told):
    with PageServer('127.0.0.1', 0, told, told) as made:
        made.show_state({'topic': '/events'})
        yield made


def run(work: Coroutine) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE_S))


async def status_of(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        await answer.read()
        return answer.status


def stream(server: PageServer) -> str:
    base, _, query = server.url.partition('?')
    return f'{base}stream?{query}'


def test_the_page_and_its_parts_are_served_with_strict_headers(server):
    async def fetch() -> None:
        async with aiohttp.ClientSession() as session:
            sheets = [('theme.css', '--page'), ('page.css', '--ok')]
            for path, word in (('', '<main>'), *sheets, ('page.js', 'WebSocket')):
                async with session.get(server.url + path) as answer:
                    assert answer.status == 200
                    assert word in await answer.text()
                    policy = answer.headers['Content-Security-Policy']
                    assert policy.startswith("default-src 'none'")
                    assert 'unsafe' not in policy
            async with session.get(server.url + 'page.py') as answer:
                assert answer.status == 404

    run(fetch())


@pytest.mark.parametrize(
    'host', ['evil.example', 'evil.example:80', '192.0.2.1', 'localhost.evil']
)
def test_another_host_is_refused(server, host):
    """A web site whose name leads to 127.0.0.1."""
    assert run(status_of(server.url, Host=host)) == 403
    assert run(status_of(stream(server), Host=host)) == 403


@pytest.mark.parametrize('host', ['localhost:9000', '127.0.0.1', '[::1]:8090'])
def test_a_forwarded_port_is_served(server, host):
    assert run(status_of(server.url, Host=host)) == 200


@pytest.mark.parametrize('origin', ['http://evil.example', 'null', 'https://127.0.0.1', ''])
def test_another_origin_is_refused(server, told, origin):
    async def connect(origin: str) -> int:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(stream(server), headers={'Origin': origin}):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    assert run(connect(origin)) == 403
    assert told.empty()
    assert run(connect(server.url.rstrip('/'))) == 101
    assert told.next() == (True,)


def test_other_addresses_need_the_token(told):
    with PageServer('0.0.0.0', 0, told, told) as server:
        assert f'http://{socket.gethostname()}:' in server.url  # which other machines resolve
        local = server.url.replace(socket.gethostname(), '127.0.0.1')
        address, token = local.split('?token=')
        assert len(token) >= 20
        with PageServer('0.0.0.0', 0, told, told) as other:
            assert not other.url.endswith(token)
        assert run(status_of(f'{address}?token={token}', Host='robot.local')) == 200
        assert run(status_of(f'{address}stream?token={token}')) != 403
        for part in ('theme.css', 'page.css', 'page.js'):  # which the page asks for without it
            assert run(status_of(address + part)) == 200
        for wrong in ('', '?token=', f'?token={token[:-1]}', '?token=%C3%A9'):
            assert run(status_of(address + wrong)) == 403
            assert run(status_of(f'{address}stream{wrong}')) == 403


def test_it_is_told_when_the_first_page_comes_and_the_last_goes(server, told):
    async def visit() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(stream(server)),
            session.ws_connect(stream(server)) as second,
        ):
            await second.send_json({'name': 'a', 'value': 1})
            while told.qsize() < 2:
                await asyncio.sleep(0)

    run(visit())
    assert [told.next() for _ in range(3)] == [(True,), ('a', 1), (False,)]
    assert told.empty()


def test_a_slow_page_gets_the_newest_picture_when_it_has_drawn(server):
    async def visit() -> list[bytes]:
        received = []
        async with aiohttp.ClientSession() as session, session.ws_connect(stream(server)) as page:
            await page.receive_json()
            for number in range(server_module.MAX_UNDRAWN):
                server.show_picture(b'first %d' % number)
                received.append(await page.receive_bytes())
            for number in range(100):
                server.show_picture(b'%d' % number)
            server.show_state({'message': 'behind the pictures'})
            state = await page.receive_json()
            assert state['message'] == 'behind the pictures'
            await page.send_json('drawn')
            received.append(await page.receive_bytes())
        return received

    assert run(visit()) == [b'first 0', b'first 1', b'99']


def test_a_page_that_comes_late_gets_the_state_but_no_old_notice_and_figures(server):
    server.show_state({'message': 'waiting', 'notice': 'refused'})
    server.show_state({'message': 'detecting', 'sample': {'rate': 1.0}})

    async def visit() -> dict:
        async with aiohttp.ClientSession() as session, session.ws_connect(stream(server)) as page:
            return await page.receive_json()

    assert run(visit()) == {'topic': '/events', 'message': 'detecting'}


@pytest.mark.parametrize(
    'text',
    ['', '{', '1', '[]', '{}', '{"name": "a"}', '[' * 4000, 'x' * (server_module.MAX_MESSAGE + 1)],
    ids=lambda text: text[:12] or 'empty',
)
def test_a_page_that_sends_anything_else_is_disconnected(server, told, text):
    async def visit() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(stream(server)) as page:
            await page.receive_json()
            await page.send_str(text)
            assert (await page.receive()).type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
            )

    run(visit())
    assert [told.next(), told.next()] == [(True,), (False,)]
    assert json.dumps(run(status_of(server.url))) == '200'


def test_a_page_that_takes_nothing_does_not_hold_up_the_end(told):
    """A phone that sleeps: its connection is there, and full."""
    with PageServer('127.0.0.1', 0, told, told) as server, socket.socket() as page:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = urlsplit(server.url)
        page.connect((address.hostname, address.port))
        page.sendall(HANDSHAKE.format(address.netloc).encode())
        assert told.next() == (True,)
        for _ in range(server_module.MAX_UNDRAWN):
            server.show_picture(bytes(4 << 20))
        end = threading.Thread(target=server.__exit__, daemon=True)
        end.start()
        end.join(PATIENCE_S)
        assert not end.is_alive()
        assert told.next() == (False,)


def test_there_are_not_more_pages_than_the_limit(server, monkeypatch):
    monkeypatch.setattr(server_module, 'MAX_PAGES', 2)

    async def visit() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(stream(server)),
            session.ws_connect(stream(server)),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(stream(server))
            assert refused.value.status == 503

    run(visit())


def test_an_address_that_cannot_be_used_is_named(server, told):
    port = int(server.url.split(':')[2].strip('/'))
    with pytest.raises(PageError, match=str(port)):
        PageServer('127.0.0.1', port, told, told).__enter__()
    with pytest.raises(PageError, match='192.0.2.1'):
        PageServer('192.0.2.1', 0, told, told).__enter__()
    with pytest.raises(PageError, match=r'127\.0\.\.1'):
        PageServer('127.0..1', 0, told, told).__enter__()
