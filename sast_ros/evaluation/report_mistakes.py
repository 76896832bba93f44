"""What the report shows of the worst mistakes: pictures with captions and links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sast_ros.bags.errors import RecordingError
from sast_ros.evaluation.matching import OPERATING_SCORE
from sast_ros.evaluation.mistakes import Mistake, Outcomes, worst_alarms, worst_misses
from sast_ros.evaluation.report_html import escape, link, section, thousands
from sast_ros.evaluation.report_pictures import draw_mistake, PICTURE_SIZE, read_events

if TYPE_CHECKING:
    from sast_ros.evaluation.report import Judged

#: At most so many misses, and as many false alarms, are shown as pictures.
MAX_PICTURES = 12

#: Seconds of the video before a mistake that its link plays.
_LEAD = 1.0

_LEGEND = (
    'Events are white (ON) and blue (OFF); labels are white boxes, detections coloured ones with '
    'their score; bright corners stand around what it is about. A link plays the second before.'
)

_UNKNOWN = (
    'only their detections were given; give sast-ros evaluate the recordings themselves to see '
    'the events'
)


def misses(outcomes: Sequence[Outcomes], judged: Mapping[str, Judged], folder: Path) -> str:
    """Return the section with the worst misses; folder: of the page, for links."""
    if not outcomes:
        return ''
    worst, count = worst_misses(outcomes, MAX_PICTURES)
    if not count:
        return section('Worst misses', '<p>No object was missed.</p>')
    about = (
        f'{_shown(len(worst), count)} objects that were missed for some time at a score of '
        f'{OPERATING_SCORE:g}, worst first: by time x size, where they were largest.'
    )
    return section(
        'Worst misses', f'<p>{about} {_LEGEND}</p>', _pictures(worst, _miss, judged, folder)
    )


def alarms(outcomes: Sequence[Outcomes], judged: Mapping[str, Judged], folder: Path) -> str:
    """Return the section with the worst false alarms; folder: of the page, for links."""
    if not outcomes:
        return ''
    worst, count = worst_alarms(outcomes, MAX_PICTURES)
    if not count:
        return section(
            'Worst false alarms',
            f'<p>No box with a score of at least {OPERATING_SCORE:g} is wrong.</p>',
        )
    about = (
        f'{_shown(len(worst), count)} wrong boxes with a score of at least '
        f'{OPERATING_SCORE:g}, highest first; boxes that follow each other in one place count '
        'once.'
    )
    return section(
        'Worst false alarms', f'<p>{about} {_LEGEND}</p>', _pictures(worst, _alarm, judged, folder)
    )


def _pictures(
    mistakes: Sequence[Mistake],
    words: Callable[[Mistake], str],
    judged: Mapping[str, Judged],
    folder: Path,
) -> str:
    pictures, reasons = _draw(mistakes, judged)
    made = []
    for number, mistake in enumerate(mistakes):
        source = judged[mistake.recording]
        caption = words(mistake)
        seconds = (mistake.at - source.start_us) / 1e6
        place = f'{escape(mistake.recording)}, {seconds:.2f} s'
        if source.video is not None:
            at = _video_time(source, mistake.at)
            fragment = f'#t={max(0.0, at - _LEAD):.2f},{at:.2f}'
            place += f', {link(source.video, folder, "video", fragment)}'
        width, height = PICTURE_SIZE
        shown = '<div class="blank">no picture</div>'
        if number in pictures:
            alt = f'Events around it in {mistake.recording} at {seconds:.2f} s'
            shown = (
                f'<img src="{pictures[number]}" width="{width}" height="{height}" '
                f'loading="lazy" alt="{escape(alt)}">'
            )
        made.append(
            f'<figure>{shown}<figcaption>{caption}<br><span class="soft">{place}</span>'
            '</figcaption></figure>'
        )
    notes = ''.join(f'<p class="note">{escape(reason)}</p>' for reason in reasons)
    return f'{notes}<div class="pictures">{"".join(made)}</div>'


def _draw(
    mistakes: Sequence[Mistake], judged: Mapping[str, Judged]
) -> tuple[dict[int, str], list[str]]:
    """Return the pictures by number, and why there are none of others."""
    pictures: dict[int, str] = {}
    reasons: dict[str, list[str]] = {}
    for name in dict.fromkeys(one.recording for one in mistakes):
        source = judged[name]
        if source.recording is None:
            reasons.setdefault(_UNKNOWN, []).append(name)
            continue
        own = [number for number, one in enumerate(mistakes) if one.recording == name]
        try:
            events = read_events(
                source.recording,
                source.topic,
                source.detected,
                sorted({mistakes[number].at for number in own}),
            )
        except (RecordingError, OSError) as error:
            reasons.setdefault(f'{error}', []).append(name)
            continue
        for number in own:
            one = mistakes[number]
            pictures[number] = draw_mistake(
                one, events[one.at], source.paired.classes, source.detected
            )
    return pictures, [
        f'No pictures of {_names(names)}: {reason}.' for reason, names in reasons.items()
    ]


def _miss(mistake: Mistake) -> str:
    box = mistake.box
    size = f'{float(box["w"]):.0f} x {float(box["h"]):.0f} pixels'
    return (
        f'<b>{escape(mistake.name)}</b> of {size}, missed {_lasting(mistake.lasts_us)}: '
        f'{escape(mistake.why)}'
    )


def _alarm(mistake: Mistake) -> str:
    return (
        f'<b>{escape(mistake.name)} {mistake.weight:.2f}</b>, there {_lasting(mistake.lasts_us)}: '
        f'{escape(mistake.why)}'
    )


def _lasting(microseconds: int) -> str:
    seconds = microseconds / 1e6
    return 'at one time' if seconds < 0.01 else f'for {seconds:.2g} s'


def _video_time(judged: Judged, at: int) -> float:
    """Return where the video shows a window, the middle of its frame, seconds."""
    detected = judged.detected
    if detected.windows is not None:
        frame = int(np.searchsorted(detected.windows['t'], at, 'left'))
        frame = min(frame, len(detected.windows) - 1)
    else:
        frame = round((at - judged.start_us - detected.duration_us) / detected.stride_us)
    return (max(0, frame) + 0.5) * detected.stride_us / 1e6


def _shown(shown: int, count: int) -> str:
    return f'{shown} of {thousands(count)}' if shown < count else f'All {thousands(count)}'


def _names(names: Sequence[str]) -> str:
    listed = ', '.join(names[:3])
    return f'{listed} and {len(names) - 3} more' if len(names) > 3 else listed
