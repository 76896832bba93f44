# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The processes of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import signal
import subprocess
import sys
import threading

#: What a training says of which another process has ended.
LOST_PROCESS = (
    'another process of this training has ended; what it said is above, and nothing if it was '
    'killed, such as for want of memory (see dmesg). The same command goes on from the last '
    'checkpoint'
)

#: Exit codes of a process that was interrupted, by ^C as this one is.
_INTERRUPTED = (130, -signal.SIGINT)


def is_main_process() -> bool:
    """Return whether this process logs and writes; Lightning starts the others."""
    return int(os.environ.get('LOCAL_RANK', '0')) == 0


def end_quietly() -> None:
    """
    End this process, unless it is the main one, which was interrupted as well or tells why.

    Lightning kills the main process as soon as another has failed, in the midst of its own end.
    """
    if not is_main_process():
        os._exit(0)


def end_with_children(
    children: Sequence[subprocess.Popen[bytes]], say: Callable[[str], None]
) -> threading.Event:
    """
    End this process as soon as one of its children has failed, and tell why.

    Lightning does that too, some seconds later and without a word. No exception: the main thread
    may wait for the child for ever, in compiled code.

    Returns
    -------
    threading.Event
        To be set when this process ends for a reason of its own, which ends the children as well.

    """
    stop = threading.Event()

    def watch() -> None:
        codes: list[int | None] = [None]
        while None in codes and not stop.wait(0.2):
            codes = [child.poll() for child in children]
            if any(code not in (None, 0, *_INTERRUPTED) for code in codes):
                for child in children:
                    child.kill()
                say(LOST_PROCESS)
                if sys.stderr.isatty():
                    sys.stderr.write('\x1b[?25h')  # the cursor, which a progress bar hides
                    sys.stderr.flush()
                os._exit(1)

    if children:
        threading.Thread(target=watch, daemon=True).start()
    return stop
