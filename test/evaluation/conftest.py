# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Many short recordings with labels."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import shutil
from typing import Any

from evaluation.commands import without_inputs
from evaluation.labelled_recordings import write_labelled_recordings
import pytest
from sast_ros.cli import main


@dataclass(frozen=True)
class Batch:
    """
    Recordings, and their evaluation in one process.

    ``bags``: 40 of 0.75 s, with their labels beside them; ``corrupt``: one that cannot be read,
    with labels; ``out``: replays of the 20, made one after the other in this process.
    """

    bags: list[Path]
    corrupt: Path
    out: Path

    def command(self, *arguments: object, bags: list[Path] | None = None) -> list[str]:
        """Return the arguments of ``sast-ros evaluate`` for recordings."""
        paths = self.bags if bags is None else bags
        labels = self.corrupt.parent
        words = [*paths, '--labels', labels, '--stride-ms', '100', *arguments]
        return ['evaluate', *map(str, words)]

    def metrics(self, bags: list[Path], target: Path) -> dict[str, Any]:
        """Return the metrics of some of them by the replays in ``out``."""
        folders = [self.out / bag.stem for bag in bags]
        out = target.with_suffix('')
        assert main(self.command('--out', out, '--json', target, bags=folders)) == 0
        return without_inputs(target)

    def check(self, target: Path, bags: list[Path]) -> None:
        """Assert that a file has the metrics of these and says that ``corrupt`` is damaged."""
        serial = target.with_name('serial.json')
        assert without_inputs(target) == self.metrics(bags, serial)
        (failed,) = json.loads(target.read_text())['failed']
        assert failed['input'] == str(self.corrupt)
        assert 'bag_corrupt.mcap is damaged' in failed['reason']


@pytest.fixture(scope='session')
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Write recordings and replay them."""
    folder = tmp_path_factory.mktemp('batch')
    bags = write_labelled_recordings(folder, [f'bag_{number:02}' for number in range(20)], 0.75)
    corrupt = folder / 'bag_corrupt.mcap'
    corrupt.write_bytes(bags[0].read_bytes()[:100])
    shutil.copy(folder / 'bag_00_bbox.npy', folder / 'bag_corrupt_bbox.npy')
    made = Batch(bags, corrupt, folder / 'out')
    assert main(made.command('--out', made.out)) == 0
    return made
