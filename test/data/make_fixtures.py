# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Make the fixtures of this folder from the full ones, which are too large for the repository.

Usage: ``python test/data/make_fixtures.py ../shared``. README.md says what is in each file.
"""

from __future__ import annotations

from pathlib import Path
import shutil
import sys
import zlib

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
STEPS = range(4)
SAMPLES = 512
COPIED = (
    'parity/gen1_base_expected.npz',
    'parity/gen1_base_inputs.npz',
    'parity/gen1_tiny_inputs.npz',
    'parity/gen1_tiny_training.npz',
    'spec/state_dict_gen1_base.txt',
)
#: Events kept on each side of the edge of a time bin, and events kept of the random ones.
AT_BIN_EDGE = 8
RANDOM_EVENTS = 1500


def sample(key: str, values: np.ndarray, stride: int = 1) -> dict[str, np.ndarray]:
    """
    Return ``SAMPLES`` values of a tensor, by their flat C-order positions.

    Parameters
    ----------
    key : str
        Name of the tensor; it seeds the choice.
    values : numpy.ndarray
        The tensor, or every ``stride``-th channel of it, channels first.
    stride : int
        1 where ``values`` is the whole tensor; then its sums are returned too.

    """
    plane = values[0].size
    random = np.random.default_rng(zlib.crc32(key.encode()))
    chosen = np.sort(random.choice(values.size, min(SAMPLES, values.size), replace=False))
    made = {
        f'{key}_idx': (chosen // plane * stride * plane + chosen % plane).astype(np.uint32),
        f'{key}_val': values.reshape(-1)[chosen],
    }
    if stride == 1:
        exact = values.astype(np.float64)
        made[f'{key}_stats'] = np.array(
            [exact.sum(), np.abs(exact).sum(), (exact**2).sum(), exact.size]
        )
    return made


def reduced_tiny(parity: Path) -> dict[str, np.ndarray]:
    """Return the expectations of gen1-tiny in the form of gen1_base_expected.npz."""
    weights = load_file(parity / 'gen1_tiny_weights_fp16.safetensors')
    exact = [weights[name].astype(np.float64) for name in sorted(weights)]
    made = {
        'weight_names': np.array(sorted(weights)),
        'weight_sum': np.array([value.sum() for value in exact]),
        'weight_abssum': np.array([np.abs(value).sum() for value in exact]),
        'det_conf': np.array(0.02),
    }
    for step in STEPS:
        full = np.load(parity / f'gen1_tiny_expected_step{step}.npz')
        prefix = f'step{step}_'
        for key, stored, stride in (
            ('h1', 'h1_sub', 4),
            ('h2', 'h2_sub', 4),
            ('h3', 'h3', 1),
            ('h4', 'h4', 1),
            ('raw', 'raw', 1),
        ):
            made |= sample(prefix + key, full[stored], stride)
        made |= {prefix + key: full[key] for key in full.files if key.startswith('s')}
        made[f'{prefix}det'] = full['det_conf0.02']
    last = np.load(parity / 'gen1_tiny_states_last.npz')
    for key in last.files:
        made |= sample(f'step{STEPS[-1]}_{key}', last[key])
    return made


def reduced_histograms(path: Path) -> dict[str, np.ndarray]:
    """
    Return every case of the histogram fixtures, the large ones at a few pixels.

    A cell depends on the events of its pixel, and on the first and the last event of the window,
    which are kept.
    """
    full = np.load(path)
    made = {}
    for case in sorted({key.split('/')[0] for key in full.files}):
        made |= {key: full[key] for key in full.files if key.startswith(f'{case}/')}
        t = full[f'{case}/t']
        if len(t) < 10_000:
            continue
        kept = np.zeros(len(t), bool)
        kept[[0, -1]] = True
        if 'ticks' in case:
            edges = t[0] + np.arange(11) * (t[-1] - t[0]) / 10
            kept |= (np.abs(t[:, None] - edges) <= AT_BIN_EDGE).any(axis=1)
        else:
            kept[:: len(t) // RANDOM_EVENTS] = True
        factor = 2 if full[f'{case}/downsample'] else 1
        height, width = full[f'{case}/hw'] // factor
        pixels = full[f'{case}/y'] // factor * width + full[f'{case}/x'] // factor
        kept = np.isin(pixels, pixels[kept])
        made |= {f'{case}/{name}': full[f'{case}/{name}'][kept] for name in 'xypt'}
        for mode in ('fast', 'int16'):
            index = full[f'{case}/{mode}_index']
            cells = np.isin(index % (height * width), pixels[kept])
            for name in ('index', 'value'):
                made[f'{case}/{mode}_{name}'] = full[f'{case}/{mode}_{name}'][cells]
    return made


def main(shared: Path) -> None:
    """Write every fixture of this folder."""
    for name in COPIED:
        shutil.copyfile(shared / name, HERE / Path(name).name)
    np.savez_compressed(HERE / 'gen1_tiny_expected.npz', **reduced_tiny(shared / 'parity'))
    np.savez_compressed(
        HERE / 'histograms.npz', **reduced_histograms(shared / 'parity' / 'hist_fixtures.npz')
    )


if __name__ == '__main__':
    main(Path(sys.argv[1]))
