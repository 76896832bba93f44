# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Coverage-guided fuzzing of one decoder or reader with atheris (PyPI), which has to be installed.

    python test/fuzz/coverage_guided.py 'EventPacket evt3' -max_total_time=60

Options behind the target are those of libFuzzer. Inputs are grown from the valid ones, and kept in
out/fuzz/corpus; an input that breaks a rule is written to the working directory. Only Python is
instrumented: the loops in C are fuzzed under sanitizers by loops.c.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
import sys
import warnings

import atheris

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / 'test')]

with atheris.instrument_imports(include=['sast_ros', 'rosbags', 'mcap']):
    from fuzz import engine
    from fuzz.targets import all_targets

_CORPUS = Path('out/fuzz/corpus')


def main() -> None:
    """Fuzz the target that the first argument names."""
    target = next((each for each in all_targets() if each.name == sys.argv[1]), None)
    if target is None:
        sys.exit(f'give one of {", ".join(each.name for each in all_targets())}')
    folder = _CORPUS / engine.file_name(target.name)
    folder.mkdir(parents=True, exist_ok=True)
    for index, item in enumerate(target.valid()):
        (folder / f'valid-{index}').write_bytes(item.data)
    warnings.simplefilter('error', RuntimeWarning)

    def execute(data: bytes) -> None:
        statistics = engine.Statistics()
        engine.run_session(target, [engine.Input(data)], statistics)
        for finding in statistics.findings:
            raise RuntimeError(f'{finding.kind}: {finding.text}')

    atheris.Setup([sys.argv[0], str(folder), *sys.argv[2:]], execute)
    with contextlib.suppress(KeyboardInterrupt):
        atheris.Fuzz()


if __name__ == '__main__':
    main()
