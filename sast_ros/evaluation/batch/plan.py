# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Plans of replays, and which of them are finished.

Each replay has a key, a digest of everything that decides its detections. It is stored in the
summary that completes the replay.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
import hashlib
from importlib import metadata
import json
from pathlib import Path

import sast_ros
from sast_ros.bags import open_recording
from sast_ros.bags.digest import recording_digest
from sast_ros.evaluation.detections import read_detections, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events.filters import FilterChain, with_absolute_paths
from sast_ros.replay import ReplayOptions, VIDEO

_PACKAGE = Path(sast_ros.__file__).parent

#: Parts of the package that have no influence on the detections of a recording.
_UNRELATED = {'cli', 'demo', 'evaluation', 'example', 'ros', 'visualization'}


def options_digest(options: ReplayOptions, topic: str | None) -> str:
    """
    Return SHA-256 of the options that decide detections, the topic, the weights and the program.

    Raises
    ------
    OSError
        If the weights cannot be read.
    SettingError
        If there is no such filter.

    """
    weights = _PACKAGE / 'model' / 'weights' / f'{options.model}.safetensors'
    if not weights.is_file():
        weights = Path(options.model)
    trained = weights.suffix == '.safetensors'
    fields = {**asdict(options), 'topic': topic, 'model': None if trained else options.model}
    fields['filters'] = FilterChain(options.filters).identity
    for name in ('video', 'gif', 'video_speed', 'video_min_score', 'layers', 'theme'):
        del fields[name]
    with contextlib.suppress(metadata.PackageNotFoundError):
        fields['torch'] = metadata.version('torch').partition('+')[0]  # of any build
    content = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    if trained and weights.exists():  # if not, loading it raises the error
        content.update(weights.read_bytes())
    for path in sorted(_PACKAGE.rglob('*.py')):
        if path.relative_to(_PACKAGE).parts[0] not in _UNRELATED:
            content.update(path.read_bytes())
    return content.hexdigest()


@dataclass(frozen=True)
class Replay:
    """
    The planned replay of a recording.

    Attributes
    ----------
    path : Path
        The recording.
    folder : Path
        Folder of its detections.
    options : ReplayOptions
        Options of the detector.
    topic : str, optional
        Topic with events; by default the only one.
    digest : str
        ``options_digest`` on the machine that planned the replay.
    key : str
        Digest of the options and the recording.

    """

    path: Path
    folder: Path
    options: ReplayOptions
    topic: str | None
    digest: str
    key: str

    def with_absolute_paths(self) -> Replay:
        """Return the same replay for processes with another working directory."""
        options = self.options
        if options.model.endswith('.safetensors'):
            options = replace(options, model=str(Path(options.model).absolute()))
        options = replace(options, filters=with_absolute_paths(options.filters))
        path, folder = self.path.absolute(), self.folder.absolute()
        return replace(self, path=path, folder=folder, options=options)


def plan_replay(
    path: Path, folder: Path, options: ReplayOptions, topic: str | None, digest: str
) -> Replay:
    """
    Return the replay of a recording into a folder; ``digest``: that of the options.

    Raises
    ------
    RecordingError
        If there is no such recording.
    OSError
        If the recording cannot be read.

    """
    if not path.exists():
        open_recording(path)  # raises the error
    key = hashlib.sha256(f'{digest} {recording_digest(path)}'.encode())
    for library in sorted((_PACKAGE / 'kernels').glob('*.so')):
        key.update(library.read_bytes())
    return Replay(path, folder, options, topic, digest, key.hexdigest())


def load_finished(replay: Replay) -> RecordedDetections | None:
    """Return the detections of a replay that is finished, ``None`` if it is not."""
    if not all((replay.folder / name).is_file() for name in ('summary.json', 'detections.npy')):
        return None
    try:
        detected = read_detections(replay.folder)
    except EvaluationError:  # half of the files are of another replay
        return None
    if detected.windows is None or (detected.summary or {}).get('replay_key') != replay.key:
        return None
    if replay.options.video and len(detected.windows) and not (replay.folder / VIDEO).is_file():
        return None
    return detected
