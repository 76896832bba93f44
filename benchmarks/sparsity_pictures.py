# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of what ``sparsity.py`` measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
from sast_ros.visualization.overlay import BACKGROUND, OFF, ON

if TYPE_CHECKING:
    from sparsity import Observation

MODE_COLOURS = {'adaptive': '#1b7837', 'dense': '#4d4d4d', 'random': '#d97706'}
STAGE_COLOURS = ('#08306b', '#2171b5', '#4fa3d1', '#8fb8d8')
MIN_WINDOWS = 5  # of a point of a line
CENTRES = np.geomspace(0.002, 0.5, 17)

#: Shares of active pixels that the scenes are looked for at.
SCENES = (0.01, 0.05, 0.25)
MIN_OBJECT_SIDE = 20  # shorter side in pixels of the largest object of a scene
MAX_COVERED = 0.35  # share of the picture that an object of a scene covers
#: The classes have the colours of the overlay; tokens one that is none of them.
CLASS_COLOURS = {'car': '#ffb838', 'pedestrian': '#ff5ca8', 'two-wheeler': '#54de86'}
TOKEN, TINT = np.array([46, 196, 182]), 0.3


def styled_pyplot() -> Any:
    """Return ``matplotlib.pyplot`` without a screen, in the style of the diagrams."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            'font.size': 10,
            'axes.spines.top': False,
            'axes.spines.right': False,
            'axes.grid': True,
            'grid.color': '#e6e6e6',
            'axes.axisbelow': True,
            'axes.titlelocation': 'left',
            'axes.titleweight': 'bold',
        }
    )
    return pyplot


def plot(observations: Sequence[Observation], result: dict[str, Any], path: Path) -> None:
    """Draw kept tokens and time against event density, and accuracy, beside each other."""
    from matplotlib.ticker import FuncFormatter

    pyplot = styled_pyplot()
    active = np.concatenate([one.active for one in observations])
    kept = np.concatenate([one.kept for one in observations]).mean(axis=2)
    figure, (tokens, times, accuracy) = pyplot.subplots(
        1, 3, figsize=(14, 4.4), width_ratios=(1.25, 1.25, 1), layout='constrained'
    )
    tokens.scatter(
        active.clip(CENTRES[0]), kept[:, 0], s=5, color=STAGE_COLOURS[0], alpha=0.15, linewidths=0
    )
    ends = []
    for stage, colour in enumerate(STAGE_COLOURS):
        x, y = running(active, kept[:, stage])
        tokens.plot(x, y, color=colour, lw=2.4)
        if len(x):
            ends.append((y[-1], x[-1], f' stage {stage + 1}', colour))
    room = 0.0
    for y_end, x_end, name, colour in sorted(ends):
        room = max(room + 0.05, y_end)  # names do not overlap
        tokens.annotate(
            name,
            (x_end, room),
            color=colour,
            va='center',
            weight='bold',
            bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.6},
        )
    tokens.axhline(1, color=MODE_COLOURS['dense'], lw=1.2, ls='--')
    tokens.annotate('dense', (CENTRES[0], 1.01), color=MODE_COLOURS['dense'], va='bottom')
    tokens.set(title='Tokens kept (dots: stage 1, one per window)', ylim=(0, 1.08))
    tokens.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{100 * y:.0f} %'))
    for mode, colour in MODE_COLOURS.items():
        for part, style in (('step', '-'), ('attention', ':')):
            values = np.concatenate([one.times[part][mode] for one in observations])
            label = mode if part == 'step' else None
            times.plot(*running(active, values), color=colour, ls=style, lw=2.2, label=label)
    times.plot([], [], color='#888888', ls=':', lw=2.2, label='of it attention')
    times.set_title(f'Step, ms of a processor ({_threads(result)})')
    times.set_ylim(0, 1.3 * times.get_ylim()[1])
    times.legend(frameon=False, ncols=2, loc='upper left')
    for axis in (tokens, times):
        axis.set(xscale='log', xlabel='active pixels', xlim=(CENTRES[0] * 0.9, 0.8))
        axis.set_xticks([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5], minor=False)
        axis.set_xticks([], minor=True)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{100 * x:g} %'))
    for index, row in enumerate(result['accuracy']):
        heights = [row['ap50'] or 0, row['ap'] or 0]
        bars = accuracy.bar(
            np.arange(2) + 0.27 * (index - 1),
            heights,
            0.25,
            color=MODE_COLOURS[row['selection']],
            label=row['selection'],
        )
        accuracy.bar_label(bars, [f'{height:.2f}' for height in heights], fontsize=9, padding=2)
    accuracy.set_xticks([0, 1], ['AP50', 'mAP'])
    accuracy.set_ylim(0, 1.35 * max(accuracy.get_ylim()[1], 0.01))
    accuracy.grid(axis='x', visible=False)
    accuracy.set_title('Accuracy, same weights')
    accuracy.legend(frameon=False, ncols=3, loc='upper left', columnspacing=1, handlelength=1)
    figure.savefig(path, dpi=110, facecolor='white')
    pyplot.close(figure)


def _threads(result: dict[str, Any]) -> str:
    return f'{result["threads"]} thread' + ('s' if result['threads'] > 1 else '')


def running(active: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of the values around the densities of ``CENTRES`` that have enough."""
    reach = (CENTRES[1] / CENTRES[0]) ** 0.75
    x, y = [], []
    for centre in CENTRES:
        near = (active >= centre / reach) & (active < centre * reach)
        if np.count_nonzero(near) >= MIN_WINDOWS:
            x.append(centre)
            y.append(float(np.median(values[near])))
    return np.array(x), np.array(y)


