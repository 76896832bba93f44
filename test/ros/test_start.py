# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The executables before ROS 2 is imported."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys

import pytest

PROGRAM = 'import sys; from sast_ros.ros.start import _run; sys.exit(_run("slow"))'


@pytest.mark.parametrize('request_to_leave', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('phase', ['import', 'main'])
def test_a_signal_while_modules_are_imported_ends_a_program_without_a_word(
    tmp_path: Path, request_to_leave: int, phase: str
) -> None:
    wait = 'print("here", flush=True); time.sleep(60)'
    (tmp_path / 'slow.py').write_text(
        f'import time\n{wait if phase == "import" else ""}\n'
        f'def main():\n    try:\n        {wait}\n    except KeyboardInterrupt:\n        return 7\n'
    )
    program = f'import sys; sys.path.insert(0, {str(tmp_path)!r}); {PROGRAM}'
    with subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == 'here\n'
        process.send_signal(request_to_leave)
        said, code = process.stdout.read(), process.wait()
    # Afterwards it is up to the program
    expected = {signal.SIGINT: 7, signal.SIGTERM: -signal.SIGTERM}[request_to_leave]
    assert (said, code) == ('', 0 if phase == 'import' else expected)
