# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The charts of the live page in a real browser, without a node."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from browser import Browser, CHROMIUM, NO_CHROMIUM
import pytest

pytest.importorskip('aiohttp', reason='the live page needs aiohttp')

from sast_ros.page import PageServer  # noqa: E402 - after the skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)

#: Keeps what is drawn: the left ends of texts, and how many lines.
SPY = """
const drawn = { left: [], texts: [], lines: 0 };
const pens = CanvasRenderingContext2D.prototype;
const { fillText, lineTo } = pens;
pens.fillText = function (text, x, y) {
  drawn.left.push(x - this.measureText(text).width);
  drawn.texts.push(text);
  fillText.call(this, text, x, y);
};
pens.lineTo = function (x, y) { drawn.lines += 1; lineTo.call(this, x, y); };
"""


def sample(**values: float) -> dict[str, Any]:
    return {'rate': 0.5, 'p50': 3.0, 'p99': 4.0, 'tokens': [50.0] * 4, 'drops': 0, **values}


@pytest.fixture(scope='module')
def browser(tmp_path_factory) -> Iterator[Browser]:
    folder: Path = tmp_path_factory.mktemp('chromium')
    with (
        PageServer('127.0.0.1', 0, lambda watched: None, lambda name, value: None) as server,
        Browser(folder / 'profile') as made,
    ):
        made.show_as(1280, 900)
        made.open(server.url)
        made.evaluate(SPY)
        yield made


@pytest.mark.parametrize(
    ('values', 'label'),
    [({'rate': 0.004}, '0.0025'), ({'p99': 45_678.0}, '50000'), ({'drops': 1_234_567}, '2000000')],
)
def test_labels_of_an_axis_are_within_the_chart(browser, values, label):
    browser.evaluate('samples.length = 0; drawn.left = []; drawn.texts = []')
    browser.evaluate(f'showState({{ sample: {json.dumps(sample(**values))} }})')
    assert label in browser.evaluate('drawn.texts')
    assert min(browser.evaluate('drawn.left')) >= 0


def test_a_low_event_rate_is_not_shown_as_none(browser):
    browser.evaluate(f'showState({{ sample: {json.dumps(sample(rate=0.004))} }})')
    assert browser.evaluate('CHARTS[0].value.textContent') == '0.004'


@pytest.mark.parametrize(('seconds', 'joined'), [(1, True), (60, False), (200, False)])
def test_what_was_while_nobody_looked_is_left_open(browser, seconds, joined):
    """A page that was hidden for a minute has no samples of it."""
    given = json.dumps(sample())
    browser.evaluate(f'samples.length = 0; showState({{ sample: {given} }})')
    browser.evaluate(f'samples[0].at -= {seconds}; showState({{ sample: {given} }})')
    browser.evaluate('drawn.lines = 0; drawCharts()')
    grid, series = 4 * 3, 1 + 2 + 4 + 1
    assert browser.evaluate('drawn.lines') == grid + series * joined
    assert browser.evaluate('samples.length') == 2 - (seconds > 120)


def test_the_rate_of_pictures_ends_with_them(browser):
    shown = "document.querySelector('#fps').textContent"
    browser.evaluate('page.pictures += 1; times.push(performance.now() - 100); countPicture()')
    assert browser.evaluate(shown).endswith(' pictures/s')
    browser.wait_for(f"{shown} === '0 pictures/s'", patience=20)
