# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A long campaign over all decoders and readers, and its table (``make fuzz``).

Most executions are those of the loops in C, which ``loops.c`` runs without Python; the others are
sessions of messages and files. Every target runs in a process of its own, so that a crash costs
one session. The number of the session in work is in a file that outlives the process.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
import datetime
import json
import mmap
import os
from pathlib import Path
import platform
import re
import struct
import subprocess
import sys
import tempfile
import warnings

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / 'test')]

from fuzz import engine  # noqa: E402 - needs the path
from fuzz.targets import all_targets  # noqa: E402

_POSITION = struct.Struct('<qq')

#: Executions of a process, so that it cannot grow without being seen.
_PORTION = 250_000

#: Share of the loops in the executions of a campaign.
_LOOPS = 0.94
_LOOPS_SOURCE = 'test/fuzz/loops.c'

_COMPILER = ('gcc', '-O1', '-g', '-fno-wrapv', '-Wno-psabi', '-fsanitize=address,undefined')

#: Crashes of a target after which the campaign goes on with the next one.
_MAX_CRASHES = 20


@dataclass
class Row:
    """Results of one target."""

    executions: int = 0
    refused: int = 0
    events: int = 0
    size: int = 0
    slowest: float = 0.0
    memory: int = 0
    crashes: int = 0
    reports: int = 0
    findings: Counter[str] = field(default_factory=Counter)


def work(name: str, seed: int, first: int, executions: int, position: Path, out: Path) -> None:
    """Run one target in this process and print the results as JSON."""
    import resource

    warnings.simplefilter('error', RuntimeWarning)
    target = next(each for each in all_targets() if each.name == name)
    engine.check_valid(target)
    with position.open('r+b') as file, mmap.mmap(file.fileno(), _POSITION.size) as shared:
        result = engine.run(
            target,
            seed,
            executions=executions,
            first=first,
            report=lambda *now: _POSITION.pack_into(shared, 0, *now),
        )
    for finding in result.findings:
        finding.save(out)
    content = vars(result) | {
        'findings': [(finding.kind, finding.text) for finding in result.findings],
        'memory': 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(content))


def run_target(name: str, seed: int, executions: int, out: Path) -> Row:
    """Run one target to its number of executions, in as many processes as that takes."""
    row, first = Row(), 0
    with tempfile.NamedTemporaryFile() as file:
        position = Path(file.name)
        while row.executions < executions and row.crashes + row.reports < _MAX_CRASHES:
            portion = min(_PORTION, executions - row.executions)
            position.write_bytes(_POSITION.pack(first, 0))
            done = subprocess.run(
                [sys.executable, __file__, '--worker', name, '--seed', str(seed)]
                + ['--first', str(first), '--executions', str(portion)]
                + ['--position', str(position), '--out', str(out)],
                capture_output=True,
                text=True,
            )
            session, so_far = _POSITION.unpack(position.read_bytes())
            first = session + 1
            if done.returncode:
                row.executions += so_far
                watched = 'AddressSanitizer' in done.stderr or 'runtime error' in done.stderr
                row.reports += watched
                row.crashes += not watched
                out.mkdir(parents=True, exist_ok=True)
                (out / f'{engine.file_name(name)}-{session}.txt').write_text(done.stderr)
                print(f'{name}: session {session} of seed {seed} ends the process', flush=True)
                continue
            add(row, json.loads(done.stdout))
    return row


def run_loops(seed: int, executions: int, out: Path) -> dict[str, Row]:
    """Build and run the fuzzer of the loops, which ends at the first report of a sanitizer."""
    out.mkdir(parents=True, exist_ok=True)
    program = (out / 'loops').resolve()
    sources = [*(REPOSITORY / 'sast_ros' / 'kernels').glob('*.c'), REPOSITORY / _LOOPS_SOURCE]
    environment = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
    subprocess.run(
        [*_COMPILER, '-fno-sanitize-recover', *sources, '-lm', '-o', program],
        check=True,
        env=environment,
    )
    done = subprocess.run(
        [program, str(executions), str(seed)], capture_output=True, text=True, env=environment
    )
    rows = {}
    for name, count, events, slowest in re.findall(
        r'^\| (\w+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$', done.stdout, re.M
    ):
        row = Row(executions=int(count), events=round(1e6 * float(events)))
        row.slowest = float(slowest) / 1e3
        row.findings['slow'] = int(row.slowest > engine.MAX_SECONDS)
        rows[f'loop {name} in C'] = row
    if done.returncode:
        (out / 'loops.txt').write_text(done.stderr)
        print(done.stderr[-2000:], flush=True)
        rows['loops in C'] = Row(reports=1)
    return rows


