"""What this machine has and what it lacks to run sast_ros, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
import importlib
import importlib.metadata
import importlib.util
import itertools
import os
from pathlib import Path
import platform
import shutil
import sys
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Status = Literal['OK', 'WARN', 'FAIL']

_MESSAGES = (
    ('event_camera_msgs', 'EventPacket'),
    ('dvs_msgs', 'EventArray'),
    ('vision_msgs', 'Detection2DArray'),
    ('sensor_msgs', 'PointCloud2'),
    ('diagnostic_msgs', 'DiagnosticArray'),
    ('std_srvs', None),
    ('lifecycle_msgs', 'State'),
)

#: What a burst of event messages from another machine needs in the kernel: about a tenth of a
#: second of 50 Mev/s.
_SOCKET_BUFFER = 16 << 20
_MEBI, _GIBI = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Check:
    """
    One line of the report.

    Parameters
    ----------
    group: heading that the line stands under.
    name: what was looked at.
    status: ``'OK'``, ``'WARN'`` (works, but less well or without a feature), ``'FAIL'`` (something
        needed is missing).
    value: what was found.
    advice: what to do, or what to know; empty if there is nothing.

    """

    group: str
    name: str
    status: Status
    value: str
    advice: str = ''


def examine() -> list[Check]:
    """
    Look at everything and return the report.

    A part that is broken is a line of the report, never an exception.
    """
    checks: list[Check] = []
    for examiner in (_machine, _network, _recordings, _ros, _transport):
        try:
            checks.extend(examiner())
        except Exception as error:  # a broken installation fails in ways that nobody has listed
            name = examiner.__name__.strip('_')
            checks.append(
                Check(name, 'examination', 'FAIL', _first_line(error), 'report this as a bug')
            )
    return checks


def overall(checks: list[Check]) -> Status:
    """Return the worst status of the report."""
    statuses = {check.status for check in checks}
    return 'FAIL' if 'FAIL' in statuses else 'WARN' if 'WARN' in statuses else 'OK'


def as_json(checks: list[Check]) -> dict[str, Any]:
    """Return the report for machines: overall status and the list of checks."""
    return {'status': overall(checks), 'checks': [asdict(check) for check in checks]}


def print_report(checks: list[Check], console: Console) -> None:
    """Print the report as a table, what to do below the line that it belongs to."""
    colours = {'OK': 'green', 'WARN': 'yellow', 'FAIL': 'bold red'}
    for group, lines in itertools.groupby(checks, key=lambda check: check.group):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(width=4)
        table.add_column(width=17, no_wrap=True)
        table.add_column(overflow='fold')
        for check in lines:
            table.add_row(
                Text(check.status, style=colours[check.status]), check.name, Text(check.value)
            )
            if check.advice:
                style = 'dim' if check.status == 'OK' else colours[check.status]
                table.add_row('', '', Text(f'-> {check.advice}', style=style))
        console.print(Text(group, style='bold'))
        console.print(table)
        console.print()
    counts = {
        status: sum(check.status == status for check in checks) for status in ('WARN', 'FAIL')
    }
    if counts['FAIL']:
        verdict = Text(
            f'{counts["FAIL"]} needed thing(s) missing, {counts["WARN"]} warning(s)',
            style='bold red',
        )
    elif counts['WARN']:
        verdict = Text(f'ready, with {counts["WARN"]} warning(s)', style='yellow')
    else:
        verdict = Text('ready', style='green')
    console.print(verdict)


def _machine() -> Iterator[Check]:
    group = 'machine'
    yield Check(group, 'Python', 'OK', f'{platform.python_version()} in {sys.prefix}')
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )
    advice = (
        ''
        if cores > 1
        else 'the node shares one core between receiving and the network; give it two'
    )
    yield Check(
        group,
        'processor',
        'OK' if cores > 1 else 'WARN',
        f'{cores} core(s), {platform.machine()}',
        advice,
    )
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    advice = '' if memory >= 3 * _GIBI else 'the base networks and torch want 4 GB'
    yield Check(
        group, 'memory', 'OK' if not advice else 'WARN', f'{memory / _GIBI:.1f} GiB', advice
    )


def _network() -> Iterator[Check]:
    group = 'network'
    yield _package(group, 'numpy', 'numpy', 'FAIL', 'pip install numpy')
    torch = _package(group, 'torch', 'torch', 'FAIL', 'pip install torch')
    yield torch
    if torch.status == 'OK':
        yield _gpu(group)
    safetensors = _package(group, 'safetensors', 'safetensors', 'FAIL', 'pip install safetensors')
    yield safetensors
    if torch.status == safetensors.status == 'OK':
        yield _weights(group)
    try:
        importlib.import_module('sast_ros.kernels')
        yield Check(group, 'compiled kernels', 'OK', 'loaded')
    except Exception as error:
        advice = 'build them with "make setup", "pip install ." or "colcon build"'
        yield Check(group, 'compiled kernels', 'FAIL', _first_line(error), advice)


def _weights(group: str) -> Check:
    from sast_ros.model import bundled_model_names

    names = ', '.join(bundled_model_names())
    if names:
        return Check(group, 'bundled weights', 'OK', names)
    advice = 'install the package again, or give weights of your own with --model FILE.safetensors'
    return Check(group, 'bundled weights', 'FAIL', 'none in this installation', advice)


def _gpu(group: str) -> Check:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        value = (
            f'{properties.name}, {properties.total_memory / _GIBI:.0f} GiB, CUDA '
            f'{torch.version.cuda}'
        )
        return Check(group, 'GPU', 'OK', value)
    if Path('/proc/driver/nvidia/version').exists():
        advice = (
            'install a torch with CUDA: pip install torch'
            if torch.version.cuda is None
            else f'the driver is too old for CUDA {torch.version.cuda}, or the device is hidden: '
            'see nvidia-smi'
        )
        return Check(
            group, 'GPU', 'WARN', 'an NVIDIA driver is here, but torch cannot use it', advice
        )
    return Check(
        group,
        'GPU',
        'OK',
        f'none; the network runs on {torch.get_num_threads()} thread(s) of the processor',
    )


def _recordings() -> Iterator[Check]:
    group = 'events, recordings and video'
    yield _package(
        group, 'evt3', 'evt3', 'FAIL', 'needed for Prophesee cameras and files: pip install evt3'
    )
    yield _package(
        group, 'rosbags', 'rosbags', 'FAIL', 'needed to read ROS bags: pip install rosbags'
    )
    yield _package(
        group, 'mcap', 'mcap', 'FAIL', 'needed to write detections.mcap: pip install mcap'
    )
    yield _package(
        group,
        'Pillow',
        'PIL',
        'FAIL',
        'needed for the text on overlays: pip install pillow',
        'pillow',
    )
    video = _package(group, 'PyAV', 'av', 'WARN', 'no overlay.mp4 without it: pip install av')
    yield video
    if video.status == 'OK':
        from sast_ros.visualization import VideoError
        from sast_ros.visualization.video import video_encoder

        try:
            codec = video_encoder()
        except VideoError as error:
            yield Check(group, 'video encoder', 'WARN', 'none', str(error))
            return
        if codec == 'libx264':
            yield Check(group, 'video encoder', 'OK', 'H.264 (libx264): plays in browsers')
        else:
            advice = 'browsers may refuse it; the PyAV wheel from PyPI has H.264'
            yield Check(group, 'video encoder', 'WARN', codec, advice)


def _ros() -> Iterator[Check]:
    group = 'ROS 2'
    rclpy = _package(
        group,
        'rclpy',
        'rclpy',
        'FAIL',
        'source a ROS 2 installation, or run "make setup" for ROS 2 from wheels',
    )
    distribution = os.environ.get('ROS_DISTRO', '')
    if distribution:
        yield Check(group, 'distribution', 'OK', f'{distribution} (sourced)')
    elif _version('ros-jazzy-rclpy'):
        yield Check(group, 'distribution', 'OK', 'jazzy (wheels in the Python environment)')
    else:
        yield Check(
            group,
            'distribution',
            'WARN',
            'unknown',
            'source the setup file of a ROS 2 installation',
        )
    yield rclpy
    if rclpy.status == 'OK':
        yield _middleware(group)
    for package, message in _MESSAGES:
        yield _message_package(group, package, message)
    if importlib.util.find_spec('launch_ros') is not None and shutil.which('ros2'):
        yield Check(group, 'ros2 launch', 'OK', shutil.which('ros2') or '')
    else:
        advice = (
            'comes with a ROS installation; without it start the node with "python -m '
            'sast_ros.ros.detector_node"'
        )
        yield Check(group, 'ros2 launch', 'WARN', 'not installed', advice)


def _middleware(group: str) -> Check:
    import rclpy

    try:
        name = rclpy.get_rmw_implementation_identifier()
    except Exception as error:
        advice = (
            'install an implementation such as rmw_fastrtps_cpp, or correct RMW_IMPLEMENTATION'
        )
        return Check(group, 'middleware', 'FAIL', _first_line(error), advice)
    domain = os.environ.get('ROS_DOMAIN_ID', '0')
    reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    return Check(group, 'middleware', 'OK', f'{name}, domain {domain}, discovery range {reach}')


def _message_package(group: str, package: str, message: str | None) -> Check:
    try:
        module = importlib.import_module(f'{package}.msg' if message else f'{package}.srv')
        if message:
            getattr(module, message)
    except Exception as error:
        advice = (
            'build it with "make setup" (wheels) or "colcon build" (msg/), or install it with '
            'rosdep'
        )
        return Check(group, package, 'FAIL', _first_line(error), advice)
    return Check(group, package, 'OK', f'in {Path(module.__file__ or "").parent.parent.parent}')


def _transport() -> Iterator[Check]:
    group = 'transport of large event messages'
    yield from _socket_buffer(group)
    shared = Path('/dev/shm')
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        advice = (
            ''
            if free >= 64 * _MEBI
            else 'messages between processes go through it: docker run --shm-size=256m'
        )
        yield Check(
            group,
            'shared memory',
            'OK' if not advice else 'WARN',
            f'{free / _MEBI:.0f} MiB free',
            advice,
        )
    profile = os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE') or os.environ.get(
        'FASTRTPS_DEFAULT_PROFILES_FILE'
    )
    yield Check(
        group,
        'QoS',
        'OK',
        f'Fast DDS profile {profile}'
        if profile
        else 'the node follows the publisher of the events',
        'publish events reliable, or in messages below 0.5 MB: larger ones leave the '
        'shared-memory segment in fragments, and best_effort then loses them (50 000 events at '
        '400 Hz between two processes: 770 of 2000 messages arrived, reliable all 2000)',
    )


def _socket_buffer(group: str) -> Iterator[Check]:
    source = Path('/proc/sys/net/core/rmem_max')
    if not source.exists():
        return
    size = int(source.read_text())
    if size >= _SOCKET_BUFFER:
        yield Check(group, 'socket buffer', 'OK', f'net.core.rmem_max = {size / _MEBI:.0f} MiB')
        return
    yield Check(
        group,
        'socket buffer',
        'WARN',
        f'net.core.rmem_max = {size / _MEBI:.1f} MiB',
        'bursts of events from another machine are lost; on one machine nothing changes: '
        f'sudo sysctl -w net.core.rmem_max={_SOCKET_BUFFER}',
    )


def _package(
    group: str,
    title: str,
    module: str,
    missing: Status,
    advice: str,
    distribution: str | None = None,
) -> Check:
    """Import a package, since one that is installed may still be broken, and tell its version."""
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        return Check(group, title, missing, _first_line(error), advice)
    version = _version(distribution or module) or getattr(loaded, '__version__', 'version unknown')
    return Check(group, title, 'OK', str(version))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _first_line(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'.splitlines()[0]
