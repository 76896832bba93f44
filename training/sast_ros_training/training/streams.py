"""
Batches for recurrent training: parallel streams of consecutive windows.

Each stream runs through stretches of sequences. What it does next depends on the seed and on how
many stretches it has had, never on a running generator: the place of all streams is a short list
of numbers, and a training that resumes sees the batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
import queue
import threading
from typing import Any

import numpy as np
from sast_ros_training.training.cache import CachedSequence, list_sequences
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.labels import LabelMemory, split_labels
from sast_ros_training.training.views import draw_view, View, ViewMap
import torch
from torch import Tensor

#: Batches that are made ahead.
_AHEAD = 3


@dataclass(slots=True)
class Batch:
    """
    One step of all streams of a process.

    Parameters
    ----------
    histograms: ``uint8[windows, streams, channels, H, W]``, padded.
    labels: ``float32[windows * streams, G, 5]`` class, cx, cy, w, h in input pixels; rows of zeros
        are padding.
    ignored: ``float32[windows * streams, I, 4]`` x1, y1, x2, y2 of regions where nothing is asked;
        padded alike.
    labelled: ``int64[L]``, the rows of the two that somebody has labelled.
    fresh: ``bool[streams]``, which of them start with a zero state.
    place: of the streams behind this batch, for a checkpoint.

    """

    histograms: Tensor
    labels: Tensor
    ignored: Tensor
    labelled: Tensor
    fresh: Tensor
    place: list[dict[str, Any]]

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """Return the batch with its tensors on the device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        return Batch(
            move(self.histograms),
            move(self.labels),
            move(self.ignored),
            move(self.labelled),
            move(self.fresh),
            self.place,
        )


@dataclass
class _Stretch:
    """Where a stream is: the ``ordinal``-th stretch, windows ``first`` to before ``end``."""

    ordinal: int
    name: str
    first: int
    window: int
    end: int
    view: View


@dataclass
class _Windows:
    """
    Consecutive windows of a stream.

    ``fresh``: whether a stretch begins with them; ``view``: how they are seen; ``labels``:
    ``LABEL_DTYPE[N]`` of each, as ``LabelMemory`` leaves them.
    """

    fresh: bool
    sequence: CachedSequence
    view: ViewMap
    taken: range
    labels: list[np.ndarray]


class _Stream:
    """
    One stream.

    Parameters
    ----------
    index, count: which of how many streams of its kind, over all processes.
    anywhere: whether it starts anywhere in a sequence.

    """

    def __init__(
        self, folder: Path, config: TrainingConfig, index: int, count: int, anywhere: bool
    ) -> None:
        self._folder, self._config = folder, config
        self._index, self._count, self._anywhere = index, count, anywhere
        self._stretch: _Stretch | None = None
        self._sequence: CachedSequence | None = None
        self._map: ViewMap | None = None
        self._memory = LabelMemory()
        model = config.network()
        self._frame = model.frame
        self._classes = model.classes

    def place(self) -> dict[str, Any]:
        """Return where the stream is, as plain values."""
        return {} if self._stretch is None else asdict(self._stretch)

    def go_to(self, place: dict[str, Any]) -> None:
        """Continue where ``place`` says."""
        if place:
            stretch = _Stretch(**{**place, 'view': View(**place['view'])})
            sequence = self._enter(stretch)
            for window in range(stretch.first, stretch.window):
                self._memory.note(sequence.labels(window))

    def next_windows(self, windows: int) -> _Windows:
        """Return the next windows, of the same stretch or of the next one."""
        fresh = self._stretch is None or self._stretch.window + windows > self._stretch.end
        if fresh:
            self._enter(self._draw(windows))
        assert self._stretch is not None and self._sequence is not None and self._map is not None
        taken = range(self._stretch.window, self._stretch.window + windows)
        self._stretch.window = taken.stop
        labels = [self._memory.note(self._sequence.labels(window)) for window in taken]
        return _Windows(fresh, self._sequence, self._map, taken, labels)

    def _draw(self, windows: int) -> _Stretch:
        ordinal = 0 if self._stretch is None else self._stretch.ordinal + 1
        paths = list_sequences(self._folder)
        seed = (self._config.seed, int(self._anywhere))
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
        if sequence.info.classes != self._classes:
            raise TrainingDataError(
                f'{sequence.path}: its classes are {", ".join(sequence.info.classes)}, not the '
                f'{", ".join(self._classes)} of model.classes; take another folder for data.cache'
            )
        rng = np.random.default_rng([*seed, 1, self._index, ordinal])
        first, end = 0, len(sequence)
        if self._anywhere:
            least, most = self._config.streams.random_windows
            length = min(int(rng.integers(least, most + 1)), len(sequence))
            first = int(rng.integers(0, len(sequence) - length + 1))
            end = first + length
        source = sequence.info.shape[1], sequence.info.shape[2]
        view = draw_view(self._config.augmentation, source, self._frame, rng)
        return _Stretch(ordinal, sequence.path.name, first, first, end, view)

    def _enter(self, stretch: _Stretch) -> CachedSequence:
        if self._sequence is None or self._sequence.path.name != stretch.name:
            self._sequence = CachedSequence(self._folder / stretch.name)
        self._stretch = stretch
        self._map = ViewMap(stretch.view, self._sequence.info, self._frame)
        self._memory = LabelMemory()
        return self._sequence


