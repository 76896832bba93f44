# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that one process holds is nobody else's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sast_ros.demo.processes import claimed_domain, DemoError

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='domains are held on Linux only')

NEXT = """
from sast_ros.demo.processes import claimed_domain
with claimed_domain({first}) as domain:
    print(domain)
"""


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
