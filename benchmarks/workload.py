# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks (and the parity tests) share, beside what ``sast_ros.bench`` has."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
import re
import sys
from typing import Any

from sast_ros.bench.host import describe_host
from sast_ros.bench.workload import outlines, recipe_weights
from sast_ros.output import write_file

__all__ = [
    'REPOSITORY',
    'host',
    'new_parser',
    'outlines',
    'recipe_weights',
    'report',
    'write_results',
]

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED_WEIGHTS = REPOSITORY / 'sast_ros' / 'model' / 'weights' / 'default.safetensors'


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark: its description as it is written, and ``--json``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write the results into this file'
    )
    return parser


def host() -> dict[str, Any]:
    """Return this machine, the command, without its folders, and which weights are bundled."""
    # /folder/file, or --option=/folder/file
    words = [re.sub(r'^(-[^/]*=)?/.*/', r'\1', word) for word in sys.argv]
    digest = hashlib.sha256(BUNDLED_WEIGHTS.read_bytes()).hexdigest()
    return describe_host() | {'command': ' '.join(words), 'bundled_weights': digest[:16]}


def report(title: str, columns: list[str], rows: list[list[Any]], json_path: Path | None) -> None:
    """Print a table with the host below it, and write both as JSON if a path is given."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    print(title)
    for row in [columns, *rows]:
        print('  '.join(str(value).ljust(width) for value, width in zip(row, widths)).rstrip())
    print(', '.join(f'{key} {value}' for key, value in host().items()), file=sys.stdout)
    results = [dict(zip(columns, row)) for row in rows]
    write_results(json_path, {'benchmark': title, 'host': host(), 'results': results})


def write_results(path: Path | None, results: dict[str, Any]) -> None:
    """Write results as JSON if a path is given."""
    if path is not None:
        write_file(path, json.dumps(results, indent=1) + '\n')
