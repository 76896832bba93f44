# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The doctor sees what is there and what is missing, and says what to do."""

from __future__ import annotations

import importlib.metadata
import io
import json
from pathlib import Path
import re
import signal
import sys

import pytest
from rich.console import Console
from sast_ros import doctor
from sast_ros.cli import main
from sast_ros.cli.doctor import print_report


def find(checks: list[doctor.Check], name: str) -> doctor.Check:
    return next(check for check in checks if check.name == name)


def test_the_report_covers_everything_that_a_user_needs() -> None:
    checks = doctor.examine()
    names = {check.name for check in checks}
    assert names >= {
        'Python',
        'processor',
        'memory',
        'torch',
        'GPU',
        'compiled kernels',
        'rosbags',
        'mcap',
    }
    assert names >= {
        'PyAV',
        'video encoder',
        'rclpy',
        'event_camera_msgs',
        'vision_msgs',
        'shared memory',
        'QoS',
    }
    assert find(checks, 'compiled kernels').status == 'OK'
    assert all(check.advice for check in checks if check.status != 'OK')


def test_a_missing_package_is_a_failure_with_advice_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, 'rosbags', None)
    report = tmp_path / 'report.json'
    assert main(['doctor', '--json', str(report)]) == 1
    content = json.loads(report.read_text())
    assert content['status'] == 'FAIL'
    (missing,) = (check for check in content['checks'] if check['name'] == 'rosbags')
    assert missing['status'] == 'FAIL'
    assert 'pip install rosbags' in missing['advice']
    assert 'needed thing(s) missing' in capsys.readouterr().out


def test_lowest_versions_are_those_of_the_package() -> None:
    setup = (Path(__file__).parent.parent / 'setup.py').read_text()
    needed = dict(re.findall(r"'([\w-]+)>=([\d.]+)'", setup))
    assert needed == doctor.MINIMUMS


@pytest.mark.parametrize('name', doctor.MINIMUMS)
@pytest.mark.parametrize(('step', 'fits'), [(-1, False), (0, True), (1, True)])
def test_a_package_that_is_too_old_is_named_with_the_version_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, name: str, step: int, fits: bool
) -> None:
    minimum, real = doctor.MINIMUMS[name], importlib.metadata.version
    major, minor = map(int, minimum.split('.'))
    version = f'{major}.{minor + step}.9+local'

    def installed(asked: str) -> str:
        return version if asked.lower() == name else real(asked)

    monkeypatch.setattr(importlib.metadata, 'version', installed)
    bad = [
        check for check in doctor.examine() if check.name.lower() == name and check.status != 'OK'
    ]
    assert [check.value for check in bad] == ([] if fits else [version])
    assert all(f'"{name}>={minimum}"' in check.advice for check in bad)


def test_missing_weights_are_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr('sast_ros.model.checkpoint._BUNDLED', tmp_path)
    assert find(doctor.examine(), 'bundled weights').status == 'FAIL'
    (tmp_path / 'default.safetensors').touch()
    weights = find(doctor.examine(), 'bundled weights')
    assert (weights.status, weights.value) == ('OK', 'default')


def test_a_missing_extra_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'av', None)
    checks = doctor.examine()
    assert find(checks, 'PyAV').status == 'WARN'
    assert 'video encoder' not in {check.name for check in checks}


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for name in list(sys.modules):
        if name.partition('.')[0] in packages:
            monkeypatch.delitem(sys.modules, name)
    for name in packages:
        monkeypatch.setitem(sys.modules, name, None)


def report_of_ros() -> dict[str, doctor._Finding]:
    return {finding.name: finding for finding in doctor._ros()}


@pytest.mark.parametrize(('distribution', 'status'), [('', 'WARN'), ('jazzy', 'FAIL')])
def test_without_ros_there_are_warnings_and_a_broken_ros_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, distribution: str, status: str
) -> None:
    monkeypatch.setenv('ROS_DISTRO', distribution)
    monkeypatch.delenv('PYTHONPATH', raising=False)
    monkeypatch.setattr(doctor, '_version', lambda name: '')
    hide(monkeypatch, 'rclpy', 'vision_msgs', 'std_srvs')
    found = report_of_ros()
    for name in ('rclpy', 'vision_msgs', 'std_srvs'):
        assert found[name].status == status
        assert ('node and the demo only' in found[name].advice) == (status == 'WARN')
    assert any(finding.status == 'FAIL' for finding in found.values()) == (status == 'FAIL')


def test_a_message_package_that_few_need_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    hide(monkeypatch, 'dvs_msgs')
    found = report_of_ros()['dvs_msgs']
    assert found.status == 'WARN'
    assert 'dvs_msgs/EventArray' in found.advice


@pytest.mark.parametrize('number', [signal.SIGILL, None])
def test_torch_with_instructions_that_an_arm_processor_lacks_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals | None
) -> None:
    program = f'import os; os.kill(os.getpid(), {number:d})' if number else ''
    (tmp_path / 'torch.py').write_text(program)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    assert doctor._unusable_torch('x86_64') is None
    found = doctor._unusable_torch('aarch64')
    if number is None:
        assert found is None
    else:
        assert (found.name, found.status) == ('torch', 'FAIL')
        assert 'torch<2.10' in found.advice


def test_json_on_standard_output_is_nothing_but_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [doctor.Check('machine', 'Python', 'OK', '3.11')]
    monkeypatch.setattr(doctor, 'examine', lambda: checks)
    assert main(['doctor', '--json', '-']) == 0
    assert json.loads(capsys.readouterr().out) == {
        'status': 'OK',
        'checks': [
            {'group': 'machine', 'name': 'Python', 'status': 'OK', 'value': '3.11', 'advice': ''}
        ],
    }


@pytest.mark.parametrize(
    ('statuses', 'worst', 'verdict'),
    [
        (('OK',), 'OK', 'ready'),
        (('OK', 'WARN'), 'WARN', '1 warning'),
        (('WARN', 'FAIL'), 'FAIL', '1 needed thing'),
    ],
)
def test_the_verdict_is_the_worst_status(
    statuses: tuple[doctor.Status, ...], worst: str, verdict: str
) -> None:
    checks = [
        doctor.Check('machine', 'part', status, 'value [x]', 'do this') for status in statuses
    ]
    output = io.StringIO()
    print_report(checks, Console(file=output, width=80))
    assert doctor.overall(checks) == worst
    assert verdict in output.getvalue()
    assert 'value [x]' in output.getvalue()


def test_a_broken_examination_is_a_line_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise RuntimeError('no such file')

    monkeypatch.setattr(doctor, '_socket_buffer', break_down)
    broken = find(doctor.examine(), 'examination')
    assert (broken.group, broken.status) == ('transport of large event messages', 'FAIL')
    assert 'no such file' in broken.value
