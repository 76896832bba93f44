# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import base64
from collections.abc import Callable
import json
import os
from pathlib import Path
import select
import shutil
import subprocess
import sys
import time
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
NO_CHROMIUM = 'no Chromium: install the package chromium (apt install chromium)'

PATIENCE_S = 60.0

#: Becomes Chromium, with the two descriptors as 3 and 4. Moved above them first, as one may be 3
#: or 4. Not in preexec_fn, which can hang a process with threads.
_CONNECT = """
import os, sys
one, other = (os.dup2(int(text), place) for text, place in zip(sys.argv[1:3], (30, 31)))
os.dup2(one, 3)
os.dup2(other, 4)
os.closerange(5, 256)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """
    One tab, while a ``with`` block lasts.

    Parameters
    ----------
    profile : Path
        Folder for the profile.
    *flags : str
        Further options of Chromium.

    Attributes
    ----------
    problems : list of str
        Errors and warnings of the console, exceptions, and requests that failed.
    hosts : set of str
        URLs up to the path that were requested.

    """

    def __init__(self, profile: Path, *flags: str) -> None:
        self._command = [
            str(CHROMIUM),
            '--headless=new',
            '--no-sandbox',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-dev-shm-usage',
            '--hide-scrollbars',
            '--no-first-run',
            '--remote-debugging-pipe',
            f'--user-data-dir={profile}',
            *(flags or ('--disable-gpu',)),
            'about:blank',
        ]
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self._answers: dict[int, Any] = {}
        self._count = 0
        self._buffer = b''
        self._session = ''

    def __enter__(self) -> Browser:
        """Start Chromium; it reads from its descriptor 3 and writes to 4."""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, '-c', _CONNECT, str(theirs_in), str(theirs_out), *self._command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self.call('Target.getTargets')['targetInfos']
        page = next(target for target in targets if target['type'] == 'page')
        attached = self.call('Target.attachToTarget', targetId=page['targetId'], flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        return self

    def __exit__(self, *exception: object) -> None:
        """End Chromium."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._count += 1
        message = {'id': self._count, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        limit = time.monotonic() + PATIENCE_S
        while self._count not in self._answers:
            assert time.monotonic() < limit, f'no answer of Chromium to {method}'
            self._read(limit - time.monotonic())
        answer = self._answers.pop(self._count)
        assert 'error' not in answer, f'{method}: {answer["error"]}'
        return answer['result']

    def _read(self, seconds: float) -> None:
        """Read what there is, for which it waits so long at most."""
        if not select.select([self._in], [], [], max(seconds, 0))[0]:
            return
        data = os.read(self._in, 1 << 20)
        assert data, f'Chromium has ended with {self._process.wait()}'
        *messages, self._buffer = (self._buffer + data).split(b'\0')
        for message in map(json.loads, messages):
            if 'id' in message:
                self._answers[message['id']] = message
            else:
                self._notice(message['method'], message['params'])

    def _notice(self, event: str, content: dict[str, Any]) -> None:
        if event == 'Runtime.consoleAPICalled' and content['type'] in ('error', 'warning'):
            self.problems.append(str([one.get('value') for one in content['args']]))
        elif event == 'Runtime.exceptionThrown':
            self.problems.append(str(content['exceptionDetails']))
        elif event == 'Log.entryAdded' and content['entry']['level'] in ('error', 'warning'):
            self.problems.append(f'{content["entry"]["text"]} {content["entry"].get("url")}')
        elif event == 'Network.requestWillBeSent':
            self.hosts.add('/'.join(content['request']['url'].split('/')[:3]))

    def open(self, url: str) -> None:  # noqa: A003
        """Go to a page."""
        self.call('Page.navigate', url=url)
        self.wait_for("document.readyState === 'complete'")

    def show_as(
        self, width: int, height: int, *, scheme: str = 'light', phone: bool = False
    ) -> None:
        """Set size in CSS pixels and colour scheme."""
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call(
            'Emulation.setEmulatedMedia',
            features=[{'name': 'prefers-color-scheme', 'value': scheme}],
        )

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.call(
            'Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def wait_for(
        self,
        script: str,
        patience: float = PATIENCE_S,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Any:
        """Wait until an expression is true, and return its value."""
        limit = time.monotonic() + patience
        while not (value := self.evaluate(script)):
            assert time.monotonic() < limit, f'waited in vain for {script}: {self.problems}'
            self._read(0.1)
            meanwhile()
        return value

    def screenshot(self, path: Path) -> Path:
        """Write what is visible as PNG."""
        data = self.call('Page.captureScreenshot', format='png')['data']
        path.write_bytes(base64.b64decode(data))
        return path
