"""From what was received to the files and numbers that the demonstration leaves behind."""

from __future__ import annotations

from dataclasses import replace
import itertools
from pathlib import Path
import time
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags import DetectionWriter
from sast_ros.bags.detections import detection_boxes, window_row
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.demo.run import (
    Catch,
    EVENTS_FILE,
    EVENTS_TOPIC,
    EVENTS_TYPE,
    LABELS_FILE,
    REPORT_FILE,
    WINDOW_US,
)
from sast_ros.detector import Detections, StageShare
from sast_ros.evaluation.box_filter import BOXES_GEN1
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import canonical, Labels
from sast_ros.evaluation.metrics.matching import count_matches, MIN_IOU, OPERATING_SCORE
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import pair_last_window
from sast_ros.events import open_decoder
from sast_ros.labels import CLASSES
from sast_ros.visualization import (
    draw_overlay,
    OverlayVideo,
    UNTRAINED_NOTE,
    video_scale,
    VideoError,
)
from sast_ros.windows import EventWindow, WindowCutter

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticStatus
    from vision_msgs.msg import Detection2DArray


#: Drawn at the top of the video.
_LEGEND = 'thick: detections   thin: where the objects are'


def write_results(folder: Path, catch: Catch, model: str, began: float) -> dict[str, Any]:
    """
    Pair every window with the message that came back for it.

    Write the files, and return the summary.
    """
    windows = _cut_windows(catch.events)
    returned = [(_stamp_ns(array), arrived, array) for arrived, array in catch.detections]
    stamps = [stamp for stamp, _, _ in returned]
    arrays = {stamp: array for stamp, _, array in returned}
    answered = [window for window in windows if window.stamp_ns in arrays]
    latencies = [(arrived - stamp) / 1e6 for stamp, arrived, _ in returned]
    class_names = catch.class_names
    trained = _last_report(catch).get('untrained') != 'True'
    labels = _read_labels(folder / LABELS_FILE, class_names)
    boxes = 0
    with DetectionWriter(folder) as writer:
        pairs = []
        for window in answered:
            kept = _kept_at(catch, window.stamp_ns)
            detections = _as_detections(arrays[window.stamp_ns], window, class_names, kept)
            boxes += len(detections)
            writer.write(detections)
            pairs.append((window, detections))
        note = _LEGEND if trained else UNTRAINED_NOTE
        video = _write_video(folder / 'overlay.mp4', pairs, labels, note)
        _keep_events(folder / EVENTS_FILE, catch.events)
        weights = model if trained else 'untrained'
        report = _write_report(folder, pairs, {'model': model, 'weights': weights}, video)
        camera = catch.camera
        events_seconds = (windows[-1].t_end - windows[0].t_start) / 1e6 if windows else 0.0
        in_order = all(earlier < later for earlier, later in itertools.pairwise(stamps))
        received, sent = len(answered), camera['windows']
        shares = [kept for _, status in catch.diagnostics if (kept := _kept(status))]
        stages = range(len(shares[0]) if shares else 0)
        summary = {
            'complete': bool(sent and received == sent == len(stamps) and in_order),
            'model': model,
            'trained': trained,
            'classes': list(class_names),
            'sensor_size': {'height': windows[0].height, 'width': windows[0].width}
            if windows
            else None,
            'seconds': round(events_seconds, 3),
            'messages': {'sent': camera['messages'], 'received': len(catch.events)},
            'events': camera['events'],
            'events_per_second': round(camera['events'] / events_seconds) if events_seconds else 0,
            'windows': {
                'sent': sent,
                'received': received,
                'lost': sent - received,
                'in_order': in_order,
            },
            'detections': boxes,
            'accuracy': _accuracy([found for _, found in pairs], labels, class_names),
            'latency_ms': _percentiles(latencies),
            'node': _node_report(catch),
            'camera_late_ms': camera['late_ms'],
            'kept_windows': [
                round(float(np.mean([share[k].windows for share in shares])), 4) for k in stages
            ],
            'kept_tokens': [
                round(float(np.mean([share[k].tokens for share in shares])), 4) for k in stages
            ],
            'video': video,
            'report': report,
            'wall_seconds': round(time.monotonic() - began, 1),
        }
        writer.finish(summary)
    return summary


