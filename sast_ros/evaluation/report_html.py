"""Pieces of a page; every text that they are given is escaped, but for what is called ``html``."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
import os
from pathlib import Path
from urllib.parse import quote

__all__ = ['escape', 'figure', 'link', 'listing', 'section', 'table', 'thousands', 'tile']


def section(title: str, *html: str) -> str:
    """Return a part of the page with a heading; without content there is none."""
    content = '\n'.join(filter(None, html))
    return f'<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>' if content else ''


def tile(name: str, value: str | None, about: str, instead: str = '') -> str:
    """Return a figure that is read from afar; instead: what stands there if it is not known."""
    shown = f'<b>{escape(value)}</b>' if value else f'<b class="none">{escape(instead)}</b>'
    return f'<li><span class="name">{escape(name)}</span>{shown}<span>{escape(about)}</span></li>'


def figure(title: str, html: str, caption: str = '') -> str:
    """Return a plot with a heading and a sentence below it."""
    below = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
    return f'<figure><h3>{escape(title)}</h3>{html}{below}</figure>'


def table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], emphasised: int = -1
) -> str:
    """
    Return a table in a box in which it can be moved sideways.

    Parameters
    ----------
    title:
        what it is about, for those who cannot see it.
    head:
        names of the columns.
    rows:
        cells as HTML, the first of each being its name.
    emphasised:
        number of the row that stands for all, -1 for none.

    """
    columns = ''.join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for number, (name, *cells) in enumerate(rows):
        start = '<tr class="all">' if number == emphasised else '<tr>'
        rest = ''.join(f'<td>{cell}</td>' for cell in cells)
        lines.append(f'{start}<th scope="row">{name}</th>{rest}</tr>')
    body = '\n'.join(lines)
    return (
        f'<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0"><table>\n'
        f'<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def listing(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and their HTML."""
    return '<dl>' + ''.join(f'<dt>{escape(a)}</dt><dd>{b}</dd>' for a, b in rows) + '</dl>'


def link(target: Path, folder: Path, text: str, fragment: str = '') -> str:
    """Return a link to a file, relative to the folder of the page."""
    relative = Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
    return f'<a href="{escape(quote(relative))}{fragment}">{escape(text)}</a>'


def thousands(number: int) -> str:
    """Return the number with narrow spaces between the thousands."""
    return f'{number:,}'.replace(',', '\u202f')
