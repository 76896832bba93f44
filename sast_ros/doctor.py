# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What this machine has and what is missing to run sast_ros, with advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
import importlib
import importlib.metadata
import importlib.util
import os
from pathlib import Path
import platform
import re
import shutil
import signal
import subprocess
import sys
from typing import Any, Literal, NamedTuple

from sast_ros.errors import escape_controls, fit_advice
from sast_ros.process import available_cores, memory_bytes, processor_extensions, processor_name

Status = Literal['OK', 'WARN', 'FAIL']

_MESSAGES = {
    'event_camera_msgs': 'EventPacket',
    'vision_msgs': 'Detection2DArray',
    'sensor_msgs': 'PointCloud2',
    'diagnostic_msgs': 'DiagnosticArray',
    'std_srvs': 'Trigger',
    'lifecycle_msgs': 'State',
}

#: Optional ones, with what needs them.
_OPTIONAL_MESSAGES = {
    'dvs_msgs': (
        'EventArray',
        'needed for topics of type dvs_msgs/EventArray only: build it with "make setup" (wheels) '
        'or "colcon build" (msg/); no distribution of ROS 2 has it',
    )
}

#: Receive buffer for a burst of event messages from another machine: about a tenth of a second of
#: 50 Mev/s.
_SOCKET_BUFFER = 16 << 20
_MEBI, _GIBI = 1 << 20, 1 << 30

#: Lowest versions, those of setup.py (a test compares), by the name of the distribution.
MINIMUMS = {
    'aiohttp': '3.9',
    'foxglove-sdk': '0.25',
    'h5py': '3.9',
    'pillow': '10.1',
    'ray': '2.52',
    'rerun-sdk': '0.39',
    'torch': '2.6',
}

#: Of these, what has a line in the report only where it is too old.
_OPTIONAL = ('aiohttp', 'foxglove-sdk', 'h5py', 'ray', 'rerun-sdk')


@dataclass(frozen=True)
class Check:
    """
    One line of the report.

    Attributes
    ----------
    group : str
        Heading of the line.
    name : str
        What was examined.
    status : {'OK', 'WARN', 'FAIL'}
        ``'WARN'``: works, but less well or without a feature; ``'FAIL'``: something needed is
        missing.
    value : str
        What was found.
    advice : str
        What to do, or what to know; may be empty.

    """

    group: str
    name: str
    status: Status
    value: str
    advice: str = ''


class _Finding(NamedTuple):
    """Check without its group."""

    name: str
    status: Status
    value: str
    advice: str = ''


def examine() -> list[Check]:
    """Examine everything and return the report; a broken part is a line of it, not an error."""
    checks: list[Check] = []
    for group, examiner in _GROUPS.items():
        try:
            for finding in examiner():
                advice = fit_advice(finding.advice)
                checks.append(Check(group, *finding._replace(advice=advice)))
        except Exception as error:  # a broken installation can raise anything
            advice = 'report this as a bug'
            checks.append(Check(group, 'examination', 'FAIL', _first_line(error), advice))
    return checks


def overall(checks: list[Check]) -> Status:
    """Return the worst status of the report."""
    statuses = {check.status for check in checks}
    return 'FAIL' if 'FAIL' in statuses else 'WARN' if 'WARN' in statuses else 'OK'


def as_json(checks: list[Check]) -> dict[str, Any]:
    """Return the report for machines: overall status and the list of checks."""
    return {'status': overall(checks), 'checks': [asdict(check) for check in checks]}


def _machine() -> Iterator[_Finding]:
    yield _Finding('Python', 'OK', f'{platform.python_version()} in {sys.prefix}')
    cores = available_cores()
    advice = 'the node shares one core between receiving and the network; give it two'
    value = f'{processor_name()}, {cores} core(s), {platform.machine()}'
    extensions = ', '.join(processor_extensions())
    value += f' with {extensions}' if extensions else ''
    yield _warn_unless(cores > 1, 'processor', value, advice)
    memory = memory_bytes()
    advice = 'the base networks and torch need 4 GB'
    yield _warn_unless(memory >= 3 * _GIBI, 'memory', f'{memory / _GIBI:.1f} GiB', advice)


def _network() -> Iterator[_Finding]:
    yield _package('numpy', 'pip install numpy')
    torch = _unusable_torch() or _package('torch', 'pip install torch')
    yield torch
    if torch.status == 'OK':
        yield _gpu()
    safetensors = _package('safetensors', 'pip install safetensors')
    yield safetensors
    if torch.status == safetensors.status == 'OK':
        yield _weights()
    try:
        importlib.import_module('sast_ros.kernels')
        yield _Finding('compiled kernels', 'OK', 'loaded')
        if torch.status == 'OK':
            yield _instruction_set()
    except Exception as error:
        advice = 'build them with "make setup", "pip install ." or "colcon build"'
        yield _Finding('compiled kernels', 'FAIL', _first_line(error), advice)


