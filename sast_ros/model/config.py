# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The eight published configurations of SAST, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sast_ros.defaults import AMP, AMP_LIMITS, BOUNCE, BOUNCE_LIMITS, MAX_BINS
from sast_ros.errors import SettingError

STRIDES = (4, 8, 16, 32)

#: Ranges of the fields, both ends included.
_INTEGERS = {
    'embed_dim': (1, 1024),
    'dim_head': (1, 1024),
    'downsample': (1, 64),
    'partition_split': (1, 64),
    'bins': (1, MAX_BINS),
}
_NUMBERS = {
    'fpn_depth': (0, 8),
    'window_ms': (0.001, 60_000),
    'stride_ms': (0.001, 60_000),
    'amp': AMP_LIMITS,
    'bounce': BOUNCE_LIMITS,
    'layer_scale': (0, 1e9),
}
_MAX_SIDE = 8192


@dataclass(frozen=True)
class ModelConfig:
    """
    Everything that decides the shape and the arithmetic of a SAST network.

    Attributes
    ----------
    name : str
        ``gen1-`` or ``1mpx-`` and ``tiny``, ``small``, ``base`` or ``large``.
    embed_dim : int
        Channels of stage 1, an even number; stages 2 to 4 have 2, 4 and 8 times as many.
    dim_head : int
        Channels of an attention head.
    fpn_depth : float
        Depth multiplier of the PAFPN; ``round(3 * fpn_depth)`` bottlenecks in each CSP block.
    classes : tuple[str, ...]
        Class names in class-id order.
    frame : tuple[int, int]
        (height, width) of the histogram that the network was designed for, after down-sampling,
        before padding.
    downsample : int
        Down-sampling of the sensor that leads to ``frame``: 1 for Gen1 (240x304), 2 for 1 Mpx
        (720x1280).
    partition_split : int
        Partitions along each side of the stage-4 map; input sides are multiples of 32 times this.
    partition_size : tuple[int, int] or None
        (height, width) of the attention partitions in tokens; ``None`` takes input / (32 *
        partition_split), the published rule. Any size works that divides the maps of all four
        stages.
    bins : int
        Time bins per polarity; the network sees ``2 * bins`` channels.
    window_ms, stride_ms : float
        Integration time of a histogram and time from one to the next that the published training
        used.
    amp, bounce : float
        AMP and BOUNCE of the token selection (docs/sast.md 4.4).
    selection : str
        ``'adaptive'`` selects windows and tokens by their scores, ``'dense'`` takes all of them.
    context_broadcasting : bool
        Mix the mean of the MLP output into every token (off in the published configurations).
    layer_scale : float
        Initial value of the LayerScale vectors.

    """

    name: str
    embed_dim: int
    dim_head: int
    fpn_depth: float
    classes: tuple[str, ...]
    frame: tuple[int, int]
    downsample: int
    partition_split: int
    partition_size: tuple[int, int] | None = None
    bins: int = 10
    window_ms: float = 50.0
    stride_ms: float = 50.0
    amp: float = AMP
    bounce: float = BOUNCE
    selection: str = 'adaptive'
    context_broadcasting: bool = False
    layer_scale: float = 1e-5

    def __post_init__(self) -> None:
        for name in ('classes', 'frame', 'partition_size'):  # JSON has lists only
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_ranges()
        if self.selection not in ('adaptive', 'dense'):
            raise SettingError(
                f"ModelConfig: selection is {self.selection!r}; it must be 'adaptive' or 'dense'"
            )
        if self.embed_dim % 2:  # half of the position embedding is for y, half for x
            raise SettingError(
                f'ModelConfig: embed_dim is {self.embed_dim}; it must be an even number'
            )
        if self.embed_dim % self.dim_head:
            raise SettingError(
                f'ModelConfig: dim_head {self.dim_head} does not divide embed_dim {self.embed_dim}'
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise SettingError(
                f'ModelConfig: classes {self.classes} must be at least one name, each only once'
            )
        if self.partition_size is not None:
            self.partitions(self.input_size)

    def _check_ranges(self) -> None:
        """Refuse values that no network has; a file of weights may hold any."""
        for name, (low, high) in _INTEGERS.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise SettingError(
                    f'ModelConfig: {name} is {value!r}; it must be an integer from {low} to {high}'
                )
        for name, (least, most) in _NUMBERS.items():
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise SettingError(
                    f'ModelConfig: {name} is {value!r}; it must be a number from {least:g} to '
                    f'{most:g}'
                )
        for name in ('frame', 'partition_size'):
            pair = getattr(self, name)
            if pair is None and name == 'partition_size':
                continue
            if (
                not isinstance(pair, tuple)
                or len(pair) != 2
                or not all(type(side) is int and 1 <= side <= _MAX_SIDE for side in pair)
            ):
                raise SettingError(
                    f'ModelConfig: {name} is {pair!r}; it must be (height, width), integers from '
                    f'1 to {_MAX_SIDE}'
                )
        if type(self.context_broadcasting) is not bool:
            raise SettingError(
                f'ModelConfig: context_broadcasting is {self.context_broadcasting!r}; it must be '
                'true or false'
            )
        names = (self.name, *self.classes) if isinstance(self.classes, tuple) else ()
        if not names or not all(isinstance(n, str) and n and len(n) <= 256 for n in names):
            raise SettingError(
                'ModelConfig: name and classes must be texts of 1 to 256 characters'
            )

    @property
    def channels(self) -> int:
        """Input channels."""
        return 2 * self.bins

    @property
    def stage_dims(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return self.embed_dim, 2 * self.embed_dim, 4 * self.embed_dim, 8 * self.embed_dim

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the padded input for a histogram of ``frame``."""
        return self.padded_size(self.frame)

    def padded_size(self, size: Sequence[int]) -> tuple[int, int]:
        """
        Return (height, width) of the network input for a histogram of this size.

        It is never below the design size.
        """
        multiple = 32 * self.partition_split
        height, width = (
            -(-max(side, least) // multiple) * multiple for side, least in zip(size, self.frame)
        )
        return height, width

    def partitions(self, input_size: Sequence[int]) -> tuple[int, int]:
        """
        Return (height, width) in tokens of the partitions of a padded input of this size.

        Raises
        ------
        SettingError
            The configured ``partition_size`` does not divide the maps of all stages.

        """
        if self.partition_size is None:
            height, width = (side // (32 * self.partition_split) for side in input_size)
            return height, width
        for stride in STRIDES:
            shape = [side // stride for side in input_size]
            if any(side % part for side, part in zip(shape, self.partition_size)):
                raise SettingError(
                    f'partition_size {self.partition_size[0]}x{self.partition_size[1]} does not '
                    f'divide the map of {shape[0]}x{shape[1]} tokens at stride {stride} of '
                    f'{self.name}; choose divisors of {input_size[0] // 32} and '
                    f'{input_size[1] // 32}'
                )
        return self.partition_size

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values; ``ModelConfig(**values)`` restores it."""
        return asdict(self)


_SIZES: dict[str, dict[str, Any]] = {
    'tiny': {'embed_dim': 32, 'dim_head': 32, 'fpn_depth': 0.33},
    'small': {'embed_dim': 48, 'dim_head': 24, 'fpn_depth': 0.33},
    'base': {'embed_dim': 64, 'dim_head': 32, 'fpn_depth': 0.67},
    'large': {'embed_dim': 96, 'dim_head': 32, 'fpn_depth': 0.67},
}
_DATASETS: dict[str, dict[str, Any]] = {
    'gen1': {
        'classes': ('car', 'pedestrian'),
        'frame': (240, 304),
        'downsample': 1,
        'partition_split': 1,
        'stride_ms': 125.0,
    },
    '1mpx': {
        'classes': ('pedestrian', 'two-wheeler', 'car'),
        'frame': (360, 640),
        'downsample': 2,
        'partition_split': 2,
        'stride_ms': 50.0,
    },
}

#: Every published configuration by name.
CONFIGS: dict[str, ModelConfig] = {
    f'{dataset}-{size}': ModelConfig(
        name=f'{dataset}-{size}', **_DATASETS[dataset], **_SIZES[size]
    )
    for dataset in _DATASETS
    for size in _SIZES
}


def model_config(name: str, **overrides: Any) -> ModelConfig:
    """
    Return a published configuration, with some fields replaced.

    Raises
    ------
    SettingError
        Unknown name, unknown field or impossible value.

    """
    if name not in CONFIGS:
        raise SettingError(f'no model is called {name!r}; the names are {", ".join(CONFIGS)}')
    return vary(CONFIGS[name], **overrides)


def vary(config: ModelConfig, **overrides: Any) -> ModelConfig:
    """
    Return a configuration with some fields replaced.

    Raises
    ------
    SettingError
        Unknown field or impossible value.

    """
    try:
        return replace(config, **overrides)
    except TypeError:
        unknown = sorted(set(overrides) - set(config.as_dict()))
        raise SettingError(f'a model configuration has no field {", ".join(unknown)}') from None
