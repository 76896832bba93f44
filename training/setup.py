# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build and installation of sast_ros_training, for colcon (ament_python) and for pip."""

from glob import glob
from pathlib import Path
import re

from setuptools import Extension, find_packages, setup

PACKAGE = 'sast_ros_training'
VERSION = re.search(r'<version>\s*([^<\s]+)\s*</version>', Path('package.xml').read_text()).group(
    1
)

setup(
    name=PACKAGE,
    version=VERSION,
    description='Simulation of labelled event streams and training for sast_ros',
    license='Apache-2.0',
    maintainer='sast_ros maintainers',
    maintainer_email='sast-ros@example.org',
    python_requires='>=3.10',
    packages=find_packages(include=[f'{PACKAGE}*']),
    package_data={PACKAGE: ['py.typed'], f'{PACKAGE}.kernels': ['*.h']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/config', sorted(glob('config/*.yaml'))),
    ],
    ext_modules=[
        Extension(
            f'{PACKAGE}.kernels._kernels',
            sources=sorted(glob(f'{PACKAGE}/kernels/*.c')),
            depends=sorted(glob(f'{PACKAGE}/kernels/*.h')),
            # Python's own -fwrapv keeps inner loops from being vectorised: twice the time to draw
            extra_compile_args=['-O3', '-fno-wrapv', '-Wno-psabi'],
        )
    ],
    install_requires=[
        # Not on PyPI, where anybody may take the name: install both folders with one command
        f'sast_ros[evaluate,hdf5]=={VERSION}',
        # These two releases on PyPI stole credentials (GHSA-w37p-236h-pfx3)
        'lightning!=2.6.2,!=2.6.3',
        'tensorboard',
        'torch>=2.6',
    ],
    zip_safe=False,
    entry_points={
        'sast_ros.commands': [
            'simulate = sast_ros_training.cli.simulate',
            'train = sast_ros_training.cli.train',
        ]
    },
)