def draw_scenes(observations: Sequence[Observation], classes: tuple[str, ...], path: Path) -> None:
    """
    Draw windows of different density: events with boxes above, kept tokens below.

    They are chosen by density and by the number of objects; nothing that the network did counts.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    scenes = choose_scenes(observations)
    figure, axes = pyplot.subplots(
        2,
        len(scenes),
        figsize=(4.6 * len(scenes), 7.7),
        layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.05, hspace=0.02, wspace=0.01),
        squeeze=False,
        facecolor='#0d1018',
    )
    for column, (one, window) in enumerate(scenes):
        above, below = axes[:, column]
        height, width = one.sequence.info.shape[1:]
        tokens = one.tokens[window].repeat(4, axis=0).repeat(4, axis=1)[:height, :width, None]
        dark = np.broadcast_to(BACKGROUND, (height, width, 3))
        above.imshow(event_picture(one, window, dark), interpolation='nearest')
        tinted = (1 - TINT * tokens) * dark + TINT * tokens * TOKEN
        below.imshow(event_picture(one, window, tinted), interpolation='nearest')
        scale = 1 / one.sequence.info.downsample
        for axis in (above, below):
            for box in one.objects(window):
                _draw_box(axis, box, scale, 'white', 1.1)
            axis.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            for spine in axis.spines.values():
                spine.set_color('#3a4152')
        for found in detections(one, window):
            name = classes[found['class_id']]
            colour = CLASS_COLOURS.get(name, '#54d6e4')
            _draw_box(above, found, scale, colour, 2.2)
            label = f'{name} {found["class_confidence"]:.2f}'
            above.text(
                np.clip(found['x'] * scale + 1.5, 1.5, width - 3.9 * len(label)),
                max(found['y'] * scale, 12) - 2,
                label,
                color='#10121a',
                fontsize=8.5,
                va='bottom',
                clip_on=True,
                bbox={'facecolor': colour, 'edgecolor': 'none', 'pad': 1.2},
            )
        above.set_title(
            f'{100 * one.active[window]:.1f} % of the pixels active',
            color='#e8eaf0',
            fontsize=13,
            weight='bold',
            pad=7,
        )
        below.set_title(
            f'stage 1 looks at {100 * one.kept[window, 0].mean():.0f} % of its tokens',
            color='#2ec4b6',
            fontsize=13,
            weight='bold',
            pad=7,
        )
    figure.supxlabel(
        'White frames: objects.   Coloured frames: detections.   Turquoise: tokens taken for '
        'attention by window and by grid; darker: by one of the two.',
        color='#a9b0c0',
        fontsize=10,
    )
    figure.savefig(path, dpi=100, facecolor=figure.get_facecolor())
    pyplot.close(figure)


def choose_scenes(observations: Sequence[Observation]) -> list[tuple[Observation, int]]:
    """Return a window near each density of ``SCENES``, with objects, all of other sequences."""
    scenes: list[tuple[Observation, int]] = []
    for density in SCENES:
        ranked = []
        for number, one in enumerate(observations):
            if any(one is chosen for chosen, _ in scenes):
                continue
            sensor = one.sequence.info.sensor_size
            for window in range(len(one.sequence) // 3, len(one.sequence)):
                objects = one.objects(window)
                side = np.minimum(objects['w'], objects['h']).max(initial=0)
                area = (objects['w'] * objects['h']).max(initial=0)
                if side < MIN_OBJECT_SIDE or area > MAX_COVERED * np.prod(sensor):
                    continue
                away = abs(np.log(max(one.active[window], 1e-6) / density))
                ranked.append((away - 0.1 * min(len(objects), 4), number, window))
        if ranked:
            _, number, window = min(ranked)
            scenes.append((observations[number], window))
    return scenes


def detections(one: Observation, window: int) -> np.ndarray:
    """Return the boxes of the adaptive copy that are taken for true, the worst one first."""
    if not one.sequence.labelled[window]:
        return np.zeros(0)
    index = int(one.sequence.labelled[:window].sum())
    _, found = one.results['adaptive'].images[index]
    return found[found['class_confidence'] >= OPERATING_SCORE][::-1]


def event_picture(one: Observation, window: int, ground: np.ndarray) -> np.ndarray:
    """
    Return the events of a window in the colours of the overlay, ``uint8[H, W, 3]``.

    ``ground``: colours where nothing happens, ``[H, W, 3]``.
    """
    cells = one.sequence.dense(window)
    off, on = cells.reshape(2, -1, *cells.shape[1:]).sum(axis=1, dtype=np.int64)
    count = off + on
    share = (on / np.maximum(count, 1))[..., None]
    strength = np.where(count > 0, 1 - 0.62 * 0.6 ** np.maximum(count - 1, 0), 0)[..., None]
    colour = share * np.array(ON) + (1 - share) * np.array(OFF)
    return np.rint(strength * colour + (1 - strength) * ground).astype(np.uint8)


def _draw_box(axis: Any, box: np.void, scale: float, colour: str, line: float) -> None:
    from matplotlib.patches import Rectangle

    corner = (scale * box['x'] - 0.5, scale * box['y'] - 0.5)
    axis.add_patch(
        Rectangle(
            corner, scale * box['w'], scale * box['h'], fill=False, edgecolor=colour, lw=line
        )
    )
