# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Output of the commands: progress and errors to standard error, results to standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import json
import os
from pathlib import Path
import sys
from typing import Any, TextIO, TYPE_CHECKING

from sast_ros.errors import escape_controls, format_error, is_expected
from sast_ros.output import check_place, write_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

UNTRAINED_WARNING = (
    'The weights are UNTRAINED: the boxes are meaningless; use --model default or FILE.safetensors'
)


def print_error(sentence: str) -> None:
    """Print one sentence on standard error."""
    print_line(f'sast-ros: {sentence}', sys.stderr)


def print_line(text: str, stream: TextIO) -> None:
    """Print to a stream whose reader may have gone."""
    with _output(stream):
        print(escape_controls(text), file=stream, flush=True)


@contextlib.contextmanager
def left_out(reasons: dict[str, str], name: str, *, alone: bool) -> Iterator[None]:
    """Note by its name why one of several is left out; an error of the only one is raised."""
    try:
        yield
    except Exception as error:
        if alone or not is_expected(error):
            raise
        reasons[name] = format_error(error)


@contextlib.contextmanager
def _output(stream: TextIO) -> Iterator[None]:
    """Go on without a reader; name the stream in other errors, as of a full disk."""
    try:
        yield
    except BrokenPipeError:
        discard_output(stream)
    except OSError as error:
        name = 'standard error' if stream is sys.stderr else 'standard output'
        discard_output(stream)  # what it still holds must not raise again
        raise OSError(error.errno, error.strerror, name) from error


def discard_output(stream: TextIO) -> None:
    """Let the work go on without output: its reader (``| head``) has gone."""
    with contextlib.suppress(OSError, ValueError):  # no stream of a file
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def open_closed_streams() -> None:
    """
    Open the standard streams that were closed when the process started (cron, ``>&-``).

    Otherwise the next file that is opened would get the number of standard output.
    """
    for number, name, mode in ((0, 'stdin', 'r'), (1, 'stdout', 'w'), (2, 'stderr', 'w')):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def open_console(*, stderr: bool = False) -> Console:
    """Return a rich console on standard output or standard error."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        """Shows control characters in names instead of obeying them."""

        def render(self, *args: Any, **options: Any) -> Iterator[Segment]:
            for segment in super().render(*args, **options):
                if not segment.control:
                    segment = Segment(escape_controls(segment.text), segment.style)
                yield segment

        def print(self, *objects: Any, **options: Any) -> None:  # noqa: A003
            with _output(sys.stderr if self.stderr else sys.stdout):  # rich before 13.8 raises
                super().print(*objects, **options)

        def on_broken_pipe(self) -> None:
            discard_output(sys.stderr if self.stderr else sys.stdout)

    # File names are printed as they are, also those that look like markup.
    console = SafeConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
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


def columns_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table with a heading for each column, the first one flush left."""
    from rich.table import Table

    table = Table(title=title, title_justify='left', title_style='bold', box=None)
    for index, name in enumerate(columns):
        table.add_column(name, justify='right' if index else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*(str(value) for value in row))
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


def decimal(value: float | None) -> str:
    """Return a share with three decimals, a dash for an unknown one."""
    return '-' if value is None else f'{value:.3f}'


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
                print_line(text, sys.stderr)

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
        print_line(text, sys.stdout)
        return True
    write_file(Path(target), text + '\n')
    return False


def check_json(target: str | None) -> None:
    """Raise ``OSError`` before the work if ``write_json`` cannot write there after it."""
    if target not in (None, '-'):
        check_place(Path(target))
