# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The processes of a training."""

from __future__ import annotations

import os
import threading


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
