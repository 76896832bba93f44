# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Batches of parallel streams: consecutive, reproducible, resumable."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
import shutil

from moving_boxes import write_sequence
import numpy as np
import pytest
from sast_ros.labels import LABEL_DTYPE
from sast_ros_training.training.cache import (
    CachedSequence,
    list_sequences,
    SequenceInfo,
    SequenceWriter,
)
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.errors import TrainingDataError
from sast_ros_training.training.streams import StreamLoader
import torch

PLAIN = {'flip': 0, 'invert': 0, 'zoom_in': 0, 'zoom_out': 0, 'translation': 0, 'skip': 0}


def config(**sections):
    return parse_config(
        {'streams': {'streams': 3, 'random_share': 0.34, 'random_windows': [4, 6]}, **sections},
        'test',
    )


def batches(cache, count, positions=None, **options):
    loader = StreamLoader(cache / 'train', options.pop('config', config()), 0, 1, **options)
    if positions is not None:
        assert loader.seek(positions)
    return list(islice(loader, count))


def equal(a, b) -> bool:
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ('histograms', 'labels', 'ignored', 'labelled', 'fresh')
    )


def test_the_same_seed_gives_the_same_batches_whatever_makes_them(cache):
    first = batches(cache, 8)
    for processes in (1, 2, 5):  # of 3 streams
        made = [batch.to('cpu') for batch in batches(cache, 8, processes=processes)]
        assert all(equal(a, b) for a, b in zip(first, made))
        assert [a.positions for a in first] == [b.positions for b in made]
    other = batches(cache, 8, config=config(seed=2))
    assert not all(equal(a, b) for a, b in zip(first, other))


@pytest.mark.parametrize('noise', [0, 1])
def test_a_resumed_stream_goes_on_where_it_was(cache, noise):
    noisy = config(augmentation={'noise': noise})
    whole = batches(cache, 14, config=noisy)
    for stop in (1, 5, 6, 9):
        rest = batches(cache, 14 - stop, positions=whole[stop - 1].positions, config=noisy)
        assert all(equal(a, b) for a, b in zip(whole[stop:], rest))
    rest = batches(cache, 3, positions=whole[4].positions, processes=2, config=noisy)
    assert all(equal(a, b.to('cpu')) for a, b in zip(whole[5:], rest))


def test_a_resumed_stream_remembers_what_has_stopped(tmp_path):
    """An object moves in the first window only; a stream that resumes later has not seen that."""
    classes = ('pedestrian', 'two-wheeler', 'car')
    info = SequenceInfo('test', classes, (240, 304), 1, (20, 240, 304))
    writer = SequenceWriter(info)
    for window in range(8):
        labels = np.zeros(1, LABEL_DTYPE)
        labels['x'], labels['y'], labels['w'], labels['h'] = 50, 60, 40, 30
        labels['visibility'], labels['track_id'] = 1, 7
        labels['events'] = 500 if window == 0 else 0
        labels['recent'] = window == 0
        writer.add(np.zeros(info.shape, np.uint8), 50_000 * (window + 1), 500, labels)
    writer.write(tmp_path / 'train' / 'stops.safetensors')
    through = config(streams={'streams': 1, 'random_share': 0}, augmentation=PLAIN)
    whole = batches(tmp_path, 4, config=through)
    assert all(batch.labels.any(dim=2).all() for batch in whole)
    rest = batches(tmp_path, 2, positions=whole[1].positions, config=through)
    assert all(equal(a, b) for a, b in zip(whole[2:], rest))


@pytest.mark.parametrize('windows', [None, 2])
def test_a_stream_whose_sequence_is_not_what_it_was_goes_on_with_its_next_clip(
    cache, tmp_path, windows
):
    """As after a damaged file was deleted, or labels were corrected and converted again."""
    shutil.copytree(cache / 'train', tmp_path / 'train')
    positions = batches(tmp_path, 2)[-1].positions
    path = tmp_path / 'train' / positions[1]['name']
    path.unlink()
    if windows:
        write_sequence(path, 1, windows=windows)
    (batch,) = batches(tmp_path, 1, positions=positions)
    for before, behind, fresh in zip(positions, batch.positions, batch.fresh.tolist()):
        assert fresh == (before['name'] == path.name)
        assert behind['ordinal'] >= before['ordinal'] + fresh


def test_another_number_of_streams_cannot_be_resumed(cache):
    place = batches(cache, 1)[0].positions
    assert not StreamLoader(cache / 'train', config(), 0, 1).seek(place[:2])


