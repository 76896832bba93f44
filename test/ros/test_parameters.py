# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The table of parameters, and everything that follows from it."""

from __future__ import annotations

from array import array
from dataclasses import fields
from pathlib import Path
import re
from types import SimpleNamespace

from facts import facts
from PIL import Image
import pytest
from sast_ros.detector import SPARSITY_MODES
from sast_ros.events import (
    EVENT_TYPES,  # noqa: E402
    open_decoder,
)
from sast_ros.model import model_config
from sast_ros.model.inference.engine import PRECISIONS
from sast_ros.ros.node_parameters import (
    as_number,
    make_filter,
    refusal,
    unknown_classes,
    with_declared_type,
)
from sast_ros.ros.parameter_documents import markdown_table, parameter_file
from sast_ros.ros.parameters import (
    misspelt,
    PARAMETERS,
    ParameterValueError,
    Settings,
    with_advice,
)
import yaml

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'detector.yaml'


def change(name, value):
    return SimpleNamespace(name=name, value=value)


def test_misspelt_parameters_are_told_from_those_of_other_nodes():
    ours = ['detections.score_treshold', 'windows.stride_ms', 'tracking.speed', 'autostrat']
    others = ['bias_diff', 'robot_radius', 'use_sim_time', 'qos_overrides./x.publisher.depth']
    others += ['camera_name', 'device', 'width', 'height', 'threads', 'model', 'layers', 'window']
    assert misspelt([*PARAMETERS, *others, *ours]) == ours
    assert (
        with_advice(ours[0])
        == 'detections.score_treshold (did you mean detections.score_threshold?)'
    )


@pytest.mark.parametrize(
    ('value', 'default', 'number'),
    [
        (100, 50.0, 100.0),
        ('100', 50.0, 100.0),
        (' 1e2 ', 50.0, 100.0),
        ('abc', 50.0, None),
        ('', 50.0, None),
        (True, 50.0, None),
        ([100], 50.0, None),
        (None, 50.0, None),
        (2.0, 0, 2),
        ('2', 0, 2),
        (2.5, 0, None),
        ('2.5', 0, None),
        (float('inf'), 0, None),
        (float('nan'), 0, None),
        ('9' * 5000, 0, None),
        (str(1 << 63), 0, None),
        (['7', 7.0], [0, 0], [7, 7]),
        (['7', 'a'], [0, 0], None),
        (7, [0, 0], None),
        (1, True, None),
        (1, 'text', None),
        ([1], ['text'], None),
    ],
)
def test_numbers_of_another_type_are_numbers(value, default, number):
    found = as_number(value, default)
    assert (found, type(found)) == (number, type(number))
    if isinstance(number, list):
        assert [type(item) for item in found] == [type(item) for item in number]


def test_the_yaml_file_is_the_table():
    assert CONFIG.read_text() == parameter_file(), (
        'write the file anew with the text of parameter_file()'
    )


def test_the_yaml_file_holds_every_parameter_with_its_default_and_type():
    content = yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']
    flat = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat.update({f'{name}.{leaf}': inner for leaf, inner in value.items()})
        else:
            flat[name] = value
    assert flat == {p.name: p.default for p in PARAMETERS.values()}
    assert {name: type(value) for name, value in flat.items()} == {
        p.name: type(p.default) for p in PARAMETERS.values()
    }


def test_defaults_are_valid_and_documented():
    for parameter in PARAMETERS.values():
        parameter.validate(parameter.default)
        assert parameter.description.endswith('.')


def test_settings_of_the_defaults_are_the_default_settings():
    assert Settings.from_values({p.name: p.default for p in PARAMETERS.values()}) == Settings()
    assert Settings.from_values({'window.stride_ms': 125.0}).window.stride_ms == 125.0
    assert sum(
        1 if f.metadata else len(fields(getattr(Settings(), f.name))) for f in fields(Settings)
    ) == len(PARAMETERS)


def test_choices_are_those_of_the_code_behind():
    assert PARAMETERS['sparsity.mode'].choices == SPARSITY_MODES
    assert PARAMETERS['model.precision'].choices == PRECISIONS
    for name in EVENT_TYPES:
        open_decoder(name)


@pytest.mark.parametrize('names', [[''], ['left'], ['left', 'right'], ['front/left', 'rear_2']])
def test_cameras_have_names_of_topics(names):
    PARAMETERS['cameras'].validate(names)


def test_published_values_are_the_defaults():
    config = model_config('gen1-tiny')
    assert Settings().sparsity.amp == config.amp
    assert Settings().sparsity.bounce == config.bounce


