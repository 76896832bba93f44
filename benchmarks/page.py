# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The live page beside the detector: pictures that Chromium draws a second, and memory.

    python benchmarks/page.py [RECORDING] [--seconds 60] [--json FILE]

`sast-ros view RECORDING --page` (default: the bundled recording, played again and again) and
headless Chromium run on the same machine. After ten seconds the pictures that the page draws are
counted for the time given. Memory is that of the detector node and of the page's own process (MB,
resident) and the JavaScript heap of the page after a collection, at the beginning and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import importlib
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

from sast_ros.bench.node import memory_mb
from workload import host, new_parser, REPOSITORY, write_results

sys.path.append(str(REPOSITORY / 'test'))
# What drives Chromium and commands for the tests
Browser = importlib.import_module('browser').Browser
Program = importlib.import_module('program').Program

_SETTLING_S = 10.0


@contextlib.contextmanager
def served(recording: str) -> Iterator[tuple[int, str]]:
    """Let the command run; yield its process number and the address of the page."""
    path = Path(recording)  # the command runs in a folder of its own
    recording = str(path.resolve()) if path.exists() else recording
    command = ('sast_ros', 'view', recording, '--page', '--port', '0')
    with tempfile.TemporaryDirectory() as folder, Program(Path(folder), *command) as program:
        try:
            yield program.process.pid, program.wait_for(r'(http://\S+)')
        finally:
            program.end()


def resident_mb(parent: int) -> dict[str, float]:
    """Return the memory of the page's process, and of the detector that it has started."""
    sizes = {'page': memory_mb(parent)['resident']}
    children = Path(f'/proc/{parent}/task/{parent}/children').read_text().split()
    for child in children:
        if b'detector_node' in Path(f'/proc/{child}/cmdline').read_bytes():
            sizes['node'] = memory_mb(int(child))['resident']
    return sizes


def look(browser: Any, parent: int) -> dict[str, Any]:
    """Return pictures so far, and memory."""
    browser.call('HeapProfiler.collectGarbage')
    heap = browser.call('Runtime.getHeapUsage')['usedSize'] / 1e6
    seen = {'time': time.monotonic(), 'pictures': browser.evaluate('page.pictures')}
    return seen | {'memory_mb': resident_mb(parent) | {'heap of the page': heap}}


def main() -> int:
    """Measure and report."""
    parser = new_parser(__doc__)
    parser.add_argument('recording', nargs='?', default='example')
    parser.add_argument('--seconds', type=float, default=60.0)
    arguments = parser.parse_args()
    with (
        served(arguments.recording) as (parent, url),
        tempfile.TemporaryDirectory() as folder,
        Browser(Path(folder) / 'profile') as browser,
    ):
        browser.show_as(1280, 900)
        browser.open(url)
        browser.wait_for('page.pictures > 0')
        time.sleep(_SETTLING_S)
        first = look(browser, parent)
        time.sleep(arguments.seconds)
        last = look(browser, parent)
        problems = browser.problems
    rate = (last['pictures'] - first['pictures']) / (last['time'] - first['time'])
    print(f'{rate:.1f} pictures a second')
    for name, size in first['memory_mb'].items():
        print(
            f'{name}: {size:.1f} MB, {arguments.seconds:g} s later {last["memory_mb"][name]:.1f}'
        )
    for problem in problems:
        print('in the console:', problem)
    about = host()
    print(', '.join(f'{name} {value}' for name, value in about.items()))
    content = {'host': about, 'pictures_per_s': rate, 'first': first, 'last': last}
    write_results(arguments.json, content)
    return 0


if __name__ == '__main__':
    sys.exit(main())
