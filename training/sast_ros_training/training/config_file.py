# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training configurations in YAML files: settings of all parts, and a curriculum of parts."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
import re
import reprlib
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from sast_ros.yaml_file import read_yaml
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError

_DEFAULTS = TrainingConfig()

#: Values in errors, of which a file may hold megabytes.
_values = reprlib.Repr()
_values.maxlevel, _values.maxstring, _values.maxother = 2, 100, 100
_shown = _values.repr


@dataclass(frozen=True)
class CurriculumPart:
    """One part of a curriculum, or the whole of a configuration without one."""

    #: Folder of its results below that of the training; ``''`` without a curriculum.
    name: str
    #: Earlier parts whose average weights it starts from; of several, from their mean.
    init: tuple[str, ...]
    config: TrainingConfig


def load_config(path: Path) -> tuple[CurriculumPart, ...]:
    """
    Read a configuration: the parts of its curriculum, one part without a curriculum.

    Raises
    ------
    TrainingConfigError
        No such file, not YAML, or a mistake that ``parse_curriculum`` finds.

    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise TrainingConfigError(
            f'{path}: {error.strerror}; give a training configuration, such as '
            'training/config/default.yaml'
        ) from error
    except ValueError as error:
        raise TrainingConfigError(f'{path}: is not a YAML file ({error}); correct it') from error
    return parse_curriculum({} if content is None else content, str(path))


def parse_curriculum(content: Any, where: str) -> tuple[CurriculumPart, ...]:
    """
    Return the parts that plain values describe; ``where`` begins the text of an error.

    The key ``curriculum`` is a list of parts: ``name``, ``init`` (default: the part before) and
    the settings in which a part differs from the others.

    Raises
    ------
    TrainingConfigError
        A mistake that ``parse_config`` finds, a name that is missing or not unique, ``init`` that
        names no earlier part, or parts of different networks.

    """
    if not isinstance(content, dict) or 'curriculum' not in content:
        return (CurriculumPart('', (), parse_config(content, where)),)
    listed = content['curriculum']
    common = parse_config({k: v for k, v in content.items() if k != 'curriculum'}, where)
    if not listed or not isinstance(listed, list):
        raise TrainingConfigError(
            f'{where}: curriculum is {_shown(listed)}; it must be a list of parts'
        )
    parts: list[CurriculumPart] = []
    for number, given in enumerate(listed):
        parts.append(_parse_part(given, f'{where}: curriculum[{number}]', common, parts))
    return tuple(parts)


def _parse_part(
    given: Any, where: str, common: TrainingConfig, before: list[CurriculumPart]
) -> CurriculumPart:
    settings = dict(given) if isinstance(given, dict) else {}
    names = [part.name for part in before]
    name, init = settings.pop('name', None), settings.pop('init', names[-1:])
    if not isinstance(name, str) or not re.fullmatch(r'[\w-]+', name) or name in names:
        raise TrainingConfigError(
            f'{where}: name is {_shown(name)}; it must be letters, digits, _ and -, other '
            'than those of the parts before'
        )
    if not isinstance(init, list) or not all(part in names for part in init):
        raise TrainingConfigError(
            f'{where}: init is {_shown(init)}; it must be a list of parts before {name} '
            f'({", ".join(names) or "there are none"})'
        )
    config = parse_config(settings, f'{where}: {name}', common)
    if config.network() != common.network() or config.hardware != common.hardware:
        raise TrainingConfigError(
            f'{where}: {name} changes the network, the windows or the hardware, which all parts '
            'of a curriculum share; set them outside of the curriculum'
        )
    return CurriculumPart(name, tuple(init), config)


def parse_config(content: Any, where: str, base: TrainingConfig = _DEFAULTS) -> TrainingConfig:
    """
    Return the settings that plain values describe; ``base`` has those that are left out.

    Raises
    ------
    TrainingConfigError
        An unknown key, a wrong type or an impossible value; the text names the key, its value and
        what is allowed.

    """
    config = _override(base, content, where)
    for mistake in config.contradictions():
        raise TrainingConfigError(f'{where}: {mistake}')
    return config


def _override(base: Any, content: Any, where: str, prefix: str = '') -> Any:
    """Return a dataclass with the values that ``content`` gives."""
    if not isinstance(content, dict):
        raise TrainingConfigError(
            f'{where}: {prefix[:-1] or "the whole file"} is {_shown(content)}; it must be a '
            'mapping of keys to values'
        )
    known = {item.name: item for item in fields(base)}
    types = get_type_hints(type(base))
    changes = {}
    for name, value in content.items():
        key = f'{prefix}{name}'
        if name not in known:
            raise TrainingConfigError(
                f'{where}: {key} is not a key of a training configuration; '
                f'{prefix[:-1] or "the file"} has {", ".join(known)}'
            )
        if is_dataclass(types[name]):
            changes[name] = _override(getattr(base, name), value, where, f'{key}.')
            continue
        rule = known[name].metadata
        try:
            changes[name] = _convert(types[name], value)
            if rule and not rule['valid'](changes[name]):
                raise ValueError
        except (ValueError, TypeError, OverflowError):
            allowed = ', '.join([_describe(types[name]), *([rule['allowed']] if rule else [])])
            wrong = f'{where}: {key} is {_shown(value)}; it must be {allowed}'
            raise TrainingConfigError(wrong) from None
    return replace(base, **changes)


def _convert(kind: Any, value: Any) -> Any:
    """Return the value as the type; ``ValueError`` or ``TypeError`` if it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if NoneType in inner:
        return None if value is None else _convert(inner[0], value)
    if origin is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_convert(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {_convert(inner[0], k): _convert(inner[1], v) for k, v in value.items()}
    if kind is float and type(value) in (int, float, str):
        return float(value)  # YAML 1.1 reads 1e-3, without a point, as text
    if type(value) is kind:
        return value
    raise TypeError


def _describe(kind: Any) -> str:
    names = {int: 'a whole number', float: 'a number', str: 'text'}
    plural = {int: 'whole numbers', float: 'numbers', str: 'names'}
    origin, inner = get_origin(kind), get_args(kind)
    if NoneType in inner:
        return f'{_describe(inner[0])} or null'
    if origin is tuple:
        count = '' if inner[-1] is Ellipsis else f'{len(inner)} '
        return f'a list of {count}{plural[inner[0]]}'
    return f'a mapping of names to {plural[inner[1]]}' if origin is dict else names[kind]
