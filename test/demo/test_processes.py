# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Child processes of the demonstration: how they end, what is reported, and their domain."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import signal
import subprocess
import sys

from program import is_gone, wait_for
import pytest
from sast_ros.demo.processes import Child, claimed_domain, DemoError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def make_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Child]:
    """Give a child that runs a program."""
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    def make(name: str, program: str) -> Child:
        (tmp_path / f'{name}.py').write_text(program)
        return Child(f'the {name}', name, ['argument'], tmp_path / f'{name}.log')

    return make


def test_a_child_that_fails_is_reported_with_the_end_of_its_log(make_child) -> None:
    program = (
        'import sys; print(sys.argv[1]); print("out of memory", file=sys.stderr); sys.exit(3)'
    )
    with make_child('player', program) as child:
        wait_for(lambda: child.exit_code() is not None)
        assert child.exit_code() == 3
        assert 'the player ended with exit code 3' in child.failure()
        assert child.failure().endswith('is: out of memory')
        assert child.log.read_text().startswith('argument')


def test_a_child_that_prints_nothing_has_an_empty_log(make_child) -> None:
    with make_child('player', '') as child:
        wait_for(lambda: child.exit_code() == 0)
        assert child.log_tail().endswith('player.log is empty')


def test_a_child_that_ignores_interruption_is_ended_all_the_same(make_child) -> None:
    program = (
        'import select, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n'
        'print("ready", flush=True)\n'
        'while True: select.select([], [], [], 1)'
    )
    child = make_child('player', program)
    child.patience_s = 0.2
    with child:
        wait_for(lambda: child.log.read_text())
        assert child.exit_code() is None
    assert 'was killed by SIGTERM' in child.failure()


@pytest.mark.parametrize('handler', ['default_int_handler', 'SIG_IGN'])
def test_children_end_even_if_the_demo_is_killed(tmp_path: Path, handler: str) -> None:
    """Also where interruption is ignored, as in a job that a script starts in the background."""
    program = (
        f'import signal; signal.signal(signal.SIGINT, signal.{handler})\n'
        'import os; from pathlib import Path; from sast_ros.demo.processes import Child\n'
        'with Child("the sleeper", "sleeper", [], Path("sleeper.log")) as child:\n'
        '    while not (text := child.log.read_text()).endswith("\\n"): pass\n'
        '    print(text, flush=True)\n'
        '    os.kill(os.getpid(), 9)'
    )
    # Not signal.pause(): a signal handled in Python (coverage has one) that comes just before it
    # would not wake it.
    (tmp_path / 'sleeper.py').write_text(
        'import os, select; print(os.getpid(), flush=True)\n'
        'while True: select.select([], [], [], 1)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(tmp_path), str(REPOSITORY)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_for(lambda: is_gone(int(done.stdout)))


on_linux = pytest.mark.skipif(sys.platform != 'linux', reason='domains are held on Linux only')

NEXT = """
from sast_ros.demo.processes import claimed_domain
with claimed_domain({first}) as domain:
    print(domain)
"""


@on_linux
def test_a_domain_is_held_in_every_process_until_it_is_released():
    with claimed_domain(40) as held, claimed_domain(40) as other:
        assert held != other
        first = int(held) - 1
        program = [sys.executable, '-c', NEXT.format(first=first)]
        elsewhere = subprocess.run(program, capture_output=True, text=True, check=True).stdout
        assert elsewhere.strip() not in (held, other)
    with claimed_domain(first) as again:
        assert again == held


def test_the_present_domain_is_not_taken(monkeypatch):
    with claimed_domain(60) as free:
        pass
    monkeypatch.setenv('ROS_DOMAIN_ID', free)
    with claimed_domain(int(free) - 1) as domain:
        assert domain != free


def test_when_all_are_held_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr('sast_ros.demo.processes._DOMAINS', 1)
    monkeypatch.setenv('ROS_DOMAIN_ID', '1')
    with pytest.raises(DemoError, match='in use'), claimed_domain(0):
        pass
