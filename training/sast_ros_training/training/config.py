"""The training configuration: one YAML file, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints, Union

from sast_ros.model.config import CONFIGS, model_config, ModelConfig
from sast_ros_training.training.errors import TrainingConfigError
import yaml

KINDS = ('simulation', 'cache', 'prophesee', 'rvt', 'bags')


def _number(default: float, least: float, most: float = float('inf')) -> Any:
    return field(default=default, metadata={'range': (least, most)})


def _choice(default: str, *names: str) -> Any:
    return field(default=default, metadata={'choice': names})


@dataclass(frozen=True)
class NetworkConfig:
    """
    The network to train.

    Parameters
    ----------
    name: published configuration that it varies.
    classes: class names in class-id order.
    layer_scale: initial value of the LayerScale vectors.
    contrast: factor for the contrast of the token scores of stage 1 at the start (``to_controls``,
        spec 4.4); the larger, the fewer tokens are selected.

    """

    name: str = _choice('gen1-tiny', *CONFIGS)
    classes: tuple[str, ...] = ('pedestrian', 'two-wheeler', 'car')
    layer_scale: float = _number(0.1, 1e-9, 10)
    contrast: float = _number(1.0, 1e-3, 1e3)


@dataclass(frozen=True)
class SimulationConfig:
    """
    Simulated drives, if ``data.kind`` is ``simulation``.

    Parameters
    ----------
    sequences, validation_sequences: how many drives.
    seconds: length of a drive.
    seed, validation_seed: of the first drive; the next one has the next seed.
    geometries: camera geometry and its share of the drives.
    motion: how the camera of the drives for training moves, ``None`` to draw it for each.
    models: folder with glTF models for the world, ``None`` for the parametric ones alone.
    workers: processes that simulate, 0 for one a core.
    start_with: drives that must be there before training begins; the others follow beside it.

    """

    sequences: int = _number(1600, 1)
    validation_sequences: int = _number(60, 0)
    seconds: float = _number(1.2, 0.1)
    seed: int = _number(1, 0)
    validation_seed: int = _number(1_000_000, 0)
    geometries: dict[str, float] = field(default_factory=lambda: {'gen1': 1.0})
    motion: str | None = None
    models: str | None = None
    workers: int = _number(0, 0)
    start_with: int = _number(1600, 1)


@dataclass(frozen=True)
class DataConfig:
    """
    Where sequences come from.

    Parameters
    ----------
    kind: ``simulation``; ``cache``, what is there already; ``prophesee``, ``.dat`` or ``.raw``
        with ``_bbox.npy``; ``rvt``, preprocessed by RVT; ``bags``, ROS recordings with
        ``_bbox.npy``.
    cache: folder of the sparse histograms, with ``train`` and ``validation`` in it.
    source: folder of the data set, with ``train`` and ``val`` in it; for the last three kinds.
    source_classes: class names of the labels there, in class-id order; others are left out.
    window_ms, stride_ms: integration time of a histogram and time from one to the next.

    """

    kind: str = _choice('simulation', *KINDS)
    cache: str = 'out/train/cache'
    source: str | None = None
    source_classes: tuple[str, ...] | None = None
    window_ms: float = _number(50.0, 1, 10_000)
    stride_ms: float = _number(50.0, 1, 10_000)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)


@dataclass(frozen=True)
class StreamsConfig:
    """
    What a step sees.

    Parameters
    ----------
    streams: sequences side by side in each process.
    windows: consecutive windows of each in one step; gradients reach through them, the state
        through all steps.
    random_share: share of the streams that start anywhere and soon go to another sequence; the
        others run from the start of a sequence to its end.
    random_windows: least and most windows of such a stretch.

    """

    streams: int = _number(4, 1)
    windows: int = _number(2, 1)
    random_share: float = _number(0.5, 0, 1)
    random_windows: tuple[int, int] = (8, 24)


@dataclass(frozen=True)
class AugmentationConfig:
    """
    How a stretch of a sequence is varied.

    Parameters
    ----------
    flip, invert: probability of a mirror image, and of ON and OFF exchanged.
    zoom_in, zoom_out: probability of each.
    zoom_in_most, zoom_out_least: largest and smallest factor.
    translation: largest shift, as share of the frame.

    """

    flip: float = _number(0.5, 0, 1)
    invert: float = _number(0.05, 0, 1)
    zoom_in: float = _number(0.25, 0, 1)
    zoom_in_most: float = _number(1.6, 1, 4)
    zoom_out: float = _number(0.25, 0, 1)
    zoom_out_least: float = _number(0.5, 0.1, 1)
    translation: float = _number(0.05, 0, 0.5)


@dataclass(frozen=True)
class OptimizerConfig:
    """
    AdamW with one cycle of the learning rate.

    Parameters
    ----------
    max_steps: length of the training and of the cycle.
    learning_rate: at the top of the cycle.
    warmup: share of the steps in which it rises to there; then it falls to zero as a cosine.
    weight_decay: of AdamW, for weights but not for norms, biases and scales.
    gradient_clip: largest norm of all gradients together.
    ema_decay: of the average of the weights, which is validated and exported.

    """

    max_steps: int = _number(11_000, 1)
    learning_rate: float = _number(1e-3, 1e-8, 1)
    warmup: float = _number(0.04, 0, 1)
    weight_decay: float = _number(0.01, 0, 1)
    gradient_clip: float = _number(10.0, 1e-3)
    ema_decay: float = _number(0.999, 0, 1)


@dataclass(frozen=True)
class HardwareConfig:
    """
    What it runs on.

    Parameters
    ----------
    accelerator: ``auto`` takes a GPU if there is one.
    devices: processes, each on its GPU or on its share of the cores.
    threads: of each process, 0 for PyTorch's default.
    precision: ``bf16`` for matrix products in half precision; selection stays in fp32.

    """

    accelerator: str = _choice('auto', 'auto', 'cpu', 'gpu')
    devices: int = _number(2, 1)
    threads: int = _number(1, 0)
    precision: str = _choice('bf16', 'bf16', 'fp32')


@dataclass(frozen=True)
class CheckpointConfig:
    """
    What is kept.

    Parameters
    ----------
    every_steps: steps from one checkpoint to the next; a kill loses no more than these.
    export: ``fp16`` halves the size of the exported weights.

    """

    every_steps: int = _number(200, 1)
    export: str = _choice('fp16', 'fp16', 'fp32')


@dataclass(frozen=True)
class ValidationConfig:
    """
    How the average weights are judged.

    Parameters
    ----------
    every_steps: steps from one validation to the next.
    sequences: held-out sequences of each but the last one, which takes all.
    score_threshold: detections below it are not counted.
    batch_norm_windows: windows of training sequences from which the statistics of batch norms are
        estimated anew before.

    """

    every_steps: int = _number(3000, 1)
    sequences: int = _number(60, 1)
    score_threshold: float = _number(0.01, 0, 1)
    batch_norm_windows: int = _number(1600, 0)


@dataclass(frozen=True)
class TrainingConfig:
    """
    Everything that decides a training.

    Parameters
    ----------
    seed: of the initial weights and of the order of the data.
    log_every: steps from one line of progress, and point of the curves, to the next.

    """

    model: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    streams: StreamsConfig = field(default_factory=StreamsConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    seed: int = _number(1, 0)
    log_every: int = _number(50, 1)

    def network(self) -> ModelConfig:
        """Return the configuration of the network, with the windows that it is trained on."""
        return model_config(
            self.model.name,
            classes=self.model.classes,
            layer_scale=self.model.layer_scale,
            window_ms=self.data.window_ms,
            stride_ms=self.data.stride_ms,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for YAML and JSON."""
        return _plain(asdict(self))