def _keep_events(path: Path, messages: list[bytes]) -> None:
    """Write what the camera published as a recording, to be replayed."""
    decode = open_decoder(EVENTS_TYPE)
    with path.open('wb') as stream:
        topic = McapTopic(stream, EVENTS_TOPIC, EVENTS_TYPE)
        for message in messages:
            topic.write(message, decode(message).stamp_ns or 0)
        topic.finish()


def _cut_windows(messages: list[bytes]) -> list[EventWindow]:
    """Decode what the camera published and cut it as the node does."""
    decode = open_decoder(EVENTS_TYPE)
    cutter = WindowCutter(WINDOW_US, WINDOW_US)
    return [window for message in messages for window in cutter.cut(decode(message))]


def _stamp_ns(array: Detection2DArray) -> int:
    return array.header.stamp.sec * 10**9 + array.header.stamp.nanosec


def _as_detections(
    array: Detection2DArray,
    window: EventWindow,
    class_names: tuple[str, ...],
    kept: tuple[StageShare, ...],
) -> Detections:
    """Return the ``Detections`` that the node made the message from, as far as it tells."""
    boxes, scores, class_ids = [], [], []
    for detection in array.detections:
        box, hypothesis = detection.bbox, detection.results[0].hypothesis
        x, y = box.center.position.x, box.center.position.y
        boxes.append(
            (x - box.size_x / 2, y - box.size_y / 2, x + box.size_x / 2, y + box.size_y / 2)
        )
        scores.append(hypothesis.score)
        class_ids.append(class_names.index(hypothesis.class_id))
    unknown = np.full(len(scores), np.nan, np.float32)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids, np.int64),
        objectness=unknown,
        class_scores=unknown,
        class_names=class_names,
        t_start=window.t_start,
        t_end=window.t_end,
        stamp_ns=window.stamp_ns,
        frame_id=array.header.frame_id,
        width=window.width,
        height=window.height,
        events=len(window),
        reset=None,
        kept=kept,
    )


def _read_labels(path: Path, class_names: tuple[str, ...]) -> np.ndarray:
    """
    Return the labels of the drive, ``BOX_DTYPE[N]``, with the class ids of the network.

    Classes that the network does not have get ids behind those that it has.
    """
    labels = np.load(path)
    ids = [
        class_names.index(name) if name in class_names else len(class_names) + index
        for index, name in enumerate(CLASSES)
    ]
    labels['class_id'] = np.array(ids, np.uint32)[labels['class_id']]
    return labels


