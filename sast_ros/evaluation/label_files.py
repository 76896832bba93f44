# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which file has the labels of a recording."""

from __future__ import annotations

import json
from pathlib import Path

from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.errors import EvaluationError


def find_labels(folder: Path, name: str) -> Path:
    """
    Return the label file of a recording.

    It is ``NAME_bbox.npy``, ``NAME.json``, the only JSON file with annotations, a bag called
    ``NAME_labels.mcap`` or ``NAME``, or the folder itself if that is a bag. A suffix ``_td`` or
    ``_events`` of the name is optional.

    Parameters
    ----------
    folder : Path
        Folder with labels, or a file with labels.
    name : str
        Name of the recording without suffix.

    Raises
    ------
    EvaluationError
        If there is no such file.

    """
    if not folder.exists():
        raise EvaluationError(f'{folder} does not exist; name the folder or file with labels')
    if folder.is_file():
        return folder
    for stem in stems(name):
        for candidate in (f'{stem}_bbox.npy', f'{stem}.npy', f'{stem}.json'):
            if (folder / candidate).is_file():
                return folder / candidate
        for candidate in (f'{stem}_labels.mcap', f'{stem}.mcap', f'{stem}.db3', stem):
            if _is_bag(folder / candidate):
                return folder / candidate
    shared = [path for path in sorted(folder.glob('*.json')) if _is_coco(path)]
    if len(shared) == 1:
        return shared[0]
    if _is_bag(folder):
        return folder
    others = sorted(path.name for path in folder.glob('*_bbox.npy'))
    listing = ', '.join(others[:3] + ['...'] * (len(others) > 3)) or 'none'
    raise EvaluationError(
        f'{folder} has no labels of the recording {name}: neither {stems(name)[-1]}_bbox.npy nor '
        f'{stems(name)[-1]}.json (there are: {listing}); name the folder with its labels'
    )


def labels_beside(recording: Path) -> Path | None:
    """Return ``NAME_bbox.npy`` in the folder of a recording, ``None`` if there is none."""
    path = recording.resolve()
    files = (path.with_name(f'{stem}_bbox.npy') for stem in stems(path.stem))
    return next((file for file in files if file.is_file()), None)


def stems(name: str) -> list[str]:
    """Return the names that the label file of a recording can have."""
    return [name, *(name.removesuffix(s) for s in ('_td', '_events') if name.endswith(s))]


def _is_bag(path: Path) -> bool:
    if path.is_dir():
        return (path / 'metadata.yaml').is_file()
    return path.is_file() and is_storage_file(path)


def _is_coco(path: Path) -> bool:
    try:
        return 'annotations' in json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, TypeError):
        return False
