# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
COCO JSON of pictures, as annotation tools read and write it.

Beside the fields of https://cocodataset.org/#format-data an image has ``t``, microseconds on the
clock of the recording, and ``recording``; an annotation has ``score`` and ``track_id``, also as
``attributes``, which is where CVAT keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import math
from pathlib import Path
from typing import Any

from sast_ros.evaluation.boxes import reading
from sast_ros.evaluation.formats.box_file import load_json
from sast_ros.labelling.annotations import (
    Annotations,
    Export,
    file_name,
    LabelError,
    Picture,
    real_number,
    ROTATED,
    Shape,
    track_number,
)

_ADVICE = 'export the annotations as COCO 1.0 again'

#: Corners of a box and of its outline are this near, pixels.
_SAME_CORNER = 0.5


def coco_text(export: Export, pictures: Sequence[Picture], folder: str) -> str:
    """Return the file; the pictures are in ``folder`` beside it."""
    height, width = export.size
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        images.append(
            {
                'id': number,
                'file_name': f'{folder}/{picture.name}',
                'width': width,
                'height': height,
                't': picture.t,
                'recording': export.recording,
            }
        )
        for box in picture.boxes:
            x, y, w, h = (float(box[name]) for name in 'xywh')
            own = {'track_id': int(box['track_id']), 'score': float(box['class_confidence'])}
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': number,
                    'category_id': int(box['class_id']) + 1,
                    'bbox': [x, y, w, h],
                    'area': w * h,
                    'segmentation': [],
                    'iscrowd': 0,
                    **own,
                    'attributes': own,
                }
            )
    categories = [{'id': i, 'name': name} for i, name in enumerate(export.classes, start=1)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    return json.dumps(content, indent=1) + '\n'


def read_coco(path: Path) -> Annotations:
    """
    Read a file that ``coco_text`` has made and a tool has changed.

    Raises
    ------
    LabelError, EvaluationError
        It is no COCO file, or a field of it is wrong.

    """
    content = load_json(path, _ADVICE)
    found = Annotations()
    with reading(path, _ADVICE):
        names = {image['id']: file_name(image['file_name']) for image in content['images']}
        labels = {one['id']: str(one['name']) for one in content['categories']}
        rows = list(content['annotations'])
        found.pictures = list(names.values())
        for row in rows:
            if row.get('iscrowd'):
                found.leave_out('groups (iscrowd)')
            elif row['image_id'] not in names or row['category_id'] not in labels:
                raise LabelError(
                    f'{path}: annotation {row.get("id")} is of image {row["image_id"]} and '
                    f'category {row["category_id"]}, which are not both listed; {_ADVICE}'
                )
            else:
                shape = _shape(row, names[row['image_id']], labels[row['category_id']], path)
                if shape is None:
                    found.leave_out('polygons and masks')
                else:
                    found.shapes.append(shape)
    return found


def _is_outline(row: dict[str, Any]) -> bool:
    """Return whether an annotation is a polygon or mask; some tools write boxes as polygons."""
    outline = row.get('segmentation')
    if not outline:
        return False
    if not isinstance(outline, list) or len(outline) != 1 or len(outline[0]) != 8:
        return True
    box = row.get('bbox')
    if not isinstance(box, list) or len(box) != 4:
        return True
    x, y, w, h = box
    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    given = list(zip(outline[0][::2], outline[0][1::2]))
    return any(min(math.dist(corner, one) for one in given) > _SAME_CORNER for corner in corners)


def _shape(row: dict[str, Any], picture: str, label: str, path: Path) -> Shape | None:
    """Return the box of an annotation, ``None`` for what has another shape."""
    where = f'{path}: annotation {row.get("id")}'
    attributes = row.get('attributes')
    own = {**row, **(attributes if isinstance(attributes, dict) else {})}
    if real_number(own.get('rotation') or 0, 'rotation', where):
        raise LabelError(f'{where}: {ROTATED}')
    if _is_outline(row):
        return None
    box = row.get('bbox')
    if not isinstance(box, list) or len(box) != 4:
        raise LabelError(f'{where}: its bbox is {str(box)[:50]}; it must be [x, y, width, height]')
    x, y, w, h = (real_number(value, 'a value of bbox', where) for value in box)
    score = own.get('score')
    return Shape(
        picture,
        label,
        (x, y, w, h),
        track_number(own.get('track_id'), where),
        None if score in (None, '') else real_number(score, 'score', where),
    )
