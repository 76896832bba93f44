# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros transcode``: files, folders, intervals, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

from bags.recordings import (
    EVENT_ARRAY,
    event_messages,
    random_chunk,
    TOPIC,
    write_dat,
    write_rosbag1,
    write_rosbag2,
)
import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.bags.writers import WRITERS
from sast_ros.cli import main
from sast_ros.cli.transcode import FORMATS, MESSAGES

Captured = pytest.CaptureFixture[str]


def events(path: Path) -> list[np.ndarray]:
    with open_recording(path) as recording:
        chunks = list(recording)
    return [np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt']


def error(captured: Captured) -> str:
    """Return the last line of standard error, which is one sentence from sast-ros."""
    line = captured.readouterr().err.splitlines()[-1]
    assert line.startswith('sast-ros: ')
    return line


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Return a rosbag1 file with 10 messages of 20 events, 1 ms each."""
    content = event_messages(EVENT_ARRAY)
    return write_rosbag1(tmp_path / 'drive_1.5.bag', {TOPIC: (EVENT_ARRAY, content)})


@pytest.fixture
def dat(tmp_path: Path) -> Path:
    """Return a .dat file of 1 s."""
    return write_dat(tmp_path / 'drive.dat', random_chunk(5_000_000, 1_000_000))


def test_options_are_those_of_the_writers() -> None:
    from sast_ros.bags.writers import MESSAGES as KNOWN

    assert {f'.{name}' for name in FORMATS} == WRITERS.keys() - {'.hdf5'}
    assert tuple(KNOWN) == MESSAGES


def test_the_extension_selects_the_format(bag: Path, tmp_path: Path, capsys: Captured) -> None:
    target, report = tmp_path / 'new/drive.raw', tmp_path / 'report.json'
    assert main(['transcode', str(bag), str(target), '--json', str(report)]) == 0
    assert str(target) in capsys.readouterr().out
    summary = json.loads(report.read_text())
    assert (summary['events'], summary['bytes']) == (200, target.stat().st_size)
    assert summary['sensor_size'] == {'width': 64, 'height': 48}
    found = events(target)
    for a, b in zip(events(bag), found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (summary['first_event_us'], summary['last_event_us']) == (found[3][0], found[3][-1])


def test_messages_are_chosen_by_name(dat: Path, tmp_path: Path, capsys: Captured) -> None:
    for arguments, kind in (
        ([], 'event_camera_msgs/msg/EventPacket'),
        (['--message', 'EventArray', '--force'], 'dvs_msgs/msg/EventArray'),
    ):
        assert main(['transcode', str(dat), str(tmp_path / 'drive.mcap'), *arguments]) == 0
        with open_recording(tmp_path / 'drive.mcap') as recording:
            assert recording.type == kind


def test_many_recordings_go_into_a_folder(
    bag: Path, dat: Path, tmp_path: Path, capsys: Captured
) -> None:
    messages = {TOPIC: (EVENT_ARRAY, event_messages(EVENT_ARRAY))}
    folder = write_rosbag2(tmp_path / 'run_1.7', messages)
    arguments = ['transcode', str(bag), str(dat), str(folder), str(tmp_path / 'out')]
    assert main([*arguments, '--to', 'raw', '--json', '-']) == 0
    summary = json.loads(capsys.readouterr().out)
    names = [Path(each['path']).name for each in summary['files']]
    assert names == ['drive_1.5.raw', 'drive.raw', 'run_1.7.raw']
    assert sorted(each.name for each in (tmp_path / 'out').iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ('name', 'stem'),
    [
        ('x.mcap.zst', 'x'),
        ('Z_1.5.MCAP.ZSTD', 'Z_1.5'),
        ('e.csv.gz', 'e'),
        ('r.bag.active', 'r'),
        ('X_td.dat.h5', 'X_td'),
        ('run_1.5', 'run_1.5'),
    ],
)
def test_files_keep_the_names_of_their_recordings(
    name: str, stem: str, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / name).write_bytes(b'')
    (tmp_path / 'other').mkdir()
    inputs = [str(tmp_path / name), str(tmp_path / 'other' / stem)]
    assert main(['transcode', *inputs, str(tmp_path / 'out'), '--to', 'npz']) == 2
    assert f'out/{stem}.npz;' in error(capsys)


def test_of_many_recordings_those_that_fail_are_left_out(
    bag: Path, dat: Path, tmp_path: Path, capsys: Captured
) -> None:
    broken, report, out = tmp_path / 'broken.raw', tmp_path / 'report.json', tmp_path / 'out'
    broken.write_bytes(b'nothing')
    inputs = [str(bag), str(broken), str(tmp_path / 'gone.dat'), str(dat)]
    assert main(['transcode', *inputs, str(out), '--to', 'npz', '--json', str(report)]) == 1
    summary = json.loads(report.read_text())
    names = [Path(each['path']).name for each in summary['files']]
    assert names == ['drive_1.5.npz', 'drive.npz']
    assert [each['input'] for each in summary['failed']] == inputs[1:3]
    lines = [line for line in capsys.readouterr().err.splitlines() if 'left out: ' in line]
    assert len(lines) == 2
    for failed, line in zip(summary['failed'], lines, strict=True):
        assert failed['input'] in failed['reason'] and line.endswith(failed['reason'])


def test_recordings_of_one_name_are_refused_before_anything_is_written(
    dat: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    twin = write_dat(other / 'drive.dat', random_chunk(0, 1000))
    out = tmp_path / 'out'
    assert main(['transcode', str(dat), str(twin), str(out), '--to', 'npz']) == 2
    assert 'drive.npz' in error(capsys)
    assert not out.exists()


def test_an_interval_is_written(dat: Path, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / 'part.raw'
    arguments = ['transcode', str(dat), str(target), '--start', '0.2', '--end', '0.4']
    assert main(arguments) == 0
    t = events(dat)[3]
    inside = (t >= t[0] + 200_000) & (t < t[0] + 400_000)
    np.testing.assert_array_equal(events(target)[3], t[inside])


def test_the_size_of_the_sensor_is_given_where_it_is_unknown(
    tmp_path: Path, capsys: Captured
) -> None:
    chunk = random_chunk(0, 1_000_000)
    path = write_dat(tmp_path / 'drive.dat', chunk)
    stated = path.read_bytes()
    path.write_bytes(stated.replace(b'% Width 304\n% Height 240\n', b''))
    target = tmp_path / 'drive.mcap'
    assert main(['transcode', str(path), str(target)]) == 1
    assert '--sensor-size' in error(capsys)
    assert main(['transcode', str(path), str(target), '--sensor-size', '304x240']) == 0
    np.testing.assert_array_equal(events(target)[3], chunk.t)
    # Half of the sensor: most likely a mistake
    smaller = tmp_path / 'smaller.mcap'
    assert main(['transcode', str(path), str(smaller), '--sensor-size', '152x240']) == 1
    assert '152x240' in error(capsys)
    assert not smaller.exists()
    # What is given wins over what is stated
    path.write_bytes(stated.replace(b'% Width 304', b'% Width 152'))
    assert main(['transcode', str(path), str(smaller), '--sensor-size', '304x240']) == 0
    assert smaller.read_bytes() == target.read_bytes()


def test_few_events_outside_the_sensor_are_left_out_and_counted(
    tmp_path: Path, capsys: Captured
) -> None:
    path = write_dat(tmp_path / 'drive.dat', random_chunk(0, 1_000_000))
    with path.open('ab') as file:
        word = 500 | 3 << 14  # x of 304
        file.write(np.array([1_000_000, word], '<u4').tobytes())
    assert main(['transcode', str(path), str(tmp_path / 'x.raw'), '--json', '-']) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary['events'], summary['events_left_out']) == (2000, {'outside_sensor': 1})


def test_a_truncated_recording_is_written_as_far_as_it_goes(
    dat: Path, tmp_path: Path, capsys: Captured
) -> None:
    dat.write_bytes(dat.read_bytes()[:-3])
    assert main(['transcode', str(dat), str(tmp_path / 'x.raw')]) == 0
    assert 'truncated' in capsys.readouterr().out
    assert len(events(tmp_path / 'x.raw')[3]) == 1999


@pytest.mark.parametrize(
    ('target', 'text'), [('x.bag', '.mcap'), ('x', '.mcap'), ('', 'is a folder')]
)
def test_a_format_that_is_not_written_is_one_sentence(
    dat: Path, tmp_path: Path, capsys: Captured, target: str, text: str
) -> None:
    assert main(['transcode', str(dat), str(tmp_path / target)]) == 2
    assert text in error(capsys)


def test_several_recordings_need_a_folder(dat: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(['transcode', str(dat), str(dat), str(tmp_path / 'x.raw')]) == 2
    assert '--to' in error(capsys)


def test_a_recording_can_replace_itself(dat: Path, capsys: Captured) -> None:
    before = events(dat)
    assert main(['transcode', str(dat), str(dat)]) == 1
    assert '--force' in error(capsys)
    assert main(['transcode', str(dat), str(dat), '--force']) == 0
    for a, b in zip(before, events(dat), strict=True):
        np.testing.assert_array_equal(a, b)
