# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The processes of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import subprocess
import sys
import threading

#: What a training says of which another process has ended.
LOST_PROCESS = (
    'another process of this training has ended; what it said is above, and nothing if it was '
    'killed, such as for want of memory (see dmesg). The same command goes on from the last '
    'checkpoint'
)


def is_main_process() -> bool:
    """Return whether this process logs and writes; Lightning starts the others."""
    return int(os.environ.get('LOCAL_RANK', '0')) == 0


def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent, of this process id, has ended in any way."""

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_with_children(
    children: Sequence[subprocess.Popen[bytes]], say: Callable[[str], None]
) -> None:
    """
    End this process as soon as one of its children has failed, and tell why.

    Lightning does that too, some seconds later and without a word. No exception: the main thread
    may wait for the child for ever, in compiled code.
    """

    def watch() -> None:
        pause = threading.Event()
        codes: list[int | None] = [None]
        while None in codes:
            pause.wait(0.2)
            codes = [child.poll() for child in children]
            if any(codes):
                for child in children:
                    child.kill()
                say(LOST_PROCESS)
                if sys.stderr.isatty():
                    sys.stderr.write('\x1b[?25h')  # the cursor, which a progress bar hides
                    sys.stderr.flush()
                os._exit(1)

    if children:
        threading.Thread(target=watch, daemon=True).start()