def _instruction_set() -> _Finding:
    from sast_ros.errors import SettingError
    from sast_ros.model.inference.cpu import chosen_instruction_set, instruction_sets

    try:
        name = chosen_instruction_set()
    except SettingError as error:
        return _Finding('instruction set', 'FAIL', str(error), 'unset it')
    value = f'{name} (of {", ".join(instruction_sets())})'
    advice = 'the network takes several times as long as with AVX2'
    return _warn_unless(name != 'baseline', 'instruction set', value, advice)


def _unusable_torch(machine: str = platform.machine()) -> _Finding | None:
    """Return a failure if importing torch ends the process by an unknown instruction."""
    if machine != 'aarch64':  # elsewhere every build chooses its instructions when it is loaded
        return None
    trial = subprocess.run([sys.executable, '-c', 'import torch'], capture_output=True)
    if trial.returncode != -signal.SIGILL:
        return None
    advice = (
        'torch 2.10 and later do not run on Cortex-A72 (Raspberry Pi 4) and older ones: pip '
        'install "torch<2.10"'
    )
    value = f'{_version("torch")} has instructions that this processor lacks'
    return _Finding('torch', 'FAIL', value, advice)


def _weights() -> _Finding:
    from sast_ros.model import bundled_model_names

    names = ', '.join(bundled_model_names())
    if names:
        return _Finding('bundled weights', 'OK', names)
    advice = 'install the package again, or give weights of your own with --model FILE.safetensors'
    return _Finding('bundled weights', 'FAIL', 'none in this installation', advice)


def _gpu() -> _Finding:
    import torch

    cuda = torch.version.cuda
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        memory = f'{device.total_memory / _GIBI:.0f} GiB'
        return _Finding('GPU', 'OK', f'{device.name}, {memory}, CUDA {cuda}')
    if Path('/proc/driver/nvidia/version').exists():
        advice = 'install a torch with CUDA: pip install torch'
        if cuda is not None:
            advice = f'the driver is too old for CUDA {cuda}, or the device is hidden: nvidia-smi'
        return _Finding('GPU', 'WARN', 'NVIDIA driver found, but torch cannot use it', advice)
    threads = torch.get_num_threads()
    return _Finding('GPU', 'OK', f'none; the network runs on {threads} thread(s) of the processor')


def _recordings() -> Iterator[_Finding]:
    yield _package('rosbags', 'needed to read ROS bags: pip install rosbags')
    yield _package('mcap', 'needed to write detections.mcap: pip install mcap')
    yield _package('PIL', 'needed for the text on overlays: pip install pillow', 'Pillow')
    yield from filter(None, (_too_old(name, name, _version(name), 'WARN') for name in _OPTIONAL))
    video = _package('av', 'no overlay.mp4 without it: pip install av', 'PyAV', 'WARN')
    yield video
    if video.status != 'OK':
        return
    from sast_ros.visualization import VideoError
    from sast_ros.visualization.video import video_encoder

    try:
        codec = video_encoder()
    except VideoError as error:
        yield _Finding('video encoder', 'WARN', 'none', str(error))
        return
    value = 'H.264 (libx264): plays in browsers' if codec == 'libx264' else codec
    advice = 'browsers may refuse it; the PyAV wheel from PyPI has H.264'
    yield _warn_unless(codec == 'libx264', 'video encoder', value, advice)


def _ros() -> Iterator[_Finding]:
    distribution = os.environ.get('ROS_DISTRO', '')
    value = f'{distribution} (sourced)' if distribution else 'unknown'
    if not distribution and _version('ros-jazzy-rclpy'):
        value = 'jazzy (wheels in the Python environment)'
    advice = 'source the setup file of a ROS 2 installation'
    yield _warn_unless(value != 'unknown', 'distribution', value, advice)
    # Without any ROS the commands on recordings work; one that is broken is a failure
    needed = value != 'unknown'
    missing: Status = 'FAIL' if needed else 'WARN'
    purpose = '' if needed else 'needed by the node and the demo only: '
    advice = f'{purpose}source a ROS 2 installation, or run "make setup" for ROS 2 from wheels'
    rclpy = _package('rclpy', advice, missing=missing)
    yield rclpy
    if rclpy.status != 'OK':
        yield from _foreign_ros()
    if rclpy.status == 'OK':
        yield _middleware()
    for package, message in _MESSAGES.items():
        advice = (
            f'{purpose}build it with "make setup" (wheels) or "colcon build" (msg/), or install '
            'it with rosdep'
        )
        yield _message_package(package, message, advice, missing)
    for package, (message, advice) in _OPTIONAL_MESSAGES.items():
        yield _message_package(package, message, advice, 'WARN')
    ros2 = shutil.which('ros2') or ''
    installed = bool(ros2) and importlib.util.find_spec('launch_ros') is not None
    advice = (
        'part of a ROS installation; without it start the node with "python -m '
        'sast_ros.ros.detector_node"'
    )
    yield _warn_unless(installed, 'ros2 launch', ros2 if installed else 'not installed', advice)