def load_config(path: Path) -> TrainingConfig:
    """
    Read a configuration.

    Raises
    ------
    TrainingConfigError: no such file, not YAML, an unknown key, a wrong type or an impossible
        value; the text names the key.

    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise TrainingConfigError(
            f'{path}: {error.strerror}; give a training configuration, such as '
            'training/config/default.yaml'
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = ' '.join(str(error).split())
        raise TrainingConfigError(f'{path}: is no YAML file ({reason}); correct it') from error
    return parse_config(content if content is not None else {}, str(path))


def parse_config(content: Any, where: str) -> TrainingConfig:
    """
    Return the configuration that plain values describe; keys that are missing have defaults.

    Raises
    ------
    TrainingConfigError: an unknown key, a wrong type or an impossible value; see ``load_config``.

    """
    config = _build(TrainingConfig, content, where, '')
    names = config.model.classes
    if not names or len(set(names)) != len(names):
        raise TrainingConfigError(
            f'{where}: model.classes must be at least one name, each only once'
        )
    least, most = config.streams.random_windows
    if not config.streams.windows <= least <= most:
        raise TrainingConfigError(
            f'{where}: streams.random_windows is [{least}, {most}]; it must be the least and the '
            f'most windows of a stretch, at least streams.windows ({config.streams.windows})'
        )
    if config.augmentation.zoom_in + config.augmentation.zoom_out > 1:
        raise TrainingConfigError(
            f'{where}: augmentation.zoom_in and augmentation.zoom_out are probabilities of which '
            'only one happens; together they must not exceed 1'
        )
    data = config.data
    if data.kind in ('prophesee', 'rvt', 'bags') and data.source is None:
        raise TrainingConfigError(
            f'{where}: data.source is missing; with data.kind {data.kind} it names the folder of '
            'the data set'
        )
    if data.simulation.start_with > data.simulation.sequences:
        raise TrainingConfigError(
            f'{where}: data.simulation.start_with is {data.simulation.start_with}, more than the '
            f'{data.simulation.sequences} of data.simulation.sequences'
        )
    shares = data.simulation.geometries.values()
    if min(shares, default=0) < 0 or sum(shares) <= 0:
        raise TrainingConfigError(
            f'{where}: data.simulation.geometries must give each geometry a share from 0 and one '
            'of them more than 0'
        )
    return config


def _build(kind: Any, content: Any, where: str, key: str) -> Any:
    """Make a dataclass from a mapping."""
    if not isinstance(content, Mapping):
        raise TrainingConfigError(
            f'{where}: {key or "the whole file"} must be a mapping of keys to values'
        )
    known = {f.name: f for f in fields(kind)}
    types = get_type_hints(kind)
    values = {}
    for name, value in content.items():
        full = f'{key}.{name}' if key else str(name)
        if name not in known:
            raise TrainingConfigError(
                f'{where}: {full} is no key of a training configuration; '
                f'{key or "the file"} has {", ".join(known)}'
            )
        values[name] = _convert(types[name], value, where, full)
        _check(known[name].metadata, values[name], where, full)
    return kind(**values)


def _convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """Return the value as the type; nothing is guessed but the float of an int."""
    if is_dataclass(kind):
        return _build(kind, value, where, key)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        return _convert(next(k for k in inner if k is not NoneType), value, where, key)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(value):
            return tuple(
                _convert(k, v, where, f'{key}[{i}]') for i, (k, v) in enumerate(zip(kinds, value))
            )
    if origin is dict and isinstance(value, Mapping):
        return {
            _convert(inner[0], k, where, key): _convert(inner[1], v, where, f'{key}.{k}')
            for k, v in value.items()
        }
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-3, without a point, as text
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(kind, type) and isinstance(value, kind) and type(value) is kind:
        return value
    raise TrainingConfigError(f'{where}: {key} is {value!r}; it must be {_describe(kind)}')


def _check(metadata: Mapping[str, Any], value: Any, where: str, key: str) -> None:
    if 'range' in metadata:
        least, most = metadata['range']
        if not least <= value <= most:
            limit = f'at least {least:g}' if most == float('inf') else f'{least:g} to {most:g}'
            raise TrainingConfigError(f'{where}: {key} is {value:g}; it must be {limit}')
    if 'choice' in metadata and value not in metadata['choice']:
        raise TrainingConfigError(
            f'{where}: {key} is {value!r}; it must be one of {", ".join(metadata["choice"])}'
        )


def _describe(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return f'a list, of each {_describe(inner[0])}'
        return f'a list of {len(inner)}, of each {_describe(inner[0])}'
    if origin is dict:
        return f'a mapping of names, to each {_describe(inner[1])}'
    names = {int: 'a whole number', float: 'a number', bool: 'true or false', str: 'text'}
    return names[kind]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
