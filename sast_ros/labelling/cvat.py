# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
``CVAT for images 1.1``, the XML of the annotation tool CVAT.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. A box has its corners ``xtl``,
``ytl``, ``xbr``, ``ybr`` in pixels, and attributes, here ``track_id`` and ``score``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import re
from xml.etree import ElementTree

from sast_ros.foreign_file import foreign_content
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

_ADVICE = 'export the annotations as "CVAT for images 1.1" again'

#: Bytes of a file, about a million boxes.
_MAX_SIZE = 1 << 28

#: What has no place in such a file: document types, with which entities expand to any size or
#: name other files.
_DECLARATION = re.compile(r'<!(?!--|\[CDATA\[)')

_CORNERS = ('xtl', 'ytl', 'xbr', 'ybr')
_ATTRIBUTES = ('track_id', 'score')


def cvat_text(export: Export, pictures: Sequence[Picture]) -> str:
    """Return the file."""
    root = ElementTree.Element('annotations')
    ElementTree.SubElement(root, 'version').text = '1.1'
    meta = ElementTree.SubElement(root, 'meta')
    labels = ElementTree.SubElement(ElementTree.SubElement(meta, 'task'), 'labels')
    for name in export.classes:
        element = ElementTree.SubElement(labels, 'label')
        ElementTree.SubElement(element, 'name').text = name
        attributes = ElementTree.SubElement(element, 'attributes')
        for attribute in _ATTRIBUTES:
            facts = {'name': attribute, 'mutable': 'False', 'input_type': 'text'}
            one = ElementTree.SubElement(attributes, 'attribute')
            for key, text in {**facts, 'default_value': '', 'values': ''}.items():
                ElementTree.SubElement(one, key).text = text
    height, width = export.size
    for number, picture in enumerate(pictures):
        facts = {'id': str(number), 'name': picture.name}
        facts |= {'width': str(width), 'height': str(height)}
        image = ElementTree.SubElement(root, 'image', facts)
        for box in picture.boxes:
            # In float64 the sum is exact, and so is the difference on the way back
            x, y, w, h = (float(box[name]) for name in 'xywh')
            corners = zip(_CORNERS, map(repr, (x, y, x + w, y + h)))
            label = {'label': export.classes[int(box['class_id'])], 'source': 'auto'}
            facts = {**label, 'occluded': '0', **dict(corners), 'z_order': '0'}
            element = ElementTree.SubElement(image, 'box', facts)
            values = (str(int(box['track_id'])), repr(float(box['class_confidence'])))
            for name, text in zip(_ATTRIBUTES, values):
                ElementTree.SubElement(element, 'attribute', {'name': name}).text = text
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, 'unicode') + '\n'
    )


def read_cvat(path: Path) -> Annotations:
    """
    Read a file that ``cvat_text`` has made and CVAT has changed.

    Raises
    ------
    LabelError
        It is no such file, a value of it is wrong, or it has a document type.

    """
    root = _parse(path)
    if root.tag != 'annotations' or root.find('track') is not None:
        raise LabelError(f'{path}: is not of the kind "CVAT for images"; {_ADVICE}')
    found = Annotations()
    for image in root.findall('image'):
        picture = file_name(image.get('name', ''))
        found.pictures.append(picture)
        for element in image:
            if element.tag == 'box':
                found.shapes.append(_shape(element, picture, path))
            else:
                found.leave_out(f'annotations of the kind {element.tag[:50]}')
    return found


def _parse(path: Path) -> ElementTree.Element:
    if path.stat().st_size > _MAX_SIZE:
        raise LabelError(f'{path}: has more than {_MAX_SIZE} bytes; split the task in CVAT')
    try:
        # As text: a declared encoding could hide a declaration from the search
        text = path.read_bytes().decode('utf-8-sig')
        if _DECLARATION.search(text):
            raise LabelError(f'{path}: has a document type, which CVAT does not write; {_ADVICE}')
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        if problem := foreign_content(path, 'the annotations'):
            raise LabelError(f'{path}: {problem}') from error
        raise LabelError(f'{path}: is not intact XML ({error}); {_ADVICE}') from error


def _shape(element: ElementTree.Element, picture: str, path: Path) -> Shape:
    where = f'{path}: a box of {picture}'
    if real_number(element.get('rotation', '0'), 'rotation', where):
        raise LabelError(f'{where}: {ROTATED}')
    x1, y1, x2, y2 = (real_number(element.get(name), name, where) for name in _CORNERS)
    values = {one.get('name'): (one.text or '').strip() for one in element.findall('attribute')}
    score = values.get('score')
    return Shape(
        picture,
        element.get('label', ''),
        (x1, y1, x2 - x1, y2 - y1),
        track_number(values.get('track_id'), where),
        real_number(score, 'score', where) if score else None,
    )
