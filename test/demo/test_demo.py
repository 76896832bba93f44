"""
The demonstration on real topics, shortened.

Also what it says when one of its processes fails.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the demonstration needs ROS 2')
pytest.importorskip(
    'vision_msgs.msg', reason='the demonstration needs the message packages of msg/'
)

from sast_ros.bags import open_recording  # noqa: E402 - after the skips
from sast_ros.cli import main  # noqa: E402 - after the skips
from sast_ros.demo import DemoError, run_demo  # noqa: E402 - after the skips
from sast_ros.demo.processes import Child  # noqa: E402 - after the skips
from sast_ros.demo.run import _ros_environment  # noqa: E402 - after the skips
from sast_ros.evaluation.metrics.matching import count_matches  # noqa: E402 - after the skips
from sast_ros.labels import BOX_DTYPE  # noqa: E402 - after the skips


def test_every_window_of_a_drive_comes_back_in_order(
    tmp_path: Path,
    ros_domain: str,
    sure_weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    av = pytest.importorskip('av')
    mcap_reader = pytest.importorskip('mcap.reader')
    arguments = ['--seconds', '1.5', '--model', str(sure_weights), '--out', str(tmp_path)]
    assert main(['demo', *arguments]) == 0
    said = capsys.readouterr().out
    assert 'UNTRAINED' not in said
    assert '0 lost, in order' in said
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['complete']
    assert summary['trained']
    assert summary['classes'] == ['pedestrian', 'two-wheeler', 'car']
    sent = summary['windows']['sent']
    assert sent == 30
    assert summary['windows'] == {'sent': sent, 'received': sent, 'lost': 0, 'in_order': True}
    assert summary['messages']['sent'] == summary['messages']['received'] > 300
    assert 0 < summary['latency_ms']['median'] <= summary['latency_ms']['p99']
    assert len(summary['kept_tokens']) == 4
    assert all(0 < share <= 1 for share in summary['kept_tokens'])
    assert summary['node']['windows done'] == sent
    check_accuracy(tmp_path, summary, said)
    with av.open(str(tmp_path / 'overlay.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == sent
    with (tmp_path / 'detections.mcap').open('rb') as stream:
        assert sum(1 for _ in mcap_reader.make_reader(stream).iter_messages()) == sent
    with open_recording(tmp_path / 'events.mcap') as recording:
        assert sum(len(chunk) for chunk in recording) == summary['events']
    if summary['report'] == 'report.html':
        page = (tmp_path / 'report.html').read_text(encoding='utf-8')
        assert 'href="overlay.mp4#t=' in page and 'src="data:image/webp' in page
        assert 'report.html' in said
    else:  # matplotlib or faster-coco-eval is missing
        assert 'pip install' in summary['report']
    assert os.environ['ROS_DOMAIN_ID'] == ros_domain


def check_accuracy(folder: Path, summary: dict, said: str) -> None:
    """See that precision and recall are those of the files that were written."""
    accuracy = summary['accuracy']
    labels = np.load(folder / 'labels_bbox.npy')
    found = np.load(folder / 'detections.npy')
    assert labels.dtype == BOX_DTYPE
    times = 50_000 * np.arange(1, summary['windows']['sent'] + 1)
    assert set(labels['t']) <= set(times)
    assert summary['detections'] == len(found) > 0
    images = [(labels[labels['t'] == t], found[found['t'] == t]) for t in times]
    counts = count_matches(images, summary['classes'], accuracy['score'])
    for name, values in accuracy['classes'].items():
        expected = counts[name]
        assert (values['labels'], values['detections'], values['matches']) == (
            expected.labels,
            expected.detections,
            expected.matches,
        )
    assert sum(count.labels for count in counts.values()) > 0
    assert accuracy['classes']['car']['precision'] is not None
    assert re.search(r'car +precision \d\.\d\d, recall ', said)


@pytest.mark.parametrize('missing', ['matplotlib', 'faster_coco_eval'])
def test_without_plots_or_figures_there_is_no_report_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    from sast_ros.demo.results import _write_report
    from sast_ros.detector import Detections
    from sast_ros.windows import EventWindow

    (tmp_path / 'report.html').write_text('of an earlier run')
    label = np.zeros(1, BOX_DTYPE)
    label['t'], label['w'], label['h'] = 600_000, 40, 40
    np.save(tmp_path / 'labels_bbox.npy', label)
    windows = [
        EventWindow(end - 50_000, end, (), 304, 240, stamp_ns=1000 * end)
        for end in (50_000, 600_000)
    ]
    nothing = np.zeros(0, np.float32)
    found = Detections(
        np.zeros((0, 4), np.float32),
        nothing,
        np.zeros(0, np.int64),
        nothing,
        nothing,
        ('pedestrian',),
        width=304,
        height=240,
        t_end=600_000,
    )
    monkeypatch.setitem(sys.modules, missing, None)
    said = _write_report(tmp_path, [(window, found) for window in windows], {}, None)
    assert said is not None and said.startswith('none: ')
    assert 'pip install' in said
    assert not (tmp_path / 'report.html').exists()


def test_untrained_weights_are_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['demo', '--seconds', '1', '--model', 'gen1-tiny', '--out', str(tmp_path)]) == 0
    assert 'UNTRAINED' in capsys.readouterr().out
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert not summary['trained']
    assert list(summary['accuracy']['classes']) == ['car', 'pedestrian']


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DemoError, match=r'the detector node cannot start: .*missing\.safetensors'):
        run_demo(tmp_path, seconds=1, model=str(tmp_path / 'missing.safetensors'))
    assert time.monotonic() - began < 60
    assert not (tmp_path / 'summary.json').exists()


def test_the_domain_is_not_the_one_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    environment = _ros_environment(None)
    assert environment['ROS_DOMAIN_ID'] != os.environ['ROS_DOMAIN_ID']
    assert 1 <= int(environment['ROS_DOMAIN_ID']) <= 100
    assert environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'


def make_child(tmp_path: Path, name: str, program: str) -> Child:
    (tmp_path / f'{name}.py').write_text(program)
    return Child(
        f'the {name}',
        name,
        [],
        {**os.environ, 'PYTHONPATH': str(tmp_path)},
        tmp_path / f'{name}.log',
    )


def wait_for(condition: object) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit


def test_a_child_that_ends_says_how_and_why(tmp_path: Path) -> None:
    with make_child(
        tmp_path, 'painter', 'import sys; print("out of paint", file=sys.stderr); sys.exit(3)'
    ) as child:
        wait_for(lambda: child.failure() is not None)
        assert 'the painter ended with exit code 3' in child.failure()
        assert child.failure().endswith('is: out of paint')


def test_a_child_talks_in_json_lines_and_everything_else_goes_into_its_log(tmp_path: Path) -> None:
    program = (
        'print("hello"); print(\'{"state": "ready"}\', flush=True); input(); print("[]", '
        'flush=True); input()'
    )
    with make_child(tmp_path, 'talker', program) as child:
        wait_for(
            lambda: (message := child.message()) is not None and message == {'state': 'ready'}
        )
        child.tell()
        wait_for(lambda: '[]' in child.log.read_text())
        assert child.failure() is None
    assert child.log.read_text().startswith('hello')


def test_a_child_that_ignores_interruption_is_ended_all_the_same(tmp_path: Path) -> None:
    program = (
        'import select, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n'
        'print("{}", flush=True)\n'
        'while True: select.select([], [], [], 1)'
    )
    child = make_child(tmp_path, 'mule', program)
    child.patience_s = 0.2
    with child:
        wait_for(lambda: child.message() is not None)
    assert 'was killed by SIGTERM' in child.failure()


def test_no_process_is_left_when_the_demo_is_terminated(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, '-m', 'sast_ros', 'demo', '--out', str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f'/proc/{demo.pid}/task/{demo.pid}/children')
    if not children.exists():
        demo.kill()
        pytest.skip('the kernel does not list the children of a process')
    wait_for(lambda: len(children.read_text().split()) == 2)
    pids = children.read_text().split()
    # Whatever the node says first, it runs then
    wait_for(lambda: (tmp_path / 'node.log').read_text())
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(40) == 143
    assert not any(Path(f'/proc/{pid}').exists() for pid in pids)
    assert 'Traceback' not in demo.stderr.read()


@pytest.mark.parametrize('handler', ['default_int_handler', 'SIG_IGN'])
def test_children_end_even_if_the_demo_is_killed(tmp_path: Path, handler: str) -> None:
    """Also where interruption is ignored, as in a job that a script starts in the background."""
    program = (
        f'import signal; signal.signal(signal.SIGINT, signal.{handler})\n'
        'import os, sys; from pathlib import Path; from sast_ros.demo.processes import Child\n'
        'with Child("the sleeper", "sleeper", [], os.environ, Path("sleeper.log")) as child:\n'
        '    while (message := child.message()) is None: pass\n'
        '    print(message["pid"], flush=True)\n'
        '    os.kill(os.getpid(), 9)'
    )
    # Not signal.pause(): a signal handled in Python (coverage has one) that comes just before it
    # would not wake it.
    (tmp_path / 'sleeper.py').write_text(
        'import json, os, select; print(json.dumps({"pid": os.getpid()}), flush=True)\n'
        'while True: select.select([], [], [], 1)'
    )
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: is_gone(int(done.stdout)))


def is_gone(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True
