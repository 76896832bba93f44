# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Output of the commands: progress and errors to standard error, results to standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

UNTRAINED_WARNING = (
    'The weights are UNTRAINED: the boxes are meaningless; use --model default or FILE.safetensors'
)


def print_error(sentence: str) -> None:
    """Print one sentence on standard error."""
    with contextlib.suppress(BrokenPipeError):
        print(f'sast-ros: {sentence}', file=sys.stderr)


def open_console(*, stderr: bool = False) -> Console:
    """Return a rich console on standard output or standard error."""
    from rich.console import Console

    # File names are printed as they are, also those that look like markup.
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 120  # of a file or pipe; the default of 80 would break paths
    return console


def new_table(title: str) -> Table:
    """Return a table of names and values without a frame."""
    from rich.table import Table

    table = Table(
        title=title, title_justify='left', title_style='bold', show_header=False, box=None
    )
    table.add_column(style='dim', no_wrap=True)
    table.add_column(overflow='fold')
    return table


def show_results(table: Table, warning: str, out: Path, names: list[str]) -> None:
    """Print the table, the files that were written, and the warning if there is one."""
    from rich.text import Text

    console = open_console()
    console.print()
    console.print(table)
    console.print()
    console.print(Text(f'in {out}: {", ".join(names)}'))
    if warning:
        console.print(Text(warning, style='bold yellow'))


def kept_text(summary: dict[str, Any]) -> str:
    """Return the shares of a summary, stage by stage, in words."""

    def percent(shares: list[float]) -> str:
        return ' '.join(f'{100 * share:.0f}' for share in shares)

    tokens, windows = percent(summary['kept_tokens']), percent(summary['kept_windows'])
    return f'{tokens} % of the tokens, {windows} % of the windows'


def thousands(number: int) -> str:
    """Return the number with spaces between the thousands."""
    return f'{number:,}'.replace(',', ' ')


def step_logger() -> Callable[[str], None]:
    """Return a function that prints a line for each step that begins."""
    from rich.text import Text

    console = open_console(stderr=True)
    return lambda text: console.print(Text('... ', style='dim') + Text(text))


def progress_bar(console: Console, field: str = '', *, transient: bool = False) -> Progress:
    """Return a bar with title, share, time left and, optionally, the text of a task's field."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn('{task.description}', markup=False),
        BarColumn(bar_width=20 if field else 40),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ]
    if field:
        columns.append(TextColumn(f'{{task.fields[{field}]}}', markup=False))
    return Progress(*columns, console=console, transient=transient)


@contextlib.contextmanager
def show_progress(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show progress: a bar on a terminal, elsewhere a line for every tenth."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        printed = 0

        def print_tenth(done: int, total: int, unit: str) -> None:
            nonlocal printed
            tenth = 10 * done // total if total else 0
            if tenth > printed:
                printed = tenth
                text = f'{title}: {10 * tenth} % ({done} of {total} {unit})'
                print(text, file=sys.stderr, flush=True)

        yield print_tenth
        return
    with progress_bar(console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, unit: bar.update(task, completed=done, total=total)


def write_json(content: dict[str, Any], target: str | None) -> bool:
    """Write the JSON file of ``--json``; return whether it went to standard output."""
    if target is None:
        return False
    text = json.dumps(content, indent=2)
    if target == '-':
        print(text)
        return True
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(text + '\n', encoding='utf-8')
    return False
