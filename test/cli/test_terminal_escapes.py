# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""No name in a file controls the terminal."""

from __future__ import annotations

import pickle
import unicodedata

from bags.recordings import event_messages, EVENT_PACKET, write_recording
from hypothesis import given, strategies
import pytest
from rich.text import Text
from sast_ros.cli import main
from sast_ros.cli.terminal import new_table, open_console, print_error, show_progress, step_logger
from sast_ros.errors import escape_controls, format_error, SastError, SettingError
from sast_ros.events import EventFormatError, open_decoder

EVIL = 'a\x1b]0;owned\x07\x1b[2J\r\x9b31m\x7f\u202eb'


def is_safe(text: str) -> bool:
    return not any(
        unicodedata.category(c) in ('Cc', 'Cs') and c not in '\t\n' or c in '\u202e\u2066'
        for c in text
    )


@given(strategies.text())
def test_escaped_text_has_no_control_characters(text):
    escaped = escape_controls(text)
    assert is_safe(escaped)
    assert escape_controls(escaped) == escaped
    escaped.encode()
    if is_safe(text) and not set(text) & set('\u2028\u2029'):
        assert escaped == text or any('\u2028' <= c <= '\u2069' for c in text)


@pytest.mark.parametrize('name', ['run_1', 'Größe', '車両', 'a b\tc', '🚗'])
def test_other_names_stay(name):
    assert escape_controls(name) == name


@pytest.mark.parametrize(
    'error',
    [SastError(EVIL), SettingError(EVIL), EventFormatError(EVIL), OSError(2, 'No', EVIL)]
    + [KeyError(EVIL), ValueError(EVIL)],
)
def test_errors_are_safe(error):
    assert is_safe(format_error(error))
    if isinstance(error, SastError):
        assert is_safe(str(error)) and 'owned' in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize('terminal', [False, True])
def test_everything_printed_is_safe(terminal, monkeypatch, capsys):
    if terminal:
        monkeypatch.setenv('FORCE_COLOR', '1')
    table = new_table(EVIL)
    table.add_row(EVIL, Text(EVIL, style='bold'))
    console = open_console()
    console.print(table)
    console.print(Text(EVIL))
    console.print(EVIL)
    print_error(EVIL)
    step_logger()(EVIL)
    with show_progress(EVIL) as progress:
        progress(1, 2, EVIL)
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert 'owned' in text
        assert '\x1b]' not in text and '\x07' not in text and '\x9b' not in text
        assert '[2J' not in text.replace('\\x1b[2J', '')


def test_a_topic_and_a_file_name_are_safe(tmp_path, capsys):
    topic = '/events' + EVIL
    folder = tmp_path / EVIL.replace('/', '')
    folder.mkdir()
    messages = event_messages(EVENT_PACKET, 3)
    path = write_recording(folder, 'mcap', {topic: (EVENT_PACKET, messages)})
    out = str(tmp_path / 'out')
    assert main(['replay', str(path), '--out', out, '--model', 'gen1-tiny']) == 0
    assert main(['replay', str(path), '--out', out, '--topic', EVIL]) == 1
    assert main(['replay', str(path), EVIL]) == 2
    said = capsys.readouterr()
    assert is_safe(said.out) and is_safe(said.err)


def test_an_encoding_of_a_message_is_safe():
    (_, raw), *_ = event_messages(EVENT_PACKET, 1)
    with pytest.raises(EventFormatError) as caught:
        open_decoder(EVENT_PACKET)(raw.replace(b'mono\0', b'\x1b[2J\0'))
    assert is_safe(str(caught.value)) and '[2J' in str(caught.value)
