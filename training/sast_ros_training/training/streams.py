# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Batches for recurrent training: parallel streams of consecutive windows.

Each stream runs through clips of sequences. Its next clip depends on the seed and on how many
clips it has had, never on a running generator: the position of all streams is a short list of
numbers, and a training that resumes sees the batches that it would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros_training.training.augmentation import (
    Augmentation,
    AugmentationMap,
    sample_augmentation,
    sample_noise,
    sample_step,
)
from sast_ros_training.training.cache import CachedSequence, list_sequences
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.labels import LabelMemory, split_labels
import torch
from torch import Tensor
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, get_worker_info, IterableDataset

#: Batches that are made ahead.
_AHEAD = 3

#: Of a window: targets, ignored regions, whether it is labelled.
_Row = tuple[np.ndarray, np.ndarray, bool]


@dataclass(slots=True)
class Batch:
    """One step of all streams of a process."""

    #: ``uint8[windows, streams, channels, H, W]``, padded.
    histograms: Tensor
    #: Targets, ``float32[windows * streams, T, 5]`` class, cx, cy, w, h in input pixels; rows of
    #: zeros are padding.
    labels: Tensor
    #: Regions without loss, ``float32[windows * streams, I, 4]`` x1, y1, x2, y2; padded alike.
    ignored: Tensor
    #: ``int64[L]``, the rows of the two that belong to labelled windows.
    labelled: Tensor
    #: ``bool[streams]``, which of them start with a zero state.
    fresh: Tensor
    #: Of the streams behind this batch, for a checkpoint.
    positions: list[dict[str, Any]]

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """Return the batch with its tensors on the device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in memory from which a GPU copies."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        tensors = (name for name in self.__slots__ if name != 'positions')
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in tensors}
        return replace(self, **changed)


class SplitBatch:
    """A batch in ``parts``, which have streams that are next to each other."""

    def __init__(self, parts: Sequence[Batch]) -> None:
        self.parts = parts

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """Return the batch as one, on the device: merging there takes no time."""
        parts = [part.to(device, non_blocking=non_blocking) for part in self.parts]

        def merge(name: str) -> Tensor:
            rows = [getattr(part, name) for part in parts]
            most = max(part.shape[1] for part in rows)
            return torch.cat(
                [
                    F.pad(part, (0, 0, 0, most - part.shape[1])).unflatten(0, (windows, -1))
                    for part in rows
                ],
                dim=1,
            ).flatten(0, 1)

        histograms = torch.cat([part.histograms for part in parts], dim=1)
        windows = len(histograms)
        labelled = []
        for part in parts:
            mark = torch.zeros(windows * part.histograms.shape[1], dtype=torch.bool, device=device)
            labelled.append(mark.index_fill_(0, part.labelled, 1).view(windows, -1))
        return Batch(
            histograms,
            merge('labels'),
            merge('ignored'),
            torch.cat(labelled, dim=1).flatten().nonzero()[:, 0],
            torch.cat([part.fresh for part in parts]),
            [position for part in parts for position in part.positions],
        )


@dataclass
class _Clip:
    """
    Windows of a sequence, every ``step``-th; ``window`` is the next one of ``first`` to ``end``.

    ``end`` is behind the last one, by ``step``.
    """

    ordinal: int
    name: str
    first: int
    window: int
    end: int
    augmentation: Augmentation
    step: int = 1


class _Stream:
    """
    Stream ``index`` of ``count`` of its kind, over all processes.

    Its clips start ``anywhere`` in a sequence, or they are whole sequences.
    """

    def __init__(
        self, folder: Path, config: TrainingConfig, index: int, count: int, anywhere: bool
    ) -> None:
        self._folder, self._config = folder, config
        self._seed = (config.seed, int(anywhere))
        self._index, self._count, self._anywhere = index, count, anywhere
        self._network = config.network()
        self._clip: _Clip | None = None
        self._sequence: CachedSequence | None = None

    def position(self) -> dict[str, Any]:
        """Return where the stream is, as plain values."""
        return {} if self._clip is None else asdict(self._clip)

    def seek(self, position: dict[str, Any]) -> None:
        """Continue at a position; with the next clip if its sequence is another one now."""
        if not position:
            return
        augmentation = Augmentation(**position['augmentation'])
        clip = _Clip(**{**position, 'augmentation': augmentation})
        path = self._folder / clip.name
        sequence = CachedSequence(path) if path.exists() else None
        in_order = clip.step >= 1 and 0 <= clip.first <= clip.window <= clip.end
        if sequence is None or not in_order or clip.end >= clip.step + len(sequence):
            self._clip = replace(clip, window=clip.end, step=1)
            return
        self._enter(clip, sequence)
        for window in range(clip.first, clip.window, clip.step):
            self._memory.note(sequence.labels(window))

    def fill(self, cells: np.ndarray) -> tuple[bool, list[_Row]]:
        """
        Fill ``uint8[windows, channels, H, W]`` of zeros with the next windows.

        Returns whether a clip begins with them, and a row for each.
        """
        before = self._clip
        fresh = before is None or before.window + len(cells) * before.step > before.end
        if fresh:
            self._enter(*self._draw(len(cells)))
        clip, sequence = self._clip, self._sequence
        assert clip is not None and sequence is not None
        rows = []
        for target in cells:
            window = clip.window
            self._map.scatter(*sequence.sparse(window), target)
            if clip.augmentation.noise_hz:
                seed = (*self._seed, 4, self._index, clip.ordinal, window)
                self._map.add_noise(target, np.random.default_rng(seed))
            labels = self._memory.note(sequence.labels(window))
            rows.append((*split_labels(labels, self._map), bool(sequence.labelled[window])))
            clip.window += clip.step
        return fresh, rows

    def _draw(self, windows: int) -> tuple[_Clip, CachedSequence]:
        ordinal = 0 if self._clip is None else self._clip.ordinal + 1
        paths = list_sequences(self._folder)
        seed = self._seed
        for _ in range(len(paths)):
            # All streams of a kind together go through the sequences in one order, then in
            # another.
            epoch, number = divmod(ordinal * self._count + self._index, len(paths))
            order = np.random.default_rng([*seed, 0, epoch]).permutation(len(paths))
            sequence = CachedSequence(paths[order[number]])
            if len(sequence) >= windows:
                break
            ordinal += 1
        else:
            raise TrainingDataError(
                f'{self._folder}: holds no sequence of at least {windows} windows; make data '
                'first, or correct data.cache of the configuration'
            )
        rng = np.random.default_rng([*seed, 1, self._index, ordinal])
        # By generators of their own, so that the other clips are the same whatever the shares of
        # those with steps and noise
        steps = np.random.default_rng([*seed, 2, self._index, ordinal])
        step = sample_step(
            self._config.augmentation, sequence.info, len(sequence) // windows, steps
        )
        phase = int(steps.integers(step))
        shown = len(range(phase, len(sequence), step))
        first, length = 0, shown
        if self._anywhere:
            low, high = self._config.streams.random_windows
            length = min(int(rng.integers(low, high + 1)), shown)
            first = int(rng.integers(0, shown - length + 1))
        first, end = phase + first * step, phase + (first + length) * step
        _, height, width = sequence.info.shape
        augmentation = sample_augmentation(
            self._config.augmentation, (height, width), self._network.frame, rng
        )
        noise = np.random.default_rng([*seed, 3, self._index, ordinal])
        augmentation = replace(
            augmentation, noise_hz=sample_noise(self._config.augmentation, noise)
        )
        clip = _Clip(ordinal, sequence.path.name, first, first, end, augmentation, step)
        return clip, sequence

    def _enter(self, clip: _Clip, sequence: CachedSequence) -> None:
        sequence.require(self._network)
        self._clip, self._sequence = clip, sequence
        self._map = AugmentationMap(
            clip.augmentation, sequence.info, self._network.frame, self._network.downsample
        )
        self._memory = LabelMemory(sequence.info.stride_ms, clip.step)


class StreamLoader:
    """
    Endless batches of process ``rank`` of ``world``, made ahead in the background.

    They are made in a thread, or in further ``processes``, for a GPU that waits for them: each has
    its part of the streams. ``folder``, the training sequences of the cache, may grow meanwhile.
    """

    def __init__(
        self, folder: Path, config: TrainingConfig, rank: int, world: int, processes: int = 0
    ) -> None:
        self._windows, self._processes = config.streams.windows, processes
        network = config.network()
        self._shape = (network.channels, *network.input_size)
        count = config.streams.streams
        random = round(config.streams.random_share * count * world)
        self._streams = []
        for index in range(rank * count, (rank + 1) * count):
            # Dealt out evenly over the processes
            before = index * random // (count * world)
            anywhere = (index + 1) * random // (count * world) > before
            place = before if anywhere else index - before
            kinds = random if anywhere else count * world - random
            self._streams.append(_Stream(folder, config, place, kinds, anywhere))

    def seek(self, positions: list[dict[str, Any]]) -> bool:
        """Continue behind a batch; return False if it had another number of streams."""
        if len(positions) != len(self._streams):
            return False
        for stream, position in zip(self._streams, positions):
            stream.seek(position)
        return True

    def __iter__(self) -> Iterator[Batch | SplitBatch]:
        """Yield batches for ever."""
        if self._processes:
            yield from self._from_processes()
        with ThreadPoolExecutor(1) as maker:
            ahead = deque(maker.submit(self.next_batch) for _ in range(_AHEAD))
            while True:
                batch = ahead.popleft().result()
                ahead.append(maker.submit(self.next_batch))
                yield batch

    def _from_processes(self) -> Iterator[SplitBatch]:
        count, processes = len(self._streams), min(self._processes, len(self._streams))
        borders = [count * number // processes for number in range(processes + 1)]
        loader = DataLoader(
            _Makers(self, [slice(*pair) for pair in zip(borders, borders[1:])]),
            batch_size=None,
            num_workers=processes,
            prefetch_factor=_AHEAD,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context='fork',  # streams hold open files
        )
        made = iter(loader)
        while True:
            # They come in turn
            parts = [next(made) for _ in range(processes)]
            for part in parts:
                if isinstance(part, Exception):
                    raise part
            yield SplitBatch(parts)

    def next_batch(self, chosen: slice = slice(None)) -> Batch:
        """Make the next batch, of some of the streams."""
        streams = self._streams[chosen]
        histograms = torch.zeros(self._windows, len(streams), *self._shape, dtype=torch.uint8)
        cells = histograms.numpy().swapaxes(0, 1)
        filled = [stream.fill(place) for stream, place in zip(streams, cells)]
        rows = [part[step] for step in range(self._windows) for _, part in filled]
        return Batch(
            histograms,
            pad_sequence([torch.from_numpy(targets) for targets, _, _ in rows], batch_first=True),
            pad_sequence([torch.from_numpy(ignored) for _, ignored, _ in rows], batch_first=True),
            torch.tensor([row for row, (_, _, labelled) in enumerate(rows) if labelled]).long(),
            torch.tensor([fresh for fresh, _ in filled]),
            [stream.position() for stream in streams],
        )


class _Makers(IterableDataset):
    """What the processes of a loader make: each the batches of its part of the streams."""

    def __init__(self, loader: StreamLoader, parts: list[slice]) -> None:
        self._loader, self._parts = loader, parts

    def __iter__(self) -> Iterator[Batch | Exception]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        assert worker is not None
        while True:
            try:
                yield self._loader.next_batch(self._parts[worker.id])
            except TrainingDataError as error:  # PyTorch would add its traceback to the text
                yield error