@pytest.mark.parametrize(
    ('name', 'value', 'allowed'),
    [
        ('detections.score_threshold', 1.5, [0, 1]),
        ('detections.nms_iou', float('nan'), [0, 1]),
        ('window.stride_ms', 0.0, [1, 10000]),
        ('model.device', 'gpu', ['auto', 'cpu', 'cuda', 'cuda:N']),
        ('model.path', '', ['default', '.safetensors']),
        ('model.partition_size', [8], ['height', 'width', '[0, 0]']),
        ('detections.classes', ['car', 'car'], []),
        ('window.timestamp_source', 'gps', ['auto', 'header']),
        ('cameras', [], ['different names', '[left, right]']),
        ('cameras', ['left', 'left'], ['different names']),
        ('cameras', ['left', ''], ['letters']),
        ('cameras', ['left eye'], ['letters']),
        ('cameras', ['/left'], ['letters']),
        ('cameras', ['2'], ['letters']),
        ('cameras', ['front/'], ['letters']),
    ],
)
def test_a_bad_value_is_refused_with_those_that_are_allowed(name, value, allowed):
    with pytest.raises(ParameterValueError, match=facts(name, repr(value), *allowed)) as caught:
        PARAMETERS[name].validate(value)
    assert refusal([change(name, value)], configured=None, classes=None) == str(caught.value)


@pytest.mark.parametrize('value', ['cpu', 'auto', 'cuda', 'cuda:3'])
def test_devices(value):
    PARAMETERS['model.device'].validate(value)


def test_what_configure_reads_is_refused_while_configured():
    request = [change('model.path', 'gen1-base')]
    assert refusal(request, configured=None, classes=None) is None
    assert 'model.path' in refusal(request, configured={'model.path': 'default'}, classes=())
    # What was dumped is loaded again
    assert refusal(request, configured={'model.path': 'gen1-base'}, classes=()) is None


def test_classes_must_be_those_of_the_network():
    request = [change('detections.classes', ['car', 'tram'])]
    assert refusal(request, configured=None, classes=None) is None
    assert 'names tram, which the network does not know' in refusal(
        request, configured={}, classes=('car',)
    )
    assert unknown_classes([''], ('car',)) is None
    assert Settings().detections.class_filter is None


def test_a_filter_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    known = ('hot-pixel', 'background-activity', 'roi', 'mask', 'flip')
    for configured in (None, {}):
        for value, named in [
            (['hot-pixel', 'cold-pixel'], ['cold-pixel', *known]),
            ([f'mask={tmp_path / "none.png"}'], ['none.png', 'No such file']),
        ]:
            reason = refusal([change('input.filter', value)], configured=configured, classes=None)
            assert re.search(facts('input.filter', *named), reason), reason
        good = [change('input.filter', ['flip=vertical', 'hot-pixel'])]
        assert refusal(good, configured=configured, classes=None) is None


def test_a_filter_must_fit_the_sensors(tmp_path):
    mask = tmp_path / 'mask.png'
    Image.new('L', (304, 240)).save(mask)
    for value in ('roi=0,0,304,240', f'mask={mask}'):
        request = [change('input.filter', ['hot-pixel', value])]
        for sizes in ([], [(240, 304)]):
            assert refusal(request, configured={}, classes=(), sizes=sizes) is None
        reason = refusal(request, configured={}, classes=(), sizes=[(240, 304), (180, 240)])
        named = facts('input.filter', value.removeprefix('mask='), '240x180')
        assert re.search(named, reason), reason


def test_no_filter_is_the_default():
    assert make_filter(Settings().input.filter).texts == ()


def test_parameters_of_others_are_left_alone_and_own_ones_cannot_be_removed():
    assert refusal([change('use_sim_time', True)], configured={}, classes=()) is None
    assert refusal([change('window.stride_ms', None)], configured=None, classes=None) == (
        'window.stride_ms cannot be removed'
    )


def test_the_markdown_table_has_a_row_for_every_parameter():
    rows = markdown_table().splitlines()
    assert len(rows) == 2 + len(PARAMETERS)
    assert (
        '| `window.stride_ms` | double | `50.0` ms | 1 to 10000 | any time |' in markdown_table()
    )
    assert {row.count('|') for row in rows} == {7}


def test_a_request_is_given_the_declared_type_where_it_is_a_number_or_a_list():
    parameter = pytest.importorskip('rclpy.parameter')
    for name, value, wanted in (
        ('window.stride_ms', 125, 125.0),
        ('detections.max_count', 7.0, 7),
        ('detections.max_count', 7.5, 7.5),
        ('tracking.enabled', 1, 1),
        ('model.path', 3, 3),
        ('model.partition_size', [6.0, 10.0], [6, 10]),
        ('detections.classes', [1, 2], [1, 2]),
        ('bogus', 1, 1),
    ):
        given = with_declared_type(parameter.Parameter(name, value=value))
        assert repr(plain(given.value)) == repr(wanted)
    kinds = parameter.Parameter.Type
    for sent in (kinds.BOOL_ARRAY, kinds.BYTE_ARRAY, kinds.STRING_ARRAY):  # ros2 param set: bool
        given = with_declared_type(parameter.Parameter('detections.classes', sent, []))
        assert (given.type_, given.value) == (kinds.STRING_ARRAY, [''])
    empty = parameter.Parameter('model.partition_size', kinds.INTEGER_ARRAY, [])
    assert with_declared_type(empty) is empty


def plain(value):
    return list(value) if isinstance(value, array) else value
