# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels go to an annotation tool and come back: exactly, edited, or with a clear error."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import shutil
from xml.etree import ElementTree

import numpy as np
from PIL import Image
import pytest
from sast_ros.bags import open_recording
from sast_ros.cli import main
from sast_ros.cli.label import FORMATS
from sast_ros.evaluation.boxes import read_boxes
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import read_labels
from sast_ros.example import recording_path
from sast_ros.labelling import folder as labelling
from sast_ros.labelling import import_labels, LabelError
from sast_ros.labelling.annotations import Annotations, Export, Picture
from sast_ros.labelling.coco import coco_text, read_coco
from sast_ros.labelling.cvat import cvat_text, read_cvat
from sast_ros.labels import BOX_DTYPE, CLASSES
from sast_ros.replay import ReplayOptions
from sast_ros.tracking import TrackingSettings

FILES = {'coco': 'annotations.json', 'cvat': 'annotations.xml'}


def random_pictures(seed: int) -> list[Picture]:
    """Return pictures with boxes of any float32 numbers, also tiny and large ones."""
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(4):
        boxes = np.zeros(rng.integers(0, 5), BOX_DTYPE)
        boxes['t'] = t = 50_000 * (number + 1)
        for name in 'xy':
            boxes[name] = rng.uniform(0, 1280, len(boxes)) * rng.choice([0, 1e-3, 1], len(boxes))
        for name in 'wh':
            boxes[name] = 10 ** rng.uniform(-2, 3, len(boxes))
        boxes['class_id'] = rng.integers(0, 3, len(boxes))
        boxes['track_id'] = rng.integers(0, 2**32, len(boxes))
        boxes['class_confidence'] = rng.random(len(boxes))
        pictures.append(Picture(f'{t:012d}.png', t, boxes))
    return pictures


