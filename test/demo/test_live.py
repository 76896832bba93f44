# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Logs of several recordings that are shown at the same time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from sast_ros.demo import live, processes
from sast_ros.example import EXAMPLE
from sast_ros.output import lock_folder


def test_each_recording_that_is_shown_has_its_own_logs(tmp_path: Path, monkeypatch):
    """Otherwise the reason why one has ended would be looked for in the log of another."""

    class Child(ExitStack):
        """Writes its log, without a process."""

        def __init__(self, name: str, module: str, arguments: list[str], log: Path) -> None:
            super().__init__()
            log.write_text(name)

        def exit_code(self) -> None:
            return None

    monkeypatch.setattr(processes, 'Child', Child)
    folder, said = tmp_path / 'out' / 'view', []

    def playing():
        return live.playing(folder, EXAMPLE, None, {}, said.append)

    with playing(), playing() as check:
        check()
        logs = {path.relative_to(folder.parent).as_posix() for path in tmp_path.rglob('*.log')}
        assert logs == {
            *('view/node.log', 'view/player.log'),
            *('view-2/node.log', 'view-2/player.log'),
        }
    assert said[1].endswith('view-2')
    with playing(), lock_folder(folder.with_name('view-2')):  # both are free again
        assert said[2].endswith('out/view')