def test_windows_of_a_stream_follow_one_another(cache):
    """Without augmentation, every window is the one behind the window before it."""
    plain = config(augmentation=PLAIN)
    sequences = [CachedSequence(path) for path in list_sequences(cache / 'train')]
    known = {
        sequence.dense(window).tobytes(): (sequence.path.name, window)
        for sequence in sequences
        for window in range(len(sequence))
    }
    found: list[list] = [[], [], []]
    fresh: list[list] = [[], [], []]
    for batch in batches(cache, 12, config=plain):
        assert batch.histograms.shape == (2, 3, 20, 256, 320)
        assert not batch.histograms[..., 240:, :].any()
        assert not batch.histograms[..., 304:].any()
        for stream in range(3):
            fresh[stream].append(bool(batch.fresh[stream]))
            for step in range(2):
                cells = batch.histograms[step, stream, :, :240, :304]
                found[stream].append(known[cells.numpy().tobytes()])
    for stream in range(3):
        assert fresh[stream][0]
        for step in range(1, 12):
            before, now = found[stream][2 * step - 1], found[stream][2 * step]
            follows = now == (before[0], before[1] + 1)
            assert follows != fresh[stream][step]
            assert found[stream][2 * step + 1] == (now[0], now[1] + 1)
    # Two streams run from start to end, one starts anywhere and has short clips
    starts = [[p[1] for p, f in zip(found[s][::2], fresh[s]) if f] for s in range(3)]
    assert sorted(set(sum(starts[:2], []))) == [0] or sorted(set(sum(starts[1:], []))) == [0]
    assert sum(map(sum, fresh)) > 6


def test_noise_comes_to_the_same_clips(cache):
    """In every window anew; a clip without it is as it is in a training without noise."""
    quiet, noisy = (
        batches(cache, 24, config=config(augmentation={'noise': share})) for share in (0, 0.5)
    )
    rates = set()
    for before, after in zip(quiet, noisy):
        assert torch.equal(before.labels, after.labels)
        more = after.histograms.int() - before.histograms.int()
        for stream, position in enumerate(after.positions):
            rate = position['augmentation']['noise_hz']
            rates.add(rate)
            assert bool(more[:, stream].any()) == (rate > 0) and not (more < 0).any()
            assert not rate or not torch.equal(more[0, stream], more[1, stream])
    assert 0 in rates and len(rates) > 2


def test_streams_that_run_through_see_every_sequence_once_an_epoch(cache):
    through = config(streams={'streams': 2, 'random_share': 0}, augmentation=PLAIN)
    listed = batches(cache, 18, config=through)  # three sequences of 12 windows for each stream
    names = [batch.positions[stream]['name'] for batch in listed[::6] for stream in range(2)]
    assert len(set(names)) == 6


def test_a_clip_that_leaves_out_windows_is_as_of_a_longer_stride(cache):
    skipping = config(augmentation={**PLAIN, 'skip': 1, 'skip_most_ms': 200})
    sequences = {path.name: CachedSequence(path) for path in list_sequences(cache / 'train')}
    known = {
        sequence.dense(window).tobytes(): (name, window)
        for name, sequence in sequences.items()
        for window in range(len(sequence))
    }
    steps, phases, before = set(), set(), {}
    for batch in batches(cache, 60, config=skipping):
        for stream, place in enumerate(batch.positions):
            cells = batch.histograms[:, stream, :, :240, :304].numpy()
            (name, first), (other, second) = (known[window.tobytes()] for window in cells)
            assert name == other == place['name'] and second - first == place['step']
            if batch.fresh[stream]:
                assert first == place['first']
                phases.add((place['step'], first % place['step']))
            else:
                assert (name, first - place['step']) == before[stream]
            before[stream] = name, second
            steps.add(place['step'])
    assert steps == {2, 3, 4}  # of 50 ms
    assert phases == {(step, phase) for step in steps for phase in range(step)}