def write(kind: str, folder: Path, pictures: list[Picture]) -> Path:
    """Write a folder as it is exported, without a detector."""
    times = {picture.name: picture.t for picture in pictures}
    export = Export('drive', (240, 304), CLASSES, times)
    (folder / 'images').mkdir(parents=True)
    for name in times:
        (folder / 'images' / name).touch()
    text = coco_text(export, pictures, 'images') if kind == 'coco' else cvat_text(export, pictures)
    (folder / FILES[kind]).write_text(text)
    index = {'recording': 'drive', 'size': [240, 304], 'classes': CLASSES, 'times': times}
    (folder / 'export.json').write_text(json.dumps(index))
    return folder


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return where a recording is; nothing is read of it but its name."""
    path = tmp_path / 'drives' / 'drive.mcap'
    path.parent.mkdir()
    path.touch()
    return path


def test_formats_are_those_of_the_command() -> None:
    assert labelling.FORMATS == FORMATS
    assert labelling._FILES == FILES


@pytest.mark.parametrize('seed', range(20))
def test_what_is_not_edited_comes_back_bit_by_bit(kind, seed, tmp_path, recording) -> None:
    pictures = random_pictures(seed)
    folder = write(kind, tmp_path / 'labels', pictures)
    summary = import_labels(folder, recording)
    boxes = np.load(recording.with_name('drive_bbox.npy'))
    assert boxes.dtype == BOX_DTYPE
    assert np.array_equal(boxes, np.concatenate([picture.boxes for picture in pictures]))
    assert summary['added'] == 0 and summary['missing'] == 0 and not summary['left_out']
    assert json.loads(recording.with_name('dataset.json').read_text())['classes'] == [*CLASSES]
    # It is what evaluate and train read
    if len(boxes):
        labels = read_labels(recording.with_name('drive_bbox.npy'), 'drive', None, (240, 304))
        assert labels.classes == CLASSES and np.array_equal(labels.boxes, boxes)
        assert labels.times.tolist() == [picture.t for picture in pictures]


def test_an_import_that_is_stopped_leaves_no_boxes_without_classes(
    kind, tmp_path, recording, monkeypatch
) -> None:
    written = []
    monkeypatch.setattr(labelling, 'write_file', lambda path, _: written.append(path.name))
    import_labels(write(kind, tmp_path / 'labels', random_pictures(0)), recording)
    assert written == ['dataset.json', 'drive_bbox_times.npy', 'drive_bbox.npy']


def test_evaluate_reads_the_coco_file_itself(tmp_path) -> None:
    pictures = random_pictures(3)
    labels = read_labels(write('coco', tmp_path / 'x', pictures) / FILES['coco'], 'drive')
    assert np.array_equal(labels.boxes, np.concatenate([p.boxes for p in pictures]))
    assert labels.times.tolist() == [picture.t for picture in pictures]


# ------------------------------------------------------------------------------------------ edits


def edit_coco(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / FILES['coco']
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_cvat(folder: Path, change: Callable[[ElementTree.Element], None]) -> None:
    path = folder / FILES['cvat']
    tree = ElementTree.parse(path)
    change(tree.getroot())
    tree.write(path)


def two_boxes() -> list[Picture]:
    boxes = np.zeros(2, BOX_DTYPE)
    boxes['t'], boxes['w'], boxes['h'], boxes['x'] = 50_000, 20, 30, [5, 100]
    boxes['track_id'], boxes['class_confidence'], boxes['class_id'] = [7, 9], 0.5, 2
    return [
        Picture('000000050000.png', 50_000, boxes),
        Picture('000000100000.png', 100_000, boxes[:0]),
    ]


def test_edits_come_back(kind, tmp_path, recording) -> None:
    """The first box is moved and gets another class, the second is deleted, one is added."""
    folder = write(kind, tmp_path / 'labels', two_boxes())

    def coco(content: dict) -> None:
        first, _ = content['annotations']
        # As CVAT writes it: no keys but those of COCO, attributes in a mapping
        del first['track_id'], first['score']
        first['bbox'], first['category_id'] = [1.25, 2.5, 10, 12.75], 1
        added = {'id': 77, 'image_id': 2, 'category_id': 2, 'bbox': [4, 5, 6, 7], 'iscrowd': 0}
        crowd = {**added, 'id': 78, 'iscrowd': 1}
        content['annotations'] = [first, added, crowd]
        for image in content['images']:
            image['file_name'] = f'task\\{Path(image["file_name"]).name}'
            del image['t'], image['recording']

    def cvat(root: ElementTree.Element) -> None:
        one, two = root.findall('image')
        first, second = one.findall('box')
        first.attrib.update(xtl='1.25', ytl='2.5', xbr='11.25', ybr='15.25', label='pedestrian')
        one.remove(second)
        corners = {'xtl': '4', 'ytl': '5', 'xbr': '10', 'ybr': '12'}
        ElementTree.SubElement(two, 'box', {'label': 'two-wheeler', **corners})
        ElementTree.SubElement(two, 'polygon', {'label': 'car', 'points': '1,2;3,4;5,6'})
        two.set('name', 'task/' + two.get('name', ''))

    edit_coco(folder, coco) if kind == 'coco' else edit_cvat(folder, cvat)
    summary = import_labels(folder, recording)
    moved, added = read_boxes(recording.with_name('drive_bbox.npy'))
    assert moved.tolist() == (50_000, 1.25, 2.5, 10, 12.75, 0, 7, 0.5)
    assert added.tolist() == (100_000, 4, 5, 6, 7, 1, 8, 1)
    assert summary['added'] == 1 and sum(summary['left_out'].values()) == 1


def test_pictures_that_were_taken_out_are_not_labelled(kind, tmp_path, recording) -> None:
    folder = write(kind, tmp_path / 'labels', two_boxes())
    if kind == 'coco':
        edit_coco(folder, lambda content: content['images'].pop())
    else:
        edit_cvat(folder, lambda root: root.remove(root.findall('image')[1]))
    summary = import_labels(folder, recording)
    assert (summary['pictures'], summary['missing'], summary['boxes']) == (1, 1, 2)
    labels = read_labels(recording.with_name('drive_bbox.npy'), 'drive')
    assert labels.times.tolist() == [50_000] and labels.listed


def test_pictures_without_boxes_are_labelled(kind, tmp_path, recording) -> None:
    """As of a recording without road users, whose false boxes were all deleted."""
    pictures = [Picture(one.name, one.t, one.boxes[:0]) for one in two_boxes()]
    import_labels(write(kind, tmp_path / 'labels', pictures), recording)
    labels = read_labels(recording.with_name('drive_bbox.npy'), 'drive', None, (240, 304))
    assert len(labels.boxes) == 0 and labels.times.tolist() == [50_000, 100_000]


@pytest.mark.parametrize('times', [np.array([100_000]), np.zeros(2), np.zeros((1, 1), int)])
def test_times_that_are_not_those_of_the_boxes_are_named(times, tmp_path, recording) -> None:
    import_labels(write('coco', tmp_path / 'labels', two_boxes()), recording)
    np.save(recording.with_name('drive_bbox_times.npy'), times)
    with pytest.raises(EvaluationError, match='drive_bbox_times.npy: .*remove it'):
        read_labels(recording.with_name('drive_bbox.npy'), 'drive')


def test_class_ids_are_those_of_the_data_set(kind, tmp_path, recording) -> None:
    recording.with_name('dataset.json').write_text('{"classes": ["car", "bus"]}')
    import_labels(write(kind, tmp_path / 'labels', two_boxes()), recording)
    assert read_boxes(recording.with_name('drive_bbox.npy'))['class_id'].tolist() == [0, 0]


# ----------------------------------------------------------------------------------------- errors


def test_labels_are_not_replaced_by_accident(kind, tmp_path, recording) -> None:
    folder = write(kind, tmp_path / 'labels', two_boxes())
    target = recording.with_name('drive_bbox.npy')
    target.write_bytes(b'mine')
    with pytest.raises(LabelError, match='--force'):
        import_labels(folder, recording)
    assert target.read_bytes() == b'mine'
    import_labels(folder, recording, force=True)
    assert len(read_boxes(target)) == 2


@pytest.mark.parametrize(
    ('change', 'facts'),
    [
        (lambda text: text.replace('"car"', '"lorry"'), ['lorry', 'car']),
        (lambda text: text.replace('000000050000', '000000050001'), ['000000050001.png', '1']),
        (lambda text: text.replace('20.0', '0.0').replace('25.0', '5.0'), ['0 x 30']),
        (lambda text: text.replace('100.0', 'NaN'), ['nan', 'NaN']),
        (lambda text: text.replace('5.0', '-Infinity', 1), ['inf', 'Inf']),
        (lambda text: text.replace('"track_id": 7', '"track_id": -7').replace('>7<', '>seven<'),
         ['track_id', '-7', 'seven']),
        (lambda text: text[: len(text) // 2], ['again']),
        (lambda text: '', ['again']),
    ],
)  # fmt: skip
def test_wrong_content_is_named(kind, change, facts, tmp_path, recording) -> None:
    folder = write(kind, tmp_path / 'labels', two_boxes())
    path = folder / FILES[kind]
    path.write_text(change(path.read_text()))
    assert main(['label', str(recording), '--import', str(folder)]) == 1
    with pytest.raises(Exception) as caught:
        import_labels(folder, recording)
    text = str(caught.value)
    assert any(fact in text for fact in facts) and FILES[kind] in text and '\n' not in text
    assert not recording.with_name('drive_bbox.npy').exists()


def test_missing_pictures_files_and_recordings_are_named(kind, tmp_path, recording) -> None:
    folder = write(kind, tmp_path / 'labels', two_boxes())
    (folder / 'images' / '000000100000.png').unlink()
    with pytest.raises(LabelError, match='000000100000.png'):
        import_labels(folder, recording)
    with pytest.raises(LabelError, match='drive, not of other'):
        import_labels(folder, recording.with_name('other.mcap'))
    with pytest.raises(LabelError, match='is a file; name a folder'):
        import_labels(folder / FILES[kind], recording)
    (folder / FILES[kind]).unlink()
    with pytest.raises(LabelError, match='annotations.json or annotations.xml'):
        import_labels(folder, recording)
    with pytest.raises(Exception, match='export.json'):
        import_labels(tmp_path, recording)


BOMB = """<?xml version="1.0"{encoding}?>
<!DOCTYPE annotations [<!ENTITY a "{expanded}"><!ENTITY b "{many}">]>
<annotations><version>&b;</version></annotations>"""


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'utf-7'])
def test_entities_are_not_expanded(encoding, tmp_path) -> None:
    text = BOMB.format(encoding=f' encoding="{encoding}"', expanded='x' * 1000, many='&a;' * 1000)
    path = tmp_path / 'bomb.xml'
    path.write_bytes(text.encode(encoding))
    with pytest.raises(LabelError, match='bomb.xml'):
        read_cvat(path)


@pytest.mark.parametrize(
    ('content', 'named'),
    [
        ('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n', 'git lfs pull'),
        ('<html><body>Sign in<br></body></html>', 'HTML'),
        ('', 'is empty'),
        ('<?xml version="1.0"?><annotations>', 'not intact XML'),
    ],
)
def test_what_stands_for_annotations_is_named_for_what_it_is(tmp_path, content, named) -> None:
    (tmp_path / 'a.xml').write_text(content)
    with pytest.raises(LabelError, match=f'a.xml: .*{named}'):
        read_cvat(tmp_path / 'a.xml')


def test_deep_and_large_xml_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / 'x.xml'
    path.write_text('<annotations>' + '<a>' * 200_000)
    with pytest.raises(LabelError, match='not intact'):
        read_cvat(path)
    path.write_text('<annotations>' + '<a>' * 200_000 + '</a>' * 200_000 + '</annotations>')
    assert read_cvat(path) == Annotations()
    path.write_bytes(b'')
    with path.open('r+b') as file:
        file.truncate((1 << 28) + 1)  # no byte of it takes room
    with pytest.raises(LabelError, match='split'):
        read_cvat(path)


def test_other_exports_of_cvat_are_refused(tmp_path) -> None:
    path = tmp_path / 'video.xml'
    path.write_text('<annotations><track id="0" label="car"/></annotations>')
    with pytest.raises(LabelError, match='CVAT for images'):
        read_cvat(path)
    path.write_text(
        '<annotations><image name="a.png"><box label="car" xtl="1" ytl="1" xbr="2" ybr="2" '
        'rotation="30.0"/></image></annotations>'
    )
    with pytest.raises(LabelError, match='rotated'):
        read_cvat(path)


BOX = [10.0, 20.0, 30.0, 40.0]


def coco_of(path: Path, **changes: object) -> Path:
    """Write a COCO file with one box, as CVAT would."""
    row = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': BOX, 'segmentation': [], 'iscrowd': 0}
    content = {
        'images': [{'id': 1, 'file_name': '000000050000.png', 'width': 304, 'height': 240}],
        'categories': [{'id': 1, 'name': 'car'}],
        'annotations': [row | changes],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('attributes', [{}, {'rotation': 0.0}, {'track_id': 7.0}])
def test_boxes_of_coco_are_taken(attributes, tmp_path) -> None:
    corners = [10, 20, 40, 20, 40, 60, 10, 60]
    for outline in ([], [corners], [corners[4:] + corners[:4]]):
        path = coco_of(tmp_path / 'x.json', segmentation=outline, attributes=attributes)
        (shape,) = read_coco(path).shapes
        assert shape.box == tuple(BOX)
        assert shape.track == (7 if 'track_id' in attributes else None)


@pytest.mark.parametrize(
    'outline',
    [
        [[10, 20, 40, 20, 40, 60]],
        [[25, 20, 40, 40, 25, 60, 10, 40]],
        [[10, 20, 40, 20, 40, 60, 10, 60, 10, 40]],
        [[10, 20, 40, 20, 40, 60, 10, 60], [50, 50, 60, 50, 60, 60, 50, 60]],
        {'counts': [0, 9], 'size': [240, 304]},
    ],
)
def test_polygons_and_masks_of_coco_are_left_out_and_counted(outline, tmp_path) -> None:
    found = read_coco(coco_of(tmp_path / 'x.json', segmentation=outline))
    assert found.shapes == [] and found.left_out == {'polygons and masks': 1}


def test_rotated_boxes_of_coco_are_refused(tmp_path) -> None:
    path = coco_of(tmp_path / 'x.json', attributes={'rotation': 30.0})
    with pytest.raises(LabelError, match='annotation 1: is rotated'):
        read_coco(path)


@pytest.mark.parametrize('number', [7.5, 1e300, float('nan')])
def test_track_numbers_of_coco_are_whole(number, tmp_path) -> None:
    with pytest.raises(LabelError, match='no whole number'):
        read_coco(coco_of(tmp_path / 'x.json', attributes={'track_id': number}))


def test_labels_are_where_objects_are_whatever_the_lead(tmp_path) -> None:
    made = []
    for lead_ms in (0.0, 200.0):
        options = ReplayOptions(end=0.6, tracking=TrackingSettings(lead_ms=lead_ms))
        with open_recording('example') as recording:
            labelling.export_labels(recording, tmp_path / f'{lead_ms}', options)
        made.append((tmp_path / f'{lead_ms}' / 'annotations.json').read_text())
    assert made[0] == made[1] and '"bbox"' in made[0]


@pytest.mark.parametrize('content', ['[]', '{}', '{"images": 3}', '{"images": [{}]}', 'null'])
def test_other_json_is_refused(content, tmp_path) -> None:
    path = tmp_path / 'x.json'
    path.write_text(content)
    with pytest.raises(Exception, match=r'x\.json.*COCO'):
        read_coco(path)


# ------------------------------------------------------------------------------------ the command


def test_a_recording_goes_there_and_back(kind, tmp_path, capsys) -> None:
    bag = tmp_path / 'drive.mcap'
    shutil.copyfile(recording_path('example'), bag)
    out = tmp_path / 'labels'
    command = ['label', str(bag), '--out', str(out), '--every', '3', '--format', kind]
    command += ['--end', '0.8', '--score-threshold', '0.05']
    assert main([*command, '--json', '-']) == 0
    summary = json.loads(capsys.readouterr().out)
    pictures = sorted((out / 'images').iterdir())
    assert summary['pictures'] == len(pictures) == -(-summary['windows'] // 3)
    with open_recording(bag) as opened:
        first = next(chunk for chunk in opened if len(chunk))
    times = [int(path.stem) for path in pictures]
    assert times == [int(first.t[0]) + 50_000 + 150_000 * n for n in range(len(times))]
    picture = np.asarray(Image.open(pictures[-1]))
    assert picture.shape == (first.height, first.width, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3
    assert main([*command]) == 1 and '--force' in capsys.readouterr().err
    (out / 'images' / '000009999999.png').touch()
    assert main([*command, '--force']) == 0
    assert sorted((out / 'images').iterdir()) == pictures

    assert main(['label', str(bag), '--import', str(out)]) == 0
    boxes = read_boxes(tmp_path / 'drive_bbox.npy')
    assert len(boxes) == summary['boxes'] > 0
    assert set(boxes['t'].tolist()) <= set(times)
    # A tracked object has one number, in a picture only once, and other boxes numbers of their own
    numbers, counts = np.unique(boxes['track_id'], return_counts=True)
    assert 1 < len(numbers) < len(boxes) and counts.max() > 3 and numbers.min() > 0
    assert len(np.unique(boxes[['t', 'track_id']])) == len(boxes)
    assert f'{len(boxes)}, 0 of them added' in capsys.readouterr().out


def test_an_export_that_fails_leaves_the_one_before(kind, tmp_path, capsys) -> None:
    bag = tmp_path / 'drive.mcap'
    shutil.copyfile(recording_path('example'), bag)
    out = tmp_path / 'labels'
    command = ['label', str(bag), '--out', str(out), '--format', kind, '--end', '0.3']
    assert main(command) == 0
    kept = {path: path.read_bytes() for path in sorted(out.rglob('*')) if path.is_file()}
    # Of a topic that is not there, without a window, and of another model
    for wrong in (['--topic', '/no'], ['--end', '0.01'], ['--model', 'no']):
        assert main([*command, '--force', *wrong]) == 1
        assert kept == {path: path.read_bytes() for path in sorted(out.rglob('*')) if path in kept}
    assert main(['label', str(bag), '--import', str(out)]) == 0
    # Whatever the format and without the index, what may be edited is not replaced
    (out / 'export.json').unlink()
    capsys.readouterr()
    for other in FORMATS:
        assert main([*command, '--format', other]) == 1 and '--force' in capsys.readouterr().err
    assert (out / FILES[kind]).read_bytes() == kept[out / FILES[kind]]


@pytest.mark.parametrize(
    'option',
    ['every 7', 'topic /t', 'start 1', 'end 2', 'out x', 'params x.yaml', 'model default']
    + ['score-threshold 0.9', 'filter hot-pixel', 'sensor-size 64x48'],
)
def test_an_import_refuses_the_options_of_an_export(option, tmp_path, recording, capsys) -> None:
    folder = write('coco', tmp_path / 'labels', two_boxes())
    name, value = option.split()
    assert main(['label', str(recording), '--import', str(folder), f'--{name}', value]) == 2
    assert f'leave out {name}' in capsys.readouterr().err
    assert not recording.with_name('drive_bbox.npy').exists()