class StreamLoader:
    """
    Endless batches of one process, made ahead in the background.

    Parameters
    ----------
    folder: training sequences of the cache; it may grow meanwhile.
    config: of the training.
    rank, world: which of how many processes this is.
    threads: how many make the windows of a batch.

    """

    def __init__(
        self, folder: Path, config: TrainingConfig, rank: int, world: int, threads: int = 1
    ) -> None:
        self._config = config
        model = config.network()
        self._shape = (model.channels, *model.input_size)
        self._threads = threads
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

    def go_to(self, places: list[dict[str, Any]]) -> bool:
        """
        Continue behind the batch with these ``places``.

        Return whether that could be done; with another number of streams it cannot.
        """
        if len(places) != len(self._streams):
            return False
        for stream, place in zip(self._streams, places):
            stream.go_to(place)
        return True

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(_AHEAD)
        ended = threading.Event()
        worker = threading.Thread(target=self._work, args=(ready, ended), daemon=True)
        worker.start()
        try:
            while True:
                batch = ready.get()
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            ended.set()
            while worker.is_alive():  # it may wait for room
                try:
                    ready.get(timeout=0.05)
                except queue.Empty:
                    continue

    def _work(self, ready: queue.Queue[Batch | BaseException], ended: threading.Event) -> None:
        with ThreadPoolExecutor(self._threads) as pool:
            while not ended.is_set():
                try:
                    ready.put(self.next_batch(pool))
                except BaseException as error:  # noqa: B036 - raised where the batches are used
                    ready.put(error)
                    return

    def next_batch(self, pool: ThreadPoolExecutor | None = None) -> Batch:
        """Make the next batch, in this thread or in those of a pool."""
        windows, count = self._config.streams.windows, len(self._streams)
        parts = [stream.next_windows(windows) for stream in self._streams]
        histograms = torch.zeros(windows, count, *self._shape, dtype=torch.uint8)
        cells = histograms.numpy()
        rows: list[tuple[np.ndarray, np.ndarray]] = [_NOTHING] * (windows * count)
        labelled = np.zeros(windows * count, bool)

        def fill(stream: int) -> None:
            part = parts[stream]
            for step, window in enumerate(part.taken):
                part.view.show(*part.sequence.sparse(window), cells[step, stream])
                row = step * count + stream
                labelled[row] = part.sequence.labelled[window]
                rows[row] = split_labels(part.labels[step], part.view)

        list((pool.map if pool is not None else map)(fill, range(count)))
        return Batch(
            histograms,
            _stack([wanted for wanted, _ in rows], 5),
            _stack([ignored for _, ignored in rows], 4),
            torch.from_numpy(np.flatnonzero(labelled)),
            torch.tensor([part.fresh for part in parts]),
            [stream.place() for stream in self._streams],
        )


_NOTHING = (np.zeros((0, 5), np.float32), np.zeros((0, 4), np.float32))


def _stack(rows: list[np.ndarray], columns: int) -> Tensor:
    """Return the rows padded with zeros, ``float32[len(rows), most, columns]``."""
    stacked = np.zeros((len(rows), max(len(r) for r in rows), columns), np.float32)
    for target, values in zip(stacked, rows):
        target[: len(values)] = values
    return torch.from_numpy(stacked)