def add(row: Row, result: dict) -> None:
    """Add the results of a process."""
    for key in ('executions', 'refused', 'events', 'size'):
        setattr(row, key, getattr(row, key) + result[key])
    row.slowest = max(row.slowest, result['slowest'])
    row.memory = max(row.memory, result['memory'])
    for kind, text in result['findings']:
        row.findings[kind] += 1
        print(f'{kind}: {text[-2000:]}', flush=True)


def line(name: str, row: Row) -> str:
    """Return the row of a target in the table."""
    others = row.findings.total() - row.findings['untyped error'] - row.findings['slow']
    return (
        f'| {name} | {row.executions} | {100 * row.refused / max(row.executions, 1):.0f} | '
        f'{row.events / 1e6:.1f} | {row.crashes} | {row.reports} | '
        f'{row.findings["untyped error"]} | {row.findings["slow"]} | {others} | '
        f'{1e3 * row.slowest:.0f} | {row.memory >> 20} |'
    )


def print_row(name: str, row: Row, total: Row) -> None:
    """Print the row of a target and add it to the last one."""
    print(line(name, row), flush=True)
    add(total, vars(row) | {'findings': []})
    total.crashes += row.crashes
    total.reports += row.reports
    total.findings += row.findings


def instruction_set() -> str:
    """Return the widest vectors of the processor that the kernels are built for."""
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return platform.machine()
    return 'AVX-512' if 'avx512vl' in flags else 'AVX2' if 'avx2' in flags else platform.machine()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--executions', type=int, default=10_000_000, help='of all targets')
    parser.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'little'))
    parser.add_argument('--target', default='', help='only those with this in their name')
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'), help='folder for findings')
    parser.add_argument('--replay', type=Path, metavar='FILE', help='one finding, in this process')
    parser.add_argument('--session', type=int, help='one session of --target, in this process')
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    parser.add_argument('--first', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--position', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        first, executions = options.first, options.executions
        work(options.worker, options.seed, first, executions, options.position, options.out)
        return 0
    targets = [each for each in all_targets() if options.target in each.name]
    if options.replay or options.session is not None:
        return repeat(targets, options)
    from sast_ros import kernels

    shares = sum(target.share for target in targets)
    today = datetime.date.today()
    print(f'seed {options.seed}, {instruction_set()}, {today}, {kernels.__file__}', flush=True)
    print(
        '| target | executions | refused % | million events | crashes | sanitizer reports | '
        'untyped errors | slow | other findings | slowest, ms | memory, MiB |\n'
        + '|---' * 11
        + '|'
    )
    total, others = Row(), options.executions
    if not options.target:
        others -= round(_LOOPS * options.executions)
        loops = run_loops(options.seed, options.executions - others, options.out)
        for name, row in loops.items():
            print_row(name, row, total)
    for target in targets:
        count = round(others * target.share / shares)
        print_row(target.name, run_target(target.name, options.seed, count, options.out), total)
    print(line('all', total))
    return int(bool(total.crashes + total.reports + total.findings.total()))


def repeat(targets: list, options: argparse.Namespace) -> int:
    """Run one session again in this process; 1 if it breaks a rule."""
    warnings.simplefilter('error', RuntimeWarning)
    if options.replay:
        name, inputs = engine.load_inputs(options.replay)
        target = next(each for each in all_targets() if each.name == name)
    else:
        (target,) = targets
        inputs = engine.session_of(target, options.seed, options.session)
    statistics = engine.Statistics()
    engine.run_session(target, inputs, statistics)
    for finding in statistics.findings:
        print(f'{finding.kind}: {finding.text}')
    return int(bool(statistics.findings))


if __name__ == '__main__':
    sys.exit(main())