def test_what_leaves_out_windows_resumes_and_changes_no_other_clip(cache):
    some = config(augmentation={'skip': 0.5, 'skip_most_ms': 150})
    whole = batches(cache, 14, config=some)
    assert {place['step'] for batch in whole for place in batch.positions} == {1, 2, 3}
    for stop in (2, 5, 9):
        rest = batches(cache, 14 - stop, positions=whole[stop - 1].positions, config=some)
        assert all(equal(a, b) for a, b in zip(whole[stop:], rest))
    never = config(augmentation={'skip': 0, 'skip_most_ms': 150})
    clips = {
        (number, place['ordinal']): place
        for batch in batches(cache, 30, config=never)
        for number, place in enumerate(batch.positions)
    }
    same = 0
    for batch in whole:
        for number, place in enumerate(batch.positions):
            other = clips[number, place['ordinal']]
            assert other['name'] == place['name']
            if place['step'] == 1:
                assert other['augmentation'] == place['augmentation']
                assert (other['first'], other['end']) == (place['first'], place['end'])
                same += 1
    assert same > 10


def test_a_short_sequence_keeps_as_many_windows_as_a_step_takes(tmp_path):
    write_sequence(tmp_path / 'train' / 'a.safetensors', 3, windows=5)
    skipping = config(
        streams={'streams': 1, 'windows': 2, 'random_share': 0},
        augmentation={**PLAIN, 'skip': 1, 'skip_most_ms': 10_000},
    )
    assert {b.positions[0]['step'] for b in batches(tmp_path, 12, config=skipping)} == {2}


def test_sequences_of_any_windows_lie_side_by_side(cache, tmp_path):
    """The network is not told what a window is; neither are the streams."""
    (tmp_path / 'train').mkdir()
    for path, stride in zip(list_sequences(cache / 'train'), (25, 50, 75, 100, 125, 130)):
        sequence = CachedSequence(path)
        info = replace(sequence.info, stride_ms=stride, window_ms=stride / 2)
        writer = SequenceWriter(info)
        for window in range(len(sequence)):
            labels = sequence.labels(window)
            writer.add(sequence.dense(window), 1000 * stride * window, 9, labels)
        writer.write(tmp_path / 'train' / path.name)
        assert CachedSequence(tmp_path / 'train' / path.name).info == info
    all_windows = config(augmentation={**PLAIN, 'skip': 0})
    for a, b in zip(
        batches(cache, 8, config=all_windows), batches(tmp_path, 8, config=all_windows)
    ):
        assert equal(a, b)
    skipping = config(augmentation={**PLAIN, 'skip': 1})
    most = {}
    for batch in batches(tmp_path, 60, config=skipping):
        for place in batch.positions:
            stride = CachedSequence(tmp_path / 'train' / place['name']).info.stride_ms
            most[stride] = max(most.get(stride, 1), place['step'])
    assert most == {25: 5, 50: 2, 75: 1, 100: 1, 125: 1, 130: 1}


def test_processes_have_streams_of_their_own(cache):
    two = config(streams={'streams': 2, 'random_share': 0})
    names = []
    for rank in range(2):
        loader = StreamLoader(cache / 'train', two, rank, 2)
        names += [place['name'] for place in loader.next_batch().positions]
    assert len(set(names)) == 4


def test_labels_are_padded_and_unlabelled_windows_left_out(cache):
    batch = batches(cache, 1)[0]
    rows = batch.labels[batch.labels.sum(dim=2) > 0]
    assert rows.shape[1] == 5
    assert set(rows[:, 0].tolist()) <= {0.0, 1.0, 2.0}
    assert batch.labelled.tolist() == list(range(6))


def test_a_dense_batch_has_the_counts_of_the_cache(cache):
    plain = config(augmentation=PLAIN, streams={'streams': 1, 'random_share': 0})
    batch = batches(cache, 1, config=plain)[0]
    sequence = CachedSequence(cache / 'train' / batch.positions[0]['name'])
    np.testing.assert_array_equal(batch.histograms[1, 0, :, :240, :304].numpy(), sequence.dense(1))


def test_an_empty_folder_and_other_classes_are_refused(cache, tmp_path):
    with pytest.raises(TrainingDataError, match='^[^\n]* make data first[^\n]*$'):
        batches(tmp_path, 1, processes=2)
    with pytest.raises(TrainingDataError, match='holds no sequence of at least 2 windows'):
        StreamLoader(tmp_path, config(), 0, 1).next_batch()
    with pytest.raises(TrainingDataError, match='its classes are pedestrian'):
        StreamLoader(cache / 'train', config(model={'classes': ['car']}), 0, 1).next_batch()


def test_an_error_of_the_background_reaches_the_training(tmp_path):
    with pytest.raises(TrainingDataError):
        next(iter(StreamLoader(tmp_path, config(), 0, 1)))
