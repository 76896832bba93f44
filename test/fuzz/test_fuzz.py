# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A minute of fuzzing, and the inputs that once broke a rule.

A failure names the seed; ``SAST_ROS_FUZZ_SEED`` repeats it. ``make fuzz`` runs for longer.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from random import Random
import time
import warnings

from fuzz import engine
from fuzz.engine import Statistics
from fuzz.mutation import mutate
from fuzz.targets import all_targets
import pytest

TARGETS = {target.name: target for target in all_targets()}
FOUND = sorted((Path(__file__).parents[1] / 'data' / 'fuzz').glob('*.json'))

SEEDS = {
    'fixed seed': 1,
    'new seed': int(os.environ.get('SAST_ROS_FUZZ_SEED') or int.from_bytes(os.urandom(4))),
}
SECONDS = 60 / len(TARGETS) / len(SEEDS)


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """Warnings of numpy are findings too."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        yield


@pytest.mark.parametrize('name', TARGETS)
def test_valid_inputs_decode(name: str) -> None:
    engine.check_valid(TARGETS[name])


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('name', TARGETS)
def test_every_input_gives_valid_events_or_one_error(name: str, seed: str) -> None:
    target = TARGETS[name]
    target.valid()  # files are made once, not in the time of the run
    statistics = engine.run(target, SEEDS[seed], executions=10**6, seconds=SECONDS)
    assert statistics.executions > 0
    for finding in statistics.findings:
        path = finding.save(Path('out/fuzz'))
        pytest.fail(f'{name}, seed {SEEDS[seed]}: {finding.kind}: {finding.text}\nsaved: {path}')


@pytest.mark.parametrize('path', FOUND, ids=lambda path: path.stem)
def test_inputs_that_once_broke_a_rule(path: Path) -> None:
    name, inputs = engine.load_inputs(path)
    statistics = Statistics()
    engine.run_session(TARGETS[name], inputs, statistics)
    assert [(finding.kind, finding.text) for finding in statistics.findings] == []


class Faulty:
    """A decoder with every fault that the rules are there for, chosen by the input."""

    name = 'faulty'
    errors = ValueError
    share = 1.0
    seconds = 0.01

    def start(self) -> object:
        """Return the decoder."""

        def execute(item: engine.Input) -> int:
            if item.data == b'slow':
                end = time.thread_time() + 0.02
                while time.thread_time() < end:
                    pass
            elif item.data == b'large':
                bytearray(1 << 29)[:: 1 << 12] = b'x' * (1 << 17)
            elif item.data == b'untyped':
                raise KeyError(item.data)
            elif item.data == b'promise':
                raise AssertionError
            elif item.data == b'refused':
                raise ValueError('refused')
            return 1

        return execute


@pytest.mark.parametrize(
    ('data', 'kind'),
    [
        (b'slow', 'slow'),
        (b'large', 'memory'),
        (b'untyped', 'untyped error'),
        (b'promise', 'broken promise'),
        (b'refused', None),
        (b'good', None),
    ],
)
def test_every_kind_of_fault_is_found_and_saved(
    tmp_path: Path, data: bytes, kind: str | None
) -> None:
    statistics = Statistics()
    inputs = [engine.Input(b'good', 3), engine.Input(data)]
    engine.run_session(Faulty(), inputs, statistics)
    assert statistics.executions == 2
    assert statistics.refused == (data == b'refused')
    assert [finding.kind for finding in statistics.findings] == [kind] * (kind is not None)
    for finding in statistics.findings:
        assert engine.load_inputs(finding.save(tmp_path)) == ('faulty', inputs)


def test_a_session_is_repeated_by_its_seed_and_number() -> None:
    target = TARGETS['EventPacket evt3']
    assert engine.session_of(target, 7, 11) == engine.session_of(target, 7, 11)
    assert engine.session_of(target, 7, 11) != engine.session_of(target, 8, 11)


def test_mutations_change_most_inputs() -> None:
    random, data = Random(0), bytes(range(200))
    changed = [mutate(random, data, [b'x' * 50], text=bool(i % 2)) for i in range(200)]
    assert sum(each != data for each in changed) > 190
    assert mutate(random, b'') == b''
