# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build and installation of sast_ros, for colcon (ament_python) and for pip."""

from glob import glob
from pathlib import Path
import re

from setuptools import Extension, find_packages, setup

PACKAGE = 'sast_ros'

# package.xml is the one place that holds the version; `importlib.metadata.version('sast_ros')`
# reads it from here on.
VERSION = re.search(r'<version>\s*([^<\s]+)\s*</version>', Path('package.xml').read_text()).group(
    1
)


REPLAY = ['av', 'lz4', 'mcap', 'pillow>=10.1', 'pyyaml', 'rich', 'rosbags', 'zstandard']
EVALUATE = [*REPLAY, 'faster-coco-eval', 'jinja2', 'matplotlib']


def share(folder):
    """
    Pair every folder below ``folder`` with its files.

    So share/sast_ros mirrors the repository.
    """
    folders = [Path(folder), *sorted(path for path in Path(folder).rglob('*') if path.is_dir())]
    pairs = [
        (
            f'share/{PACKAGE}/{path.as_posix()}',
            sorted(str(file) for file in path.glob('[!._]*') if file.is_file()),
        )
        for path in folders
        if path.name != '__pycache__'
    ]
    return [(target, files) for target, files in pairs if files]


setup(
    name=PACKAGE,
    version=VERSION,
    description='Event-camera object detection for ROS 2',
    license='Apache-2.0',
    maintainer='sast_ros maintainers',
    maintainer_email='sast-ros@example.org',
    python_requires='>=3.10',
    packages=find_packages(include=[f'{PACKAGE}*']),
    package_data={
        PACKAGE: ['*.css', 'py.typed'],
        f'{PACKAGE}.evaluation.report': ['*.css', '*.j2', '*.mplstyle'],
        f'{PACKAGE}.example': ['*.mcap', '*.npy', '*.json', '*.md'],
        f'{PACKAGE}.kernels': ['*.h', 'engine/engine.h'],
        f'{PACKAGE}.model': ['weights/*'],
        f'{PACKAGE}.page': ['*.css', '*.html', '*.js'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        *share('launch'),
        *share('config'),
    ],
    ext_modules=[
        Extension(
            f'{PACKAGE}.kernels._kernels',
            sources=sorted(glob(f'{PACKAGE}/kernels/**/*.c', recursive=True)),
            depends=sorted(glob(f'{PACKAGE}/kernels/**/*.h', recursive=True)),
            # Python's own -fwrapv keeps inner loops from being vectorised
            extra_compile_args=['-O3', '-fno-wrapv', '-ffp-contract=off', '-Wno-psabi'],
            libraries=['dl'],
        )
    ],
    # What the node needs; ROS packages (rclpy, the messages) are dependencies in package.xml.
    install_requires=['numpy', 'safetensors', 'torch>=2.6'],
    # replay: the commands, recordings, the overlay. evaluate: metrics and report. ray: replays
    # on a Ray cluster. hdf5: recordings of DSEC, M3ED, Metavision, v2e and others. export: ONNX.
    # page: the live page. view: the viewer Rerun, which needs numpy 2. foxglove: a server for
    # Foxglove.
    extras_require={
        'replay': REPLAY,
        'evaluate': EVALUATE,
        'ray': [*EVALUATE, 'ray>=2.52'],
        'hdf5': [*REPLAY, 'h5py>=3.9', 'hdf5plugin'],
        'export': ['onnx', 'onnxscript'],
        'page': ['aiohttp>=3.9', 'pillow>=10.1'],
        'view': [*REPLAY, 'rerun-sdk>=0.39'],
        'foxglove': [*REPLAY, 'foxglove-sdk>=0.25'],
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'sast-ros = sast_ros.cli:main',
            'detector = sast_ros.ros.start:detector',
            'player = sast_ros.ros.start:player',
        ]
    },
)
