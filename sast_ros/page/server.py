# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Web server of the live page.

It runs in a thread of its own. Files of the page come from this folder, everything else goes
through one websocket: JPEG pictures as binary messages, state as JSON to the page, changes of
settings as JSON from it. A page gets the newest picture when it has drawn the one before, so that
a slow one sees fewer pictures instead of old ones, and memory does not grow.

Who may use it: without a token, any program of this machine (the address is a loopback one), but
no web site that runs in its browser; hence the checks of ``Host`` (DNS rebinding) and ``Origin``.
On other addresses, who knows the token, which is part of the URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import contextlib
from importlib import resources
import json
import secrets
import threading
from typing import Any

from aiohttp import web, WSCloseCode, WSMsgType
from sast_ros.errors import SastError
from sast_ros.process import is_loopback, reachable_host

#: Pages that are served at a time, and bytes of a message from one.
MAX_PAGES = 16
MAX_MESSAGE = 4096

#: Pictures that a page may have received without having drawn them.
MAX_UNDRAWN = 2

#: Seconds between two signs of life that a page must answer.
_HEARTBEAT_S = 10.0
_START_PATIENCE_S = 10.0

#: Longest wait for a page to take what is left and say goodbye, seconds.
_PARTING_S = 1.0

_FILES = {
    '/': ('page/page.html', 'text/html'),
    '/theme.css': ('theme.css', 'text/css'),
    '/page.css': ('page/page.css', 'text/css'),
    '/page.js': ('page/page.js', 'text/javascript'),
}

_HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}


class PageError(SastError, RuntimeError):
    """The page cannot be served."""


class PageServer:
    """
    Serve the live page while a ``with`` block lasts.

    Parameters
    ----------
    host : str
        Address to listen on. Without a token only for a loopback one.
    port : int
        Port to listen on; 0 for any free one.
    on_watched : callable
        Called with ``True`` when the first page has connected and with ``False`` when the last
        has gone, in the thread of the server.
    on_setting : callable
        Called with name and value of a setting that a page changes, in the thread of the server.
        The value is what JSON holds; it is not checked.

    Raises
    ------
    PageError
        The address cannot be used, when the block is entered.

    """

    def __init__(
        self,
        host: str,
        port: int,
        on_watched: Callable[[bool], None],
        on_setting: Callable[[str, Any], None],
    ) -> None:
        self._host, self._port = host, port
        self._on_watched, self._on_setting = on_watched, on_setting
        self.token = '' if is_loopback(host) else secrets.token_urlsafe(16)
        self._pages: set[_Page] = set()
        self._watched = False
        self._state: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: OSError | UnicodeError | None = None
        self._thread = threading.Thread(target=self._run, name='live page', daemon=True)

    def __enter__(self) -> PageServer:
        """Start to listen."""
        self._thread.start()
        self._started.wait(_START_PATIENCE_S)
        if self._failure is not None:
            reason = getattr(self._failure, 'strerror', None) or self._failure
            raise PageError(
                f'the page cannot be served on {self._host} port {self._port} '
                f'({reason}); choose another --host or --port (of a node: page.host, page.port)'
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect all pages and stop."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Address of the page, with the token."""
        host = reachable_host(self._host)
        return f'http://{host}:{self._port}/' + (f'?token={self.token}' if self.token else '')

    def show_picture(self, jpeg: bytes) -> None:
        """Give the newest picture to all pages; from any thread."""
        self._call(self._give_picture, jpeg)

    def show_state(self, state: dict[str, Any]) -> None:
        """Merge values into the state of the page, and give them to all pages; from any thread."""
        self._call(self._give_state, state)

    def _call(self, function: Callable[..., None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, value)

    # ----------------------------------------------------------------- in the thread of the server

    def _give_picture(self, jpeg: bytes) -> None:
        for page in self._pages:
            page.picture = jpeg
            page.news.set()

    def _give_state(self, state: dict[str, Any]) -> None:
        self._state |= state
        for passing in ('notice', 'sample'):  # for those who are there
            self._state.pop(passing, None)
        for page in self._pages:
            page.state |= state
            page.news.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_MESSAGE)
        for path in _FILES:
            application.router.add_get(path, _send_file)
        application.router.add_get('/stream', self._stream)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_PARTING_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._stop.wait()
            leave = [page.close(WSCloseCode.GOING_AWAY) for page in self._pages]
            await asyncio.gather(*leave)
        except (OSError, UnicodeError) as error:  # the latter: a name that none can be
            self._failure = error
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuse what does not come from the page itself, or does not know the token."""
        origin = request.headers.get('Origin')
        if self.token:
            given = request.query.get('token', '').encode()
            public = request.path in _FILES and request.path != '/'
            allowed = public or secrets.compare_digest(given, self.token.encode())
        else:
            allowed = is_loopback(request.url.host or '')
        if not allowed or origin not in (None, f'http://{request.host}'):
            raise web.HTTPForbidden(text='Forbidden: open the address that the command printed.\n')
        return await handler(request)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one page until it goes."""
        if len(self._pages) >= MAX_PAGES:
            raise web.HTTPServiceUnavailable(text='Too many pages are open.\n')
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, max_msg_size=MAX_MESSAGE, compress=False
        )
        page = _Page(socket)
        self._pages.add(page)  # before anything is awaited: the limit holds
        try:
            await socket.prepare(request)
            page.state = dict(self._state)
            page.news.set()
            self._report_watched()
            sender = asyncio.ensure_future(page.send_all())
            try:
                await self._receive(page)
            finally:
                sender.cancel()
        finally:
            self._pages.discard(page)
            self._report_watched()
        return socket

    def _report_watched(self) -> None:
        if self._watched != bool(self._pages):
            self._watched = bool(self._pages)
            self._on_watched(self._watched)

    async def _receive(self, page: _Page) -> None:
        async for message in page.socket:
            if message.type != WSMsgType.TEXT:
                return
            try:
                content = json.loads(message.data)
                if content == 'drawn':
                    page.undrawn = max(0, page.undrawn - 1)
                    page.news.set()
                else:
                    self._on_setting(str(content['name']), content['value'])
            except (ValueError, TypeError, KeyError, RecursionError):
                await page.close(WSCloseCode.UNSUPPORTED_DATA)
                return


class _Page:
    """A page that is connected, and what it has not received yet."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.picture: bytes | None = None
        self.undrawn = 0
        self.state: dict[str, Any] = {}
        self.news = asyncio.Event()

    async def close(self, code: WSCloseCode) -> None:
        """End the connection; one that takes nothing any more is left to its transport."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.socket.close(code=code), _PARTING_S)

    async def send_all(self) -> None:
        """Send what there is, until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.news.wait()
                self.news.clear()
                if self.state:
                    state, self.state = self.state, {}
                    await self.socket.send_str(json.dumps(state))
                if self.picture is not None and self.undrawn < MAX_UNDRAWN:
                    picture, self.picture = self.picture, None
                    self.undrawn += 1
                    await self.socket.send_bytes(picture)


async def _send_file(request: web.Request) -> web.Response:
    name, kind = _FILES[request.path]
    text = resources.files('sast_ros').joinpath(name).read_text(encoding='utf-8')
    return web.Response(text=text, content_type=kind, headers=_HEADERS)