def _foreign_ros() -> Iterator[_Finding]:
    """Name the folders of PYTHONPATH that have an rclpy, which cannot be imported."""
    folders = filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))
    found = [folder for folder in folders if (Path(folder) / 'rclpy').exists()]
    if found:
        advice = (
            f'it is of another ROS 2 or for another Python than {platform.python_version()}: take '
            'it out of PYTHONPATH, or use the Python that it was built for'
        )
        yield _Finding('PYTHONPATH', 'FAIL', f'rclpy in {", ".join(found)}', advice)


def _middleware() -> _Finding:
    import rclpy

    try:
        name = rclpy.get_rmw_implementation_identifier()
    except Exception as error:
        advice = (
            'install an implementation such as rmw_fastrtps_cpp, or correct RMW_IMPLEMENTATION'
        )
        return _Finding('middleware', 'FAIL', _first_line(error), advice)
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    return _Finding('middleware', 'OK', f'{name}, domain {domain}, discovery range {reach}')


def _message_package(package: str, message: str, advice: str, missing: Status) -> _Finding:
    try:
        module = importlib.import_module(f'{package}.{"srv" if package == "std_srvs" else "msg"}')
        getattr(module, message)
    except Exception as error:
        return _Finding(package, missing, _first_line(error), advice)
    return _Finding(package, 'OK', f'in {Path(module.__file__ or "").parent.parent.parent}')


def _transport() -> Iterator[_Finding]:
    yield from _socket_buffer()
    shared = Path('/dev/shm')
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        advice = 'messages between processes use it: docker run --shm-size=256m'
        value = f'{free / _MEBI:.0f} MiB free'
        yield _warn_unless(free >= 64 * _MEBI, 'shared memory', value, advice)
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    profile = next(filter(None, map(os.environ.get, names)), None)
    yield _Finding(
        'QoS',
        'OK',
        f'Fast DDS profile {profile}' if profile else 'the node follows the publisher of events',
        'publish events reliable, or in messages below 0.5 MB: larger ones leave the '
        'shared-memory segment in fragments, and best_effort then loses them (50 000 events at '
        '400 Hz between two processes: 770 of 2000 messages arrived, reliable all 2000)',
    )


def _socket_buffer() -> Iterator[_Finding]:
    source = Path('/proc/sys/net/core/rmem_max')
    if source.exists():
        size = int(source.read_text())
        yield _warn_unless(
            size >= _SOCKET_BUFFER,
            'socket buffer',
            f'net.core.rmem_max = {size / _MEBI:.1f} MiB',
            'bursts of events from another machine are lost; not relevant on one machine: '
            f'sudo sysctl -w net.core.rmem_max={_SOCKET_BUFFER}',
        )


_GROUPS: dict[str, Callable[[], Iterator[_Finding]]] = {
    'machine': _machine,
    'network': _network,
    'events, recordings and video': _recordings,
    'ROS 2': _ros,
    'transport of large event messages': _transport,
}


def _warn_unless(good: bool, name: str, value: str, advice: str) -> _Finding:
    return _Finding(name, 'OK', value) if good else _Finding(name, 'WARN', value, advice)


def _package(module: str, advice: str, title: str = '', missing: Status = 'FAIL') -> _Finding:
    """Import a package, since one that is installed may be broken, and return its version."""
    title = title or module
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        return _Finding(title, missing, _first_line(error), advice)
    version = str(_version(title) or getattr(loaded, '__version__', 'version unknown'))
    return _too_old(title.lower(), title, version, missing) or _Finding(title, 'OK', version)


def _too_old(distribution: str, title: str, version: str, status: Status) -> _Finding | None:
    """Return a finding if a package that is installed is older than what this one needs."""
    minimum = MINIMUMS.get(distribution)
    if minimum is None or not version or _numbers(version) >= _numbers(minimum):
        return None
    advice = f'at least {minimum} is needed: pip install "{distribution}>={minimum}"'
    return _Finding(title, status, version, advice)


def _numbers(version: str) -> list[int]:
    """Return the numbers of a release, ``[2, 6, 0]`` of '2.6.0+cpu'."""
    release = re.match(r'[0-9]+(?:\.[0-9]+)*', version)
    return [int(number) for number in release.group().split('.')] if release else []


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _first_line(error: BaseException) -> str:
    return escape_controls(f'{type(error).__name__}: {error}'.splitlines()[0])