def _accuracy(
    found: list[Detections], labels: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Return what the detections are worth at the operating score, JSON-ready."""
    boxes = [detection_boxes(detections) for detections in found]
    counts = count_matches(
        [(_at(labels, one.t_end), rows) for one, rows in zip(found, boxes, strict=True)],
        class_names,
    )
    return {
        'score': OPERATING_SCORE,
        'iou': MIN_IOU,
        'skipped_seconds': BOXES_GEN1.skip_us / 1e6,
        'least_diagonal': BOXES_GEN1.diagonal,
        'least_side': BOXES_GEN1.side,
        'detections': sum(
            int((rows['class_confidence'] >= OPERATING_SCORE).sum()) for rows in boxes
        ),
        'classes': {
            name: {
                'labels': count.labels,
                'detections': count.detections,
                'matches': count.matches,
                'precision': _rounded(count.precision),
                'recall': _rounded(count.recall),
            }
            for name, count in counts.items()
        },
    }


def _at(labels: np.ndarray, time_us: int | None) -> np.ndarray:
    """Return the labels of one time."""
    return labels[labels['t'] == time_us]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _operating(detections: Detections) -> Detections:
    """Return the detections that are taken for true."""
    sure = detections.scores >= OPERATING_SCORE
    names = ('boxes', 'scores', 'class_ids', 'objectness', 'class_scores')
    return replace(detections, **{name: getattr(detections, name)[sure] for name in names})


def _write_video(
    path: Path, pairs: list[tuple[EventWindow, Detections]], labels: np.ndarray, note: str
) -> str | None:
    """
    Write the overlay with the detections that are taken for true, and the labels.

    Without PyAV the demonstration goes on, and the summary says why there is none.
    """
    if not pairs:
        return None
    height, width = pairs[0][0].height, pairs[0][0].width
    scale = video_scale(height, width)
    try:
        with OverlayVideo(path, width * scale, height * scale, 1e6 / WINDOW_US) as video:
            for window, detections in pairs:
                shown, truth = _operating(detections), _at(labels, window.t_end)
                video.write(draw_overlay(window, shown, height, width, scale, note, truth))
    except VideoError as error:
        return f'none: {error}'
    return path.name


def _write_report(
    folder: Path,
    pairs: list[tuple[EventWindow, Detections]],
    summary: dict[str, Any],
    video: str | None,
) -> str | None:
    """
    Write the page that judges the detections.

    Where that is not possible the demonstration goes on, and the summary says why there is none.
    """
    (folder / REPORT_FILE).unlink(missing_ok=True)
    if not pairs:
        return None
    rows = np.concatenate([window_row(detections) for _, detections in pairs])
    first, last = pairs[0][0], pairs[-1][0]
    detected = RecordedDetections(
        name='the drive',
        path=folder / 'detections.npy',
        boxes=np.concatenate([detection_boxes(detections) for _, detections in pairs]),
        classes=tuple(canonical(name) for name in pairs[0][1].class_names),
        windows=rows,
        start_us=first.t_start,
        end_us=last.t_end,
        stride_us=WINDOW_US,
        duration_us=WINDOW_US,
        sensor_size=(first.height, first.width),
        summary=summary,
    )
    labels = Labels(folder / LABELS_FILE, np.load(folder / LABELS_FILE), rows['t'], CLASSES)
    try:
        from sast_ros.evaluation.report.entry import ReportEntry
        from sast_ros.evaluation.report.page import write_report

        paired = pair_last_window(labels, detected, BOXES_GEN1)
        overlay = folder / 'overlay.mp4' if video == 'overlay.mp4' else None
        entry = ReportEntry(paired, detected, folder / EVENTS_FILE, None, overlay)
        conventions = {'boxes': 'gen1', 'labels_from': LABELS_FILE}
        write_report(folder / REPORT_FILE, {**conventions, **compute_metrics([paired])}, [entry])
    except (EvaluationError, ImportError) as error:
        return f'none: {error}'
    return REPORT_FILE


def _kept(status: DiagnosticStatus) -> tuple[StageShare, ...]:
    """
    Return the shares that the node reported, one for each stage.

    There are none before its first window.
    """
    values = {pair.key: pair.value for pair in status.values}
    shares = []
    while f'stage {len(shares) + 1} tokens kept (%)' in values:
        stage = f'stage {len(shares) + 1}'
        shares.append(
            StageShare(
                float(values[f'{stage} windows kept (%)']) / 100,
                float(values[f'{stage} tokens kept (%)']) / 100,
            )
        )
    return tuple(shares)


def _last_report(catch: Catch) -> dict[str, str]:
    """Return the last status of the node by its keys."""
    return {pair.key: pair.value for _, status in catch.diagnostics[-1:] for pair in status.values}


def _node_report(catch: Catch) -> dict[str, float]:
    """Return what the node last said about its work: counts, and step times in milliseconds."""
    values = _last_report(catch)
    names = (
        'windows done',
        'windows dropped',
        'packets lost',
        'step time p50 (ms)',
        'step time p99 (ms)',
    )
    return {name: float(values[name]) for name in names if name in values}


def _kept_at(catch: Catch, time_ns: int) -> tuple[StageShare, ...]:
    """
    Return the shares of the first report after that time, else of the last one.

    Messages do not carry them.
    """
    later = [status for at, status in catch.diagnostics if at >= time_ns]
    known = [
        shares
        for status in (*later[:1], *(s for _, s in catch.diagnostics[-1:]))
        if (shares := _kept(status))
    ]
    return known[0] if known else ()


def _percentiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, p99 = np.percentile(values, (50, 99))
    return {
        'median': round(float(median), 1),
        'p99': round(float(p99), 1),
        'max': round(max(values), 1),
    }
