"""
The mistakes that a person should look at first.

A mistake is not one box at one time but an object that stays missed, or a wrong box that stays: a
car that is missed for two seconds is one mistake, not forty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sast_ros.evaluation.matching import match, MIN_IOU, OPERATING_SCORE, overlaps
from sast_ros.evaluation.pairing import Pair, PairedRecording

#: Boxes that overlap (IoU) at least so much, and are no further apart in time, are of one place.
_SAME_PLACE = 0.3
_SAME_TIME_US = 1_000_000

#: Overlap (IoU) from which on a box is said to be near another one.
_NEAR = 0.1

#: Score from which on a box below the operating score is said to be unsure, and not to be none.
_UNSURE = 0.1


@dataclass(frozen=True)
class Mistake:
    """
    An object that was missed, or a detection that is wrong, at the time that shows it best.

    Parameters
    ----------
    recording: its name.
    at: end of the window in microseconds on the clock of the detections.
    box: the label or the detection, ``BOX_DTYPE`` row.
    name: its class.
    lasts_us: how long it was missed or there.
    weight: the larger, the worse; see ``worst_misses`` and ``worst_alarms``.
    iou: overlap with the box that comes nearest: a detection of any score for a missed object, a
        label for a wrong detection; 0 if there is none.
    why: in words.
    labels, found: what was there and what was reported at that time, ``BOX_DTYPE[N]``.

    """

    recording: str
    at: int
    box: np.void
    name: str
    lasts_us: int
    weight: float
    iou: float
    why: str
    labels: np.ndarray
    found: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """
    What became of a pair at the operating score.

    ``found``: its detections of at least that score, ``BOX_DTYPE[N]``; ``choice``: ``int64[N]``,
    label that each of them stands for, -1 for none.
    """

    pair: Pair
    found: np.ndarray
    choice: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """Rows of the labels that nothing stands for, ``int64[M]``."""
        return np.setdiff1d(np.arange(len(self.pair.labels)), self.choice)

    @property
    def wrong(self) -> np.ndarray:
        """Rows of the detections that stand for nothing, ``int64[M]``."""
        return np.flatnonzero(self.choice < 0)


@dataclass(frozen=True)
class Outcomes:
    """A recording, and what became of each of its pairs."""

    recording: PairedRecording
    pairs: tuple[Outcome, ...]


def outcomes(recording: PairedRecording) -> Outcomes:
    """Match the detections of every pair that have at least the operating score, at IoU .5."""
    made = []
    for pair in recording.pairs:
        sure = pair.found[pair.found['class_confidence'] >= OPERATING_SCORE]
        made.append(Outcome(pair, sure, match(pair.labels, sure)))
    return Outcomes(recording, tuple(made))


def worst_misses(judged: Iterable[Outcomes], most: int) -> tuple[list[Mistake], int]:
    """
    Return the worst objects that were missed, worst first, and how many there are in all.

    An object is a track of labels. Its weight is the time for which it was missed in seconds times
    its size in pixels, the root of the area of its box, summed over that time: what is large is
    near. It is shown where it was largest. What lies in the place of a worse one within a second
    (labels without tracks) is left out.
    """
    missed = [miss for one in judged for miss in _misses(one)]
    return _worst(missed, most), len(missed)


def worst_alarms(judged: Iterable[Outcomes], most: int) -> tuple[list[Mistake], int]:
    """
    Return the worst wrong detections, worst first, and how many there are in all.

    Wrong is a detection of at least the operating score that stands for no label, in intervals
    without labels too. Boxes of one class that follow each other in one place are one alarm, shown
    where its score was highest; that score is its weight. Other classes in the place of a worse
    one within a second are left out.
    """
    alarms = [alarm for one in judged for alarm in _alarms(one)]
    return _worst(alarms, most), len(alarms)


def _misses(judged: Outcomes) -> list[Mistake]:
    recording, pairs = judged.recording, judged.pairs
    steps = _steps([pair.t for pair in recording.pairs])
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, outcome in enumerate(pairs):
        for row in outcome.missed.tolist():
            label = outcome.pair.labels[row]
            key = int(label['class_id']), int(label['track_id'])
            tracks.setdefault(key, []).append((number, row))
    made = []
    for (class_id, _), sights in tracks.items():
        sizes = [_size(pairs[number].pair.labels[row]) for number, row in sights]
        lasts = [int(steps[number]) for number, _ in sights]
        number, row = sights[int(np.argmax(sizes))]
        pair = pairs[number].pair
        iou, why, closest = _why_missed(pairs[number], row, recording.classes)
        made.append(
            Mistake(
                recording.name,
                pair.at,
                pair.labels[row],
                recording.classes[class_id],
                sum(lasts),
                sum(size * step for size, step in zip(sizes, lasts)) / 1e6,
                iou,
                why,
                pair.labels,
                np.concatenate([pairs[number].found, closest]),
            )
        )
    return made


def _why_missed(
    outcome: Outcome, row: int, classes: tuple[str, ...]
) -> tuple[float, str, np.ndarray]:
    """Return the overlap of what comes nearest, a reason, and a box too unsure to be reported."""
    pair, sure, choice = outcome.pair, outcome.found, outcome.choice
    label, nothing = pair.labels[row], sure[:0]
    scores = pair.found['class_confidence']
    unsure = pair.found[(scores >= _UNSURE) & (scores < OPERATING_SCORE)]
    shares, faint = (overlaps(pair.labels[[row]], boxes)[0] for boxes in (sure, unsure))
    free = np.where(choice < 0, shares, 0)
    best = int(free.argmax()) if len(free) else 0
    if len(free) and free[best] >= MIN_IOU:  # of another class, else it would stand for it
        name, score = classes[sure['class_id'][best]], sure['class_confidence'][best]
        return float(free[best]), f'taken for a {name} ({score:.2f})', nothing
    same = np.where(unsure['class_id'] == label['class_id'], faint, 0)
    if len(same) and same.max() >= MIN_IOU:
        box = int(
            np.flatnonzero(same >= MIN_IOU)[unsure['class_confidence'][same >= MIN_IOU].argmax()]
        )
        score = unsure['class_confidence'][box]
        return float(same[box]), f'found, but unsure: score {score:.2f}', unsure[[box]]
    if len(free) and free[best] >= _NEAR:
        return float(free[best]), f'the box is too far off: IoU {free[best]:.2f}', nothing
    if len(shares) and shares.max() >= _NEAR:
        other = pair.labels[choice[int(shares.argmax())]]
        another = 'another' if other['class_id'] == label['class_id'] else 'a'
        name = classes[other['class_id']]
        return float(shares.max()), f'only {another} {name} in its place was found', nothing
    nearest = max(faint.max(initial=0), shares.max(initial=0))
    return float(nearest), 'no box near it', nothing


def _alarms(judged: Outcomes) -> list[Mistake]:
    """Return the wrong detections, those that follow each other in one place as one."""
    recording = judged.recording
    wrong: list[tuple[np.void, np.ndarray, np.ndarray, bool]] = []
    for outcome in judged.pairs:
        for box in outcome.found[outcome.wrong]:
            # In the legacy protocol a pair has those of three windows
            there = outcome.found[outcome.found['t'] == box['t']]
            wrong.append((box, outcome.pair.labels, there, True))
    free = recording.free[recording.free['class_confidence'] >= OPERATING_SCORE]
    wrong += [(box, free[:0], free[free['t'] == box['t']], False) for box in free]
    wrong.sort(key=lambda one: (int(one[0]['t']), -float(one[0]['class_confidence'])))
    runs: list[list[tuple[np.void, np.ndarray, np.ndarray, bool]]] = []
    open_runs: list[int] = []
    for one in wrong:
        now = int(one[0]['t'])
        open_runs = [k for k in open_runs if now - int(runs[k][-1][0]['t']) <= _SAME_TIME_US]
        fitting = [k for k in open_runs if _follows(runs[k][-1][0], one[0])]
        if fitting:
            runs[fitting[-1]].append(one)
        else:
            open_runs.append(len(runs))
            runs.append([one])
    step = int(np.median(_steps([pair.t for pair in recording.pairs]))) if recording.pairs else 0
    made = []
    for run in runs:
        box, labels, found, labelled = max(run, key=lambda one: one[0]['class_confidence'])
        iou, why = 0.0, 'in an interval without labels'
        if labelled:
            iou, why = _why_wrong(box, labels, recording.classes)
        made.append(
            Mistake(
                recording.name,
                int(box['t']),
                box,
                recording.classes[box['class_id']],
                int(run[-1][0]['t'] - run[0][0]['t']) + step,
                float(box['class_confidence']),
                iou,
                why,
                labels,
                found,
            )
        )
    return made


def _follows(before: np.void, box: np.void) -> bool:
    return bool(before['class_id'] == box['class_id']) and _iou(before, box) >= _SAME_PLACE


def _why_wrong(box: np.void, labels: np.ndarray, classes: tuple[str, ...]) -> tuple[float, str]:
    """Return the overlap with the nearest label, and a reason."""
    shares = overlaps(np.array([box]), labels)[0]
    best = int(shares.argmax()) if len(shares) else 0
    if not len(shares) or shares[best] < _NEAR:
        return float(shares.max(initial=0)), 'nothing labelled there'
    iou, name = float(shares[best]), classes[labels['class_id'][best]]
    if iou < MIN_IOU:
        return iou, f'near a {name}, but too far off: IoU {iou:.2f}'
    if labels['class_id'][best] == box['class_id']:
        return iou, f'second box on a {name}'
    return iou, f'a {name} is there'


def _worst(mistakes: list[Mistake], most: int) -> list[Mistake]:
    chosen: list[Mistake] = []
    for one in sorted(mistakes, key=lambda one: (-one.weight, one.recording, one.at)):
        if len(chosen) == most:
            break
        if not any(_same(one, other) for other in chosen):
            chosen.append(one)
    return chosen


def _same(one: Mistake, other: Mistake) -> bool:
    return (
        one.recording == other.recording
        and abs(one.at - other.at) <= _SAME_TIME_US
        and _iou(one.box, other.box) >= _SAME_PLACE
    )


def _steps(times: list[int]) -> np.ndarray:
    """
    Return how long each labelled time stands for, microseconds.

    Until the next one, but not beyond twice the usual step; a single one for a microsecond.
    """
    steps = np.diff(np.array(times, np.int64))
    usual = int(np.median(steps)) if len(steps) else 1
    return np.append(steps.clip(max=2 * usual), usual) if len(times) else steps


def _size(box: np.void) -> float:
    """Return the root of the area in pixels."""
    return float(np.sqrt(float(box['w']) * float(box['h'])))


def _iou(one: np.void, other: np.void) -> float:
    return float(overlaps(np.array([one]), np.array([other]))[0, 0])
