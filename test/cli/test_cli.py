# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, one-sentence errors, and files that tools can read."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from bags.recordings import EVENT_ARRAY, event_messages, HEIGHT, TOPIC, WIDTH, write_rosbag1
from interruption import INTERRUPTIONS
import numpy as np
from PIL import Image
import pytest
from sast_ros import cli
from sast_ros.cli import main
from sast_ros.cli.terminal import check_json, show_progress, write_json
from sast_ros.errors import SettingError

Captured = pytest.CaptureFixture[str]


def the_error(captured: Captured) -> str:
    """Return what was said on standard error, which is one sentence from sast-ros."""
    lines = captured.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('sast-ros: ')
    return lines[0]


def write_bag(folder: Path, messages: int = 10) -> Path:
    """Write a rosbag1 file with 200 events in every message, 10 ms each."""
    content = event_messages(EVENT_ARRAY, messages, events=200, period_ns=10_000_000)
    return write_rosbag1(folder / 'drive.bag', {TOPIC: (EVENT_ARRAY, content)})


def sast_ros(*arguments: str, **options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'sast_ros', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        **options,
    )


def test_help_and_version_come_without_numpy_torch_and_rclpy() -> None:
    program = (
        'import sys; from sast_ros.cli import main; assert main(["--version"]) == 0; assert '
        'main(["--help"]) == 0; assert not {"numpy", "torch", "rclpy", "rich"} & set(sys.modules)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('sast-ros ')
    for command in ('demo', 'replay', 'simulate', 'convert', 'doctor'):
        assert command in done.stdout


def test_one_thing_has_one_name_in_all_commands(capsys: Captured) -> None:
    main(['--help'])
    names = set(re.findall(r'^    (\w+)', capsys.readouterr().out.split('COMMAND\n')[1], re.M))
    assert names >= {'demo', 'bench', 'replay', 'transcode', 'train'}
    options = set()
    for name in names:
        main([name, '--help'])
        options |= set(re.findall(r'--[\w-]+ (?:WxH|RECORDING)', capsys.readouterr().out))
    assert options == {
        '--sensor-size WxH', '--size WxH',  # of bench, its first name
        '--recording RECORDING',  # of demo and bench, beside the argument
        '--self-train RECORDING',  # beside the data of --config
    }  # fmt: skip


@pytest.mark.parametrize('words', [[], ['a.raw'], ['--recording', 'a.raw']])
def test_the_recording_of_a_demo_is_an_argument_or_an_option(monkeypatch, words) -> None:
    seen = []
    monkeypatch.setattr('sast_ros.cli.demo.run', lambda arguments: seen.append(arguments) or 0)
    assert main(['demo', *words]) == 0
    assert [str(each.recording) for each in seen] == [words[-1] if words else 'example']
    assert main(['demo', 'a.raw', '--recording', 'b.raw']) == 2


def test_an_unknown_option_is_answered_with_those_of_its_command(capsys: Captured) -> None:
    assert main(['replay', 'example', '--treshold', '0.3']) == 2
    shown = capsys.readouterr().err
    assert '--treshold 0.3' in shown
    assert '--score-threshold' in shown and 'sast-ros replay' in shown


@pytest.mark.parametrize('command', ['simulate', 'train'])
def test_a_command_of_the_training_package_names_it_where_it_is_missing(command: str) -> None:
    """A Python without any installed package has no entry points either."""
    program = (
        'import sys; sys.path.insert(0, sys.argv[1]); from sast_ros.cli import main; '
        f'sys.exit(main(["{command}", "--config", "x"]))'
    )
    done = subprocess.run(
        [sys.executable, '-I', '-S', '-c', program, str(Path(__file__).parents[2])],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f'sast-ros {command}' in done.stderr
    assert 'sast_ros_training' in done.stderr and 'pip install' in done.stderr


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['dance'],
        ['replay'],
        ['replay', 'bag', '--window-ms', '0'],
        ['replay', 'bag', '--score-threshold', 'high'],
        ['replay', 'bag', '--sensor-size', '640'],
        ['demo', '--seconds', 'nan'],
        ['demo', '--seconds', '0'],
        *(
            line.split()
            for line in (
                'replay x --sensor-size 1x8192',
                'view',
                'view x --host localhost',
                'view x --port 8000',
                'view --topic /a --model gen1-tiny',
                'view --debug',
                'bench --topic /a',
                'bench x --sensor-size 640x480',
                'bench x --rate 1',
                'transcode x y out.npz',
                'transcode x/a y/a out --to npz',
                'transcode x out.xyz',
                'label x --import y --every 2',
                'convert x --out out.bin',
                'convert x --name gen1-huge',
                'calibrate x --out out.bin',
                'export out.bin',
                'export out.onnx --format torch',
            )
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 2
    assert 'sast-ros' in capsys.readouterr().err


def test_a_recording_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    assert main(['replay', str(tmp_path / 'drive.mcap')]) == 1
    assert 'drive.mcap does not exist' in the_error(capsys)


def test_a_file_that_is_no_recording_is_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / 'notes.bag').write_text('not a bag')
    assert main(['replay', str(tmp_path / 'notes.bag')]) == 1
    assert 'notes.bag' in the_error(capsys)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='does not exist'):
        main(['replay', str(tmp_path / 'drive.mcap'), '--debug'])


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (SettingError('the seed\nis bad'), 'the seed is bad'),
        (
            FileNotFoundError(2, 'No such file or directory', 'a.txt'),
            'a.txt: No such file or directory',
        ),
    ],
)
def test_an_error_of_the_user_or_the_system_is_one_sentence(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(cli.doctor, 'run', raiser(error))
    assert main(['doctor']) == 1
    assert the_error(capsys) == f'sast-ros: {sentence}'


@pytest.mark.parametrize('error', [ValueError('x is bad'), KeyError('x'), ImportError('x')])
def test_any_other_error_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(cli.doctor, 'run', raiser(error))
    assert main(['doctor']) == 1
    shown = capsys.readouterr().err
    assert 'Traceback' in shown and type(error).__name__ in shown.splitlines()[-1]


@pytest.mark.parametrize('place', ['.', 'file/below.json'])
def test_a_place_where_no_json_can_be_written_is_named_before_the_work(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setattr(cli.doctor, 'run', raiser(AssertionError('it works')))
    assert main(['doctor', '--json', str(tmp_path / place)]) == 1
    assert str(tmp_path) in the_error(capsys)


@pytest.mark.parametrize(
    'command',
    [
        'evaluate {0} --json {0}',
        'evaluate . --labels {0} --json ./{0}',
        'evaluate . --json {0} --label-classes ' + 'a,' * 200 + ' --label-times {0}',
        'transcode . {0} x.csv --to csv --json link',
        'bench --recording {0} --json {0}',
        'view {0} --save {0}',
    ],
)
def test_results_never_replace_what_the_command_reads(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('a.csv').write_text('x,y,p,t\n')
    Path('link').symlink_to('a.csv')
    assert main(command.format('a.csv').split()) == 2
    assert 'a.csv, which this command reads' in the_error(capsys)
    assert Path('a.csv').read_text() == 'x,y,p,t\n'


def test_json_goes_into_pipes_and_replaces_files_as_a_whole(tmp_path: Path) -> None:
    path, pipe = tmp_path / 'new' / 'a.json', tmp_path / 'pipe'
    path.parent.mkdir()
    path.write_text('old')
    before = path.stat().st_ino
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for target in (str(path), str(pipe), '/dev/null'):
            check_json(target)
            assert write_json({'a': 1}, target) is False
        assert json.loads(path.read_text()) == json.loads(os.read(reader, 100)) == {'a': 1}
    finally:
        os.close(reader)
    assert path.stat().st_ino != before
    assert Path('/dev/null').is_char_device() and pipe.is_fifo()


@pytest.mark.skipif(not os.access('/dev/shm', os.W_OK), reason='there is no disk in memory')
def test_json_on_the_disk_in_memory_is_a_file() -> None:
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        path = Path(folder) / 'new' / 'a.json'
        check_json(str(path))
        assert path.parent.is_dir()
        write_json({'a': 1}, str(path))
        assert json.loads(path.read_text()) == {'a': 1}


@pytest.mark.parametrize('run', INTERRUPTIONS)
def test_interruption_is_exit_code_130(
    run: Callable[[object], None], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(cli.doctor, 'run', run)
    assert main(['doctor']) == 130
    assert 'interrupted' in the_error(capsys)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_through_the_context_managers(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    monkeypatch.setattr(cli.doctor, 'run', lambda arguments: os.kill(os.getpid(), number))
    try:
        with pytest.raises(SystemExit) as stop:
            main(['doctor'])
        assert stop.value.code == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def raiser(error: BaseException) -> Callable[[object], int]:
    def raise_it(arguments: object) -> int:
        raise error

    return raise_it


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    whole = sast_ros('doctor', '--json', '-')
    code = json.loads(whole.communicate()[0])['status'] == 'FAIL'
    for arguments in (['doctor', '--json', '-'], ['doctor']):
        process = sast_ros(*arguments)
        process.stdout.close()
        assert process.stderr.read() == ''
        assert process.wait() == code


@pytest.mark.parametrize('closed', ['>&-', '<&- >&- 2>&-'])
def test_closed_streams_cost_no_results(tmp_path: Path, closed: str) -> None:
    """As a cron job without output, or a service, has them."""
    bag, out = write_bag(tmp_path, messages=20), tmp_path / 'out'
    command = f'exec {sys.executable} -m sast_ros replay {bag} --out {out} --model gen1-tiny'
    run = subprocess.run(
        ['bash', '-c', f'{command} --stride-ms 100 {closed}'], stderr=subprocess.PIPE, text=True
    )
    assert run.returncode == 0, run.stderr
    assert 'rror' not in run.stderr
    assert json.loads((out / 'summary.json').read_text())['events'] == 4_000
    np.load(out / 'detections.npy')


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='/dev/full is of Linux')
@pytest.mark.parametrize('command', ['replay', 'doctor', 'doctor --json -'])
def test_a_full_disk_behind_standard_output_is_named(tmp_path: Path, command: str) -> None:
    if command == 'replay':
        bag, out = write_bag(tmp_path, messages=20), tmp_path / 'out'
        command = f'replay {bag} --out {out} --model gen1-tiny'
    run = subprocess.run(
        ['bash', '-c', f'exec {sys.executable} -m sast_ros {command} > /dev/full'],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.returncode == 1
    assert 'Traceback' not in run.stderr and 'ignored' not in run.stderr
    assert run.stderr.splitlines()[-1] == 'sast-ros: standard output: No space left on device'
    if command.startswith('replay'):
        assert json.loads((tmp_path / 'out' / 'summary.json').read_text())['events'] == 4_000


def test_an_rclpy_of_another_installation_is_one_sentence(tmp_path: Path) -> None:
    foreign = tmp_path / 'humble' / 'rclpy'
    foreign.mkdir(parents=True)
    (foreign / '__init__.py').write_text(
        'from rclpy._rclpy_pybind11 import nothing  # built for another Python\n'
    )
    path = os.pathsep.join([str(foreign.parent), *filter(None, [os.environ.get('PYTHONPATH')])])
    environment = {**os.environ, 'PYTHONPATH': path}
    command = [sys.executable, '-m', 'sast_ros']
    run = subprocess.run([*command, 'demo'], env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    (sentence,) = run.stderr.splitlines()
    assert 'PYTHONPATH' in sentence and 'ROS 2' in sentence
    run = subprocess.run(
        [*command, 'doctor', '--json', '-'], env=environment, capture_output=True, text=True
    )
    checks = {check['name']: check for check in json.loads(run.stdout)['checks']}
    assert checks['PYTHONPATH']['status'] == 'FAIL'
    assert str(foreign.parent) in checks['PYTHONPATH']['value']
    for start in (
        ['-m', 'sast_ros.ros.detector_node'],
        ['-m', 'sast_ros.demo.player'],
        ['-c', 'import sys; from sast_ros.ros.start import detector; sys.exit(detector())'],
        ['-c', 'import sys; from sast_ros.ros.start import player; sys.exit(player())'],
    ):
        command = [sys.executable, *start]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (run.returncode, run.stdout) == (1, '')
        (sentence,) = run.stderr.splitlines()
        assert 'PYTHONPATH' in sentence and 'ROS 2' in sentence


def test_replay_writes_everything(tmp_path: Path, capsys: Captured) -> None:
    av = pytest.importorskip('av')
    bag = write_bag(tmp_path, messages=60)
    out = tmp_path / 'out'
    arguments = [
        'replay',
        str(bag),
        '--out',
        str(out),
        '--model',
        'gen1-tiny',
        '--device',
        'cpu',
        '--score-threshold',
        '0.0001',
    ]
    assert main([*arguments, '--video', '--stride-ms', '100']) == 0
    said = capsys.readouterr()
    assert '12 000' in said.out
    assert f'{WIDTH}x{HEIGHT}' in said.out
    assert 'UNTRAINED' in said.out
    assert '100 % (60 of 60 messages)' in said.err
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['events'] == 12_000
    assert summary['weights'] == 'untrained'
    boxes = np.load(out / 'detections.npy')
    assert len(boxes) == summary['detections'] > 0
    with av.open(str(out / 'overlay.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == summary['windows'] > 1
    names = {path.name for path in out.iterdir()}
    assert names == {
        'detections.npy',
        'detections.mcap',
        'windows.npy',
        'summary.json',
        'overlay.mp4',
    }


def test_of_several_topics_those_that_fail_are_left_out(tmp_path: Path, capsys: Captured) -> None:
    content = event_messages(EVENT_ARRAY, 20, events=200, period_ns=10_000_000)
    topics = dict.fromkeys(('/left', '/right'), (EVENT_ARRAY, content))
    bag, out = write_rosbag1(tmp_path / 'two.bag', topics), tmp_path / 'out'
    out.mkdir()
    (out / 'left').touch()  # where a folder should be
    arguments = ['replay', str(bag), '--out', str(out), '--model', 'gen1-tiny']
    assert main([*arguments, '--topic', '/left', '--topic', '/right']) == 1
    assert (out / 'right' / 'summary.json').is_file()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('sast-ros: left out: /left: ') and str(out / 'left') in last


def test_the_bundled_recording_is_replayed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['replay', 'example', '--end', '0.2', '--model', 'gen1-tiny']) == 0
    summary = json.loads((tmp_path / 'out/replay/example/summary.json').read_text())
    assert summary['recording'] == 'example.mcap'
    assert summary['windows'] == 3


def test_results_of_another_recording_or_topic_of_that_name_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, events in (('a', 100), ('b', 200)):
        content = event_messages(EVENT_ARRAY, 20, events=events, period_ns=10_000_000)
        topics = dict.fromkeys(('/left', '/right'), (EVENT_ARRAY, content))
        (tmp_path / folder).mkdir()
        write_rosbag1(tmp_path / folder / 'run.bag', topics)
    (tmp_path / 'moved').mkdir()
    shutil.copyfile('a/run.bag', 'moved/run.bag')
    (tmp_path / 'latest.bag').symlink_to('a/run.bag')  # results are called by its target
    summary = tmp_path / 'out/replay/run/summary.json'

    def run(bag: str, topic: str, *options: str) -> int:
        return main(['replay', bag, '--topic', topic, '--model', 'gen1-tiny', *options])

    for bag in ('a/run.bag', 'moved/run.bag', 'latest.bag'):  # one recording
        assert run(bag, '/left') == 0
    first = summary.read_bytes()
    assert str(tmp_path) not in first.decode()
    for bag, topic in (('b/run.bag', '/left'), ('a/run.bag', '/right')):
        capsys.readouterr()
        assert run(bag, topic) == 1
        error = capsys.readouterr().err
        assert 'out/replay/run has the results of another' in error and '--out' in error
        assert summary.read_bytes() == first
    assert run('b/run.bag', '/left', '--out', 'out/replay/run') == 0  # as the error says
    assert json.loads(summary.read_bytes())['events'] == 20 * 200
    shutil.copyfile('a/run.bag', 'b/run.bag')  # recorded anew
    assert run('b/run.bag', '/left') == 0
    assert json.loads(summary.read_bytes())['events'] == 20 * 100
    summary.write_text('{}')  # of an earlier version
    assert run('b/run.bag', '/left') == 0


def test_replay_detects_as_the_node_does_by_default() -> None:
    from sast_ros.replay import ReplayOptions
    from sast_ros.ros.parameters import PARAMETERS

    arguments = cli._parser().parse_args(['replay', 'bag'])
    for name, value in (
        ('model.path', arguments.model),
        ('model.device', arguments.device),
        ('window.duration_ms', arguments.window_ms),
        ('window.stride_ms', arguments.stride_ms),
        ('detections.score_threshold', arguments.score_threshold),
        ('detections.nms_iou', arguments.nms_iou),
        ('detections.max_count', ReplayOptions().max_detections),
    ):
        assert PARAMETERS[name].default == value, name


def test_replay_filters_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new('1', (304, 240)).save('black.png')
    filters = ['background-activity=5000us', 'flip=rotate-180', 'mask=black.png']
    arguments = [word for text in filters for word in ('--filter', text)]
    options = ['--end', '0.2', '--model', 'gen1-tiny']
    assert main(['replay', 'example', *options, '--out', 'plain']) == 0
    assert main(['replay', 'example', *options, '--out', 'filtered', *arguments]) == 0
    plain, filtered = (
        json.loads(Path(name, 'summary.json').read_text()) for name in ('plain', 'filtered')
    )
    assert plain['filters'] == []
    assert plain['events_left_out'] == {}
    assert filtered['filters'] == filters
    removed = filtered['events_left_out']
    assert set(removed) == {'background_activity', 'mask'}
    assert sum(removed.values()) == filtered['events'] == plain['events']
    windows = [np.load(tmp_path / name / 'windows.npy') for name in ('plain', 'filtered')]
    np.testing.assert_array_equal(windows[0]['t'], windows[1]['t'])
    assert windows[0]['events'].min() > 0 == windows[1]['events'].max()
    shown = ' '.join(capsys.readouterr().out.split())
    assert 'background activity' in shown
    assert 'flip=rotate-180' in shown


@pytest.mark.parametrize('command', ['replay', 'evaluate'])
def test_an_unknown_filter_is_named_before_anything_is_done(
    command: str, tmp_path: Path, capsys: Captured
) -> None:
    bag = str(write_bag(tmp_path))
    assert main([command, bag, '--filter', 'hot-pixel', '--filter', 'cold-pixel']) == 2
    error = capsys.readouterr().err
    assert "--filter: there is no filter 'cold-pixel'" in error
    assert 'background-activity' in error


def test_an_unknown_model_and_device_are_one_sentence(tmp_path: Path, capsys: Captured) -> None:
    bag = str(write_bag(tmp_path))
    assert main(['replay', bag, '--model', 'gen1-huge', '--out', str(tmp_path)]) == 1
    assert 'gen1-tiny' in the_error(capsys)
    assert main(['replay', bag, '--device', 'abacus', '--out', str(tmp_path)]) == 1
    assert "the device 'abacus' cannot be used" in the_error(capsys)


def test_progress_is_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('TERM', 'xterm-256color')
    with show_progress('replay drive.mcap') as progress:
        progress(5, 10, 'messages')
    assert 'replay drive.mcap' in capsys.readouterr().err


def test_convert_turns_an_official_checkpoint_into_safetensors(
    tmp_path: Path, capsys: Captured
) -> None:
    from sast_ros.model import load_model, untrained_model
    import torch

    model = untrained_model('gen1-tiny')
    state = {f'mdl.{name}': value for name, value in model.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'official.ckpt')
    report = tmp_path / 'report.json'
    assert main(['convert', str(tmp_path / 'official.ckpt'), '--json', str(report)]) == 0
    summary = json.loads(report.read_text())
    said, warned = capsys.readouterr()
    assert summary['sha256'] in said
    assert summary['name'] == 'gen1-tiny' and '--name 1mpx-tiny' in warned
    assert summary['classes'] == ['car', 'pedestrian']
    loaded = load_model(tmp_path / 'official.safetensors')
    assert sum(parameter.numel() for parameter in loaded.parameters()) == summary['parameters']
    # Only what is named is replaced
    assert main(['convert', str(tmp_path / 'official.ckpt')]) == 1
    assert '--out' in the_error(capsys)
    named = ['--out', str(tmp_path / 'official.safetensors')]
    assert main(['convert', str(tmp_path / 'official.ckpt'), *named, '--name', 'gen1-tiny']) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize('ending', ['', '.ckpt', '.PT', '.pth'])
def test_converted_weights_keep_the_name_of_the_checkpoint(
    tmp_path: Path, capsys: Captured, ending: str
) -> None:
    (tmp_path / 'gen1_v1.5.safetensors').write_bytes(b'')
    assert main(['convert', str(tmp_path / f'gen1_v1.5{ending}')]) == 1
    assert 'gen1_v1.5.safetensors: exists' in capsys.readouterr().err


def test_convert_refuses_what_is_no_checkpoint(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / 'weights.ckpt').write_text('hello')
    assert main(['convert', str(tmp_path / 'weights.ckpt')]) == 1
    assert 'weights.ckpt' in the_error(capsys)
    assert not (tmp_path / 'weights.safetensors').exists()
