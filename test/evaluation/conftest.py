"""Many short recordings with labels."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import shutil
from typing import Any

from evaluation.commands import without_inputs
import numpy as np
import pytest
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.cli import main
from sast_ros.events import EventChunk
from sast_ros.events.encoders import cut_packets, EventPacketEncoder
from sast_ros.labels import BOX_DTYPE, CLASSES
from sast_ros_training.simulation.dataset import labelled_boxes
from sast_ros_training.simulation.sequence import (
    SimulatedSequence,
)

BAGS = 40
_STEP_US = 50_000
_LENGTH_US = 750_000


@dataclass(frozen=True)
class Fleet:
    """
    Recordings and how they are judged in one process.

    ``bags``: 40 of 0.75 s, with their labels beside them; ``corrupt``: one that cannot be read,
    with labels; ``out``: replays of the 40, made one after the other in this process.
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

    def figures(self, bags: list[Path], target: Path) -> dict[str, Any]:
        """Return the figures of some of them by the replays in ``out``."""
        folders = [self.out / bag.stem for bag in bags]
        out = target.with_suffix('')
        assert main(self.command('--out', out, '--json', target, bags=folders)) == 0
        return without_inputs(target)

    def check(self, target: Path, bags: list[Path]) -> None:
        """Assert that a file has the figures of these and says that ``corrupt`` is damaged."""
        serial = target.with_name('serial.json')
        assert without_inputs(target) == self.figures(bags, serial)
        (failed,) = json.loads(target.read_text())['failed']
        assert failed['input'] == str(self.corrupt)
        assert 'bag_corrupt.mcap is damaged' in failed['reason']


@pytest.fixture(scope='session')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Cut excerpts from one drive and replay them."""
    folder = tmp_path_factory.mktemp('fleet')
    drive = SimulatedSequence(4, (_LENGTH_US + BAGS * _STEP_US) / 1e6, 'gen1', 'static')
    windows = list(drive.windows())
    boxes = np.concatenate([labelled_boxes(window.labels, drive.height) for window in windows])
    bags = [
        write_excerpt(folder / f'bag_{number:02d}.mcap', drive, windows, boxes, number)
        for number in range(BAGS)
    ]
    (folder / 'dataset.json').write_text(json.dumps({'classes': CLASSES}))
    corrupt = folder / 'bag_corrupt.mcap'
    corrupt.write_bytes(bags[0].read_bytes()[:100])
    shutil.copy(folder / 'bag_00_bbox.npy', folder / 'bag_corrupt_bbox.npy')
    made = Fleet(bags, corrupt, folder / 'out')
    assert main(made.command('--out', made.out)) == 0
    return made


def write_excerpt(
    path: Path, drive: SimulatedSequence, windows: list, boxes: np.ndarray, number: int
) -> Path:
    """Write ``number`` windows later than the first 0.75 s of a drive, and their labels."""
    begin = number * _STEP_US
    last = number + _LENGTH_US // _STEP_US
    chosen = windows[number:last]
    encode = EventPacketEncoder(drive.width, drive.height, 'event_camera')
    with path.open('wb') as stream:
        bag = McapTopic(stream, '/events', 'event_camera_msgs/msg/EventPacket')
        for window in chosen:
            chunk = window.chunk
            moved = EventChunk(
                chunk.x,
                chunk.y,
                chunk.p,
                np.maximum(chunk.t - begin, 0),
                width=drive.width,
                height=drive.height,
            )
            for packet in cut_packets(moved):
                bag.write(encode(packet, 1000 * int(packet.t[0])), 1000 * int(packet.t[-1]))
        bag.finish()
    inside = boxes[(boxes['t'] > begin) & (boxes['t'] <= begin + _LENGTH_US)].copy()
    inside['t'] -= begin
    assert inside.dtype == BOX_DTYPE and (inside['t'] > 500_000).any()
    np.save(path.with_name(f'{path.stem}_bbox.npy'), inside)
    return path
