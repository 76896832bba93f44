# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The report in a real browser: Chromium without a window.

Regenerate the picture of docs/how_to/evaluate.md, from eight simulated drives of 5 s, with
``SAST_REPORT_SCREENSHOT=docs/images/report.png pytest test/evaluation/test_report_browser.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
import os
from pathlib import Path
import shutil
import subprocess

from evaluation.labelled_recordings import write_labelled_recordings
import numpy as np
import pytest
from sast_ros.cli import main

pytest.importorskip('matplotlib', reason='the plots need matplotlib')
pytest.importorskip('faster_coco_eval', reason='the metrics need faster-coco-eval')
Image = pytest.importorskip('PIL.Image')

BROWSER = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason='no Chromium: install the package chromium (apt install chromium)'
)

#: Where the picture for docs/how_to/evaluate.md goes, if it is wanted.
SCREENSHOT = os.environ.get('SAST_REPORT_SCREENSHOT')

#: Background of the page.
PAGE = {'light': (244, 245, 248), 'dark': (15, 18, 24)}

# What the page looks like on a phone, asked from outside of it.
_PROBE = """
<!DOCTYPE html><body style="margin: 0">
<iframe src="report.html" style="width: 360px; height: 740px; border: 0"></iframe>
<script>
function light(colour) {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((value) => {
    const part = value / 255;
    return part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  });
  return .2126 * r + .7152 * g + .0722 * b;
}
window.onload = () => {
  const view = document.querySelector('iframe').contentWindow, page = view.document;
  page.querySelectorAll('details').forEach((one) => { one.open = true; });
  const texts = [...page.querySelectorAll('svg text')].map((text) => {
    const svg = text.ownerSVGElement, style = view.getComputedStyle(text);
    const ground = view.getComputedStyle(svg.closest('figure')).backgroundColor;
    const [low, high] = [light(style.fill), light(ground)].sort((a, b) => a - b);
    return {
      size: parseFloat(style.fontSize) * svg.clientWidth / svg.viewBox.baseVal.width,
      contrast: (high + .05) / (low + .05),
    };
  });
  const found = {
    width: page.documentElement.scrollWidth,
    room: view.innerWidth,
    size: Math.min(...texts.map((one) => one.size)),
    contrast: Math.min(...texts.map((one) => one.contrast)),
    texts: texts.length,
    images: [...page.images].map((one) => one.naturalWidth),
    scheme: view.getComputedStyle(page.body).backgroundColor,
  };
  document.body.textContent = '<<' + JSON.stringify(found) + '>>';
};
</script>
"""


@dataclass(frozen=True)
class Seen:
    """What a browser put out: the page as it was in the end, and its errors."""

    page: str
    console: list[str]


def browse(page: Path, *flags: str, scheme: str = 'light', size: str = '1100,1400') -> Seen:
    """Open a page and let it finish."""
    done = subprocess.run(
        [
            str(BROWSER),
            '--headless=new',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-background-networking',
            '--disable-dev-shm-usage',
            '--hide-scrollbars',
            '--allow-file-access-from-files',
            '--enable-logging=stderr',
            '--v=0',
            f'--user-data-dir={page.parent / "profile"}',
            f'--blink-settings=preferredColorScheme={int(scheme == "light")}',
            f'--window-size={size}',
            *flags,
            page.resolve().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return Seen(done.stdout, [line for line in done.stderr.splitlines() if ':CONSOLE' in line])


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> Path:
    """Evaluate recordings with the bundled model, and return the report."""
    folder = tmp_path_factory.mktemp('report')
    recordings = folder / 'recordings'
    if SCREENSHOT:
        simulation = ['--sequences', '8', '--seconds', '5', '--seed', '7', '--no-video']
        assert main(['simulate', '--out', str(recordings), *simulation]) == 0
    else:
        write_labelled_recordings(recordings, ['first', 'second'], 2)
    labels = sorted(recordings.glob('*_bbox.npy'))
    names = [path.name.removesuffix('_bbox.npy') for path in labels if len(np.load(path))]
    bags = [str(recordings / f'{name}.mcap') for name in names]
    evaluation = ['--labels', str(recordings), '--out', str(folder), '--video']
    assert main(['evaluate', *bags, *evaluation]) == 0
    return folder / 'report.html'


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_fits_a_phone_and_can_be_read(report, scheme):
    probe = report.with_name('probe.html')
    probe.write_text(_PROBE)
    seen = browse(probe, '--dump-dom', scheme=scheme)
    assert seen.console == []
    found = json.loads(seen.page.split('&lt;&lt;')[1].split('&gt;&gt;')[0])
    assert found['room'] == 360
    assert found['width'] <= found['room']
    assert found['texts'] > 50
    assert found['size'] >= 9.5  # pixels
    assert found['contrast'] >= 4.5  # WCAG 2, AA
    assert found['images'] and min(found['images']) >= 260
    assert found['scheme'] == f'rgb{PAGE[scheme]}'


def test_it_is_shown_without_an_error_and_loads_nothing(report):
    seen = browse(report, '--dump-dom')
    assert seen.console == []
    assert '</html>' in seen.page
    assert 'http:' not in seen.page and 'https:' not in seen.page
    assert seen.page.count('data:image/webp') == seen.page.count('<img') > 0


def test_the_browser_reports_what_the_page_may_not_load(report):
    """Of a picture from elsewhere, which the page's own rules forbid."""
    broken = report.with_name('broken.html')
    source = report.read_text(encoding='utf-8')
    broken.write_text(source.replace('<main>', '<main><img src="https://localhost:9/a.png">'))
    assert browse(broken, '--dump-dom').console


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_looks_right(report, scheme, tmp_path):
    """Take the picture of docs/how_to/evaluate.md."""
    picture = tmp_path / 'report.png'
    assert browse(report, f'--screenshot={picture}', scheme=scheme).console == []
    shown = Image.open(picture).convert('RGB')
    assert shown.size == (1100, 1400)
    assert shown.getpixel((2, 2)) == PAGE[scheme]
    assert len(np.unique(np.asarray(shown.convert('L')))) > 100
    if SCREENSHOT and scheme == 'light':
        shown.crop((0, 0, 1100, 1360)).save(SCREENSHOT, optimize=True)  # up to a heading
        assert Path(SCREENSHOT).stat().st_size < 300_000


def test_links_lead_to_videos_that_are_there(report):
    source = report.read_text(encoding='utf-8')
    links = {part.split('"')[0] for part in source.split('href="')[1:]}
    videos = {one.split('#')[0] for one in links if '.mp4' in one}
    assert videos
    assert all((report.parent / video).is_file() for video in videos)
