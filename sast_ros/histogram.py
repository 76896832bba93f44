# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events of one window -> stacked histogram, the network's input.

Source: SAST, section 3, and the preprocessing of RVT. Ten bins per polarity divide the time
between the *first and the last event*, not that between start and end of the window: with ``span =
max(t_last - t_first, 1)``, an event at ``t`` is in bin ``min(9, 10 * (t - t_first) // span)``, as
in the training data. All events of the window must be known before the first can be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from sast_ros.defaults import MAX_BINS
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.kernels import library
import torch

#: Largest count of a cell, as published.
COUNT_CUTOFF = 10


class StackedHistogram:
    """
    Stacked event histogram of one window.

    Parameters
    ----------
    height, width : int
        Sensor size in pixels.
    bins : int
        Time bins per polarity.
    cutoff : int, optional
        Maximum count of a cell, 1..255; ``None`` means 255.
    downsample : int
        Keep only the pixel ``downsample // 2`` of every ``downsample`` in x and in y
        (nearest-exact, the published 1 Mpx preprocessing with 2). Bin edges depend on all events.
    device : str or torch.device
        Device of the histogram, for example ``'cpu'`` or ``'cuda'``.
    overflow : {'saturate', 'wrap'}
        ``'saturate'`` stops at the cutoff; ``'wrap'`` counts modulo 256 before the cutoff, as in
        the published data sets. They differ only for 256 or more events in one cell.

    Raises
    ------
    SettingError
        A value out of range, or a device that PyTorch cannot use here.

    """

    def __init__(
        self,
        height: int,
        width: int,
        bins: int = 10,
        cutoff: int | None = COUNT_CUTOFF,
        downsample: int = 1,
        device: str | torch.device = 'cpu',
        overflow: Literal['saturate', 'wrap'] = 'saturate',
    ) -> None:
        cutoff = 255 if cutoff is None else cutoff
        for name, value, high in (
            ('height', height, 65536),
            ('width', width, 65536),
            ('bins', bins, MAX_BINS),
            ('cutoff', cutoff, 255),
            ('downsample', downsample, min(height, width)),
        ):
            if not 1 <= value <= high or value % 1:
                raise SettingError(
                    f'StackedHistogram: {name} is {value}; it must be an integer from 1 to {high}'
                )
        if overflow not in ('saturate', 'wrap'):
            raise SettingError(
                f"StackedHistogram: overflow is {overflow!r}; it must be 'saturate' or 'wrap'"
            )
        self.height, self.width = int(height), int(width)
        self.bins, self.cutoff, self.downsample = int(bins), int(cutoff), int(downsample)
        self.overflow = overflow
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise SettingError(
                f'StackedHistogram: device is {device!r}; it must be one that PyTorch can use '
                "here, for example 'cpu' or 'cuda'"
            ) from error
        self.shape = (2 * self.bins, self.height // self.downsample, self.width // self.downsample)
        self._row = _kept_pixels(self.height, self.downsample)
        self._column = _kept_pixels(self.width, self.downsample)

    def __call__(self, events: EventChunk | Sequence[EventChunk]) -> torch.Tensor:
        """
        Return the histogram of a window.

        Parameters
        ----------
        events : EventChunk or sequence of EventChunk
            All events of the window as one chunk, or as consecutive chunks in time order.

        Returns
        -------
        uint8[2 * bins, height // downsample, width // downsample]
            Channel ``polarity * bins + bin``; no events give zeros.

        Raises
        ------
        EventFormatError
            An event is outside the sensor.

        """
        parts = (events,) if isinstance(events, EventChunk) else tuple(events)
        parts = tuple(part for part in parts if len(part))
        if self.device.type == 'cpu':
            return self._count_compiled(parts)
        return self._count_tensors(parts)

    def _count_compiled(self, parts: tuple[EventChunk, ...]) -> torch.Tensor:
        cells = np.zeros((2 * self.bins, *self.shape[1:]), np.uint8)
        if parts:
            t0, edges = self._bin_edges(parts)
            for part in parts:
                offending = library.sast_histogram_add(
                    part.x,
                    part.y,
                    part.p,
                    part.t,
                    len(part),
                    t0,
                    edges,
                    self.bins,
                    self._column,
                    len(self._column),
                    self._row,
                    len(self._row),
                    cells.shape[2],
                    cells.shape[1],
                    self.cutoff if self.overflow == 'saturate' else 0,
                    cells,
                )
                if offending == -2:
                    raise ValueError(
                        f'StackedHistogram: a sensor of {self.width}x{self.height} pixels does '
                        f'not go into a histogram of shape {self.shape}'
                    )
                if offending >= 0:
                    raise self._outside(part, offending)
            if self.overflow == 'wrap':
                np.minimum(cells, self.cutoff, out=cells)
        return torch.from_numpy(cells)

    def _count_tensors(self, parts: tuple[EventChunk, ...]) -> torch.Tensor:
        """Count with tensor operations on ``self.device``: one upload, no synchronisation."""
        if not parts:
            return torch.zeros(self.shape, dtype=torch.uint8, device=self.device)
        for part in parts:
            outside = (part.x >= self.width) | (part.y >= self.height) | (part.p > 1)
            if outside.any():
                raise self._outside(part, int(np.argmax(outside)))
        pixels, times = self._upload(parts)
        count = len(pixels)
        dt, edges = times[:count], times[count:]
        bin_index = torch.bucketize(dt, edges, right=True)
        columns, rows = self._tables
        p, column, row = pixels >> 32, columns[pixels & 0xFFFF], rows[pixels >> 16 & 0xFFFF]
        kept = (column >= 0) & (row >= 0)
        cell = ((p * self.bins + bin_index) * self.shape[1] + row) * self.shape[2] + column
        counts = torch.zeros(int(np.prod(self.shape)), dtype=torch.int32, device=self.device)
        counts.scatter_add_(0, torch.where(kept, cell, 0), kept.to(torch.int32))
        if self.overflow == 'wrap':
            counts = counts & 255
        return counts.clamp_(max=self.cutoff).to(torch.uint8).view(self.shape)

    def _upload(self, parts: tuple[EventChunk, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Copy the events to the device at once.

        Returns
        -------
        pixels : torch.Tensor
            ``int64[n]`` x in the lowest 16 bits, y in the next, polarity above.
        times : torch.Tensor
            ``int64[n + edges]`` times after the first event, then those of the bin edges.

        """
        t0, edges = self._bin_edges(parts)
        count = sum(map(len, parts))
        packed = torch.empty(
            2 * count + len(edges),
            dtype=torch.int64,
            device='cpu',
            pin_memory=self.device.type == 'cuda',
        )
        host, begin = packed.numpy(), 0
        codes, times = host[:count], host[count:]
        for part in parts:
            end = begin + len(part)
            pixels = codes[begin:end]
            np.left_shift(part.p, 16, out=pixels, dtype=np.int64)
            pixels |= part.y
            pixels <<= 16
            pixels |= part.x
            np.subtract(part.t, t0, out=times[begin:end])
            begin = end
        times[count:] = edges
        sent = packed.to(self.device, non_blocking=True)
        return sent[:count], sent[count:]

    @cached_property
    def _tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Output column and row of every pixel, on the device."""
        columns, rows = (
            torch.from_numpy(table).to(self.device, torch.int64)
            for table in (self._column, self._row)
        )
        return columns, rows

    def _bin_edges(self, parts: tuple[EventChunk, ...]) -> tuple[int, np.ndarray]:
        """Return the time of the first event, and int64 start times of bins 1, 2, ... after it."""
        t0, t1 = int(parts[0].t[0]), int(parts[-1].t[-1])
        span = max(t1 - t0, 1)
        # Rounded up
        edges = -(-np.arange(1, self.bins, dtype=np.int64) * span // self.bins)
        return t0, edges

    def _outside(self, part: EventChunk, index: int) -> EventFormatError:
        field = 'y' if part.y[index] >= self.height else 'p'
        field = 'x' if part.x[index] >= self.width else field
        return EventFormatError(
            f'event {index} at x = {int(part.x[index])}, y = {int(part.y[index])}, polarity '
            f'{int(part.p[index])} does not fit a sensor of {self.width}x{self.height} pixels; '
            'give the sensor size of the camera',
            field=field,
            offset=index,
        )


def sampling_offset(downsample: int, trained: int) -> float:
    """
    Return the sensor pixels to add to boxes in cells times ``downsample``.

    The pixel that is kept of an even number lies half a pixel behind the middle of its cell, so
    that everything appears half a pixel farther to the left and up. A network has learned this
    for the sampling that it was trained with, one of ``trained`` pixels; the offset is what
    another sampling differs by.
    """

    def behind(number: int) -> float:
        return number // 2 + 0.5 - number / 2

    return behind(downsample) - behind(trained) * downsample / trained


def _kept_pixels(size: int, downsample: int) -> np.ndarray:
    """Return the output coordinate of every sensor coordinate, int32, -1 if not kept."""
    kept = np.full(size, -1, np.int32)
    count = size // downsample
    kept[np.arange(count) * downsample + downsample // 2] = np.arange(count)
    return kept
